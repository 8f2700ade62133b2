/**
 * 8: nothing is made twice: no second birth of an object that was not removed in between. A mail under way can't be seen by anybody, so
 * one whose sender doesn't know whether it was sent may be sent once more, but not when it has arrived.
 */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { pathOf, tookEffect, type Violation } from "./record.ts";

export function effectsTwice(record: Exchange[]): Violation[] {
  return [...bornTwice(record), ...sentTwice(record)];
}

function bornTwice(record: Exchange[]): Violation[] {
  const alive = new Map<string, number>();
  const names = namesByGuid(record);
  /** What was born under another address than its own: an application by its unique name. */
  const addresses = new Map<string, string>();
  return record.filter(tookEffect).flatMap((exchange): Violation[] => {
    const gone = removalOf(exchange, names) ?? addresses.get(`${exchange.method} ${pathOf(exchange.url)}`);
    if (gone) for (const key of [...alive.keys()].filter((one) => one === gone || one.startsWith(`${gone}/`))) alive.delete(key);
    const born = birthOf(exchange);
    if (!born) return [];
    const earlier = alive.get(born);
    alive.set(born, exchange.seq);
    const { id } = (exchange.responseBody ?? {}) as { id?: string };
    if (born.includes("/applications(") && id) addresses.set(`DELETE /v1.0/applications/${id.toLowerCase()}`, born);
    return earlier === undefined
      ? []
      : [{ invariant: 8, seq: exchange.seq, what: `made a second time: ${born} (first: ${earlier})` }];
  });
}

/** What a write brought into being, or undefined. */
function birthOf({ cloud, method, status, url, tenant, requestBody }: Exchange): string | undefined {
  const path = pathOf(url);
  const body = (requestBody ?? {}) as Record<string, unknown>;
  if (cloud === "arm") return method === "PUT" && status === 201 ? `arm ${path}` : undefined;
  if (cloud === "vault") return method === "PUT" ? `vault ${path} ${generationOf(body)}`.trimEnd() : undefined;
  if (cloud === "exchange") {
    const input = body["CmdletInput"] as { CmdletName: string; Parameters: Record<string, unknown> } | undefined;
    return input?.CmdletName.startsWith("New-")
      ? `exchange ${tenant} ${input.CmdletName.slice(4)} ${String(input.Parameters["Name"])}`.toLowerCase()
      : undefined;
  }
  if (cloud !== "graph") return undefined;
  if (status !== 201) return undefined;
  return `graph ${tenant} ${path} ${[body["appId"], body["principalId"], body["appRoleId"], body["clientId"]].join(" ")}`;
}

/** A rotation makes the next one of the same secret. */
const generationOf = ({ tags }: Record<string, unknown>): string =>
  (tags as Record<string, string> | undefined)?.["gatehouse-generation"] ?? "";

function sentTwice(record: Exchange[]): Violation[] {
  const mails = new Map<string, { sent: number; arrived: boolean }>();
  return record.filter(tookEffect).flatMap(({ seq, cloud, method, url, tenant, requestBody }): Violation[] => {
    const sending = cloud === "graph" && pathOf(url).endsWith("/sendmail");
    const arriving = cloud === "exchange" && method === "DELIVER";
    if (!sending && !arriving) return [];
    const body = (requestBody ?? {}) as { subject?: string; message?: { subject?: string } };
    const subject = body.subject ?? body.message?.subject ?? "";
    const organization = tenant ?? /^exchange:([^/]+)/.exec(url)?.[1] ?? "";
    const mail = mails.get(`${organization} ${subject}`) ?? { sent: 0, arrived: false };
    mails.set(`${organization} ${subject}`, mail);
    if (arriving) mail.arrived = true;
    else mail.sent += 1;
    if (arriving || mail.sent === 1 || (mail.sent === 2 && !mail.arrived)) return [];
    return [{ invariant: 8, seq, what: `sent again: ${subject}` }];
  });
}

/** Objects of Exchange Online are made by name and removed by GUID; any answer that shows one tells both. */
function namesByGuid(record: Exchange[]): Map<string, string> {
  const shown = record.flatMap(({ cloud, responseBody }) => {
    const { value } = (cloud === "exchange" ? (responseBody ?? {}) : {}) as { value?: unknown };
    return Array.isArray(value) ? (value as { Guid?: unknown; Name?: unknown }[]) : [];
  });
  return new Map(
    shown.flatMap(({ Guid, Name }) => (typeof Guid === "string" && typeof Name === "string" ? [[Guid.toLowerCase(), Name]] : [])),
  );
}

export function removalOf(
  { cloud, method, url, tenant, requestBody }: Exchange,
  names: Map<string, string> = new Map(),
): string | undefined {
  const path = pathOf(url);
  if (cloud === "arm" && method === "DELETE") return `arm ${path}`;
  if (cloud !== "exchange") return undefined;
  const { CmdletInput: input } = (requestBody ?? {}) as {
    CmdletInput?: { CmdletName: string; Parameters: Record<string, unknown> };
  };
  if (!input?.CmdletName.startsWith("Remove-")) return undefined;
  const identity = String(input.Parameters["Identity"]);
  return `exchange ${tenant} ${input.CmdletName.slice(7)} ${names.get(identity.toLowerCase()) ?? identity}`.toLowerCase();
}

/**
 * The safety invariants of onboarding, checked over what the simulated clouds recorded: from the outside, knowing nothing of our code.
 * Numbers are those of the design's chapter on onboarding.
 */
import type { Exchange } from "../../infra/local/clouds/record.ts";

/** The customer whose mail must not be harmed. */
export interface Watched {
  /** Entra tenant id of the Microsoft 365 organisation. */
  organization: string;
  domains: string[];
  probeMailbox: string;
}

export interface Violation {
  invariant: 1 | 2 | 3 | 4 | 7 | 8;
  seq: number;
  what: string;
}

export const violations = (record: Exchange[], watched: Watched): Violation[] => [
  ...scopeBeforeProof(record, watched),
  ...moreThanOneGuid(record, watched),
  ...unscopedConnector(record, watched),
  ...unguardedNetwork(record),
  ...writesBeforeConsent(record, watched),
  ...effectsTwice(record),
];

/** A request that was carried out, as far as its answer tells; one whose connection was cut may have been, and counts where that is worse. */
const done = ({ status }: Exchange): boolean => status >= 200 && status < 300;

interface Cmdlet {
  seq: number;
  exchange: Exchange;
  name: string;
  parameters: Record<string, unknown>;
}

const cmdletsOf = (record: Exchange[], organization: string): Cmdlet[] =>
  record.flatMap((exchange) => {
    if (exchange.cloud !== "exchange" || !exchange.url.toLowerCase().includes(organization.toLowerCase())) return [];
    const input = (
      exchange.requestBody as { CmdletInput?: { CmdletName?: string; Parameters?: Record<string, unknown> } } | undefined
    )?.CmdletInput;
    if (!input?.CmdletName) return [];
    return [{ seq: exchange.seq, exchange, name: input.CmdletName, parameters: input.Parameters ?? {} }];
  });

const words = (value: unknown): string[] =>
  (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]).map((word) => String(word));

/** 1: nobody's mail beside the probe mailbox's is forwarded before STARTTLS, the loop, approval rule and inbound connector are proven. */
function scopeBeforeProof(record: Exchange[], { organization, probeMailbox }: Watched): Violation[] {
  const cmdlets = cmdletsOf(record, organization);
  const forwarding = new Set(
    cmdlets
      .filter(({ parameters }) => "RouteMessageOutboundConnector" in parameters)
      .map(({ parameters }) => ruleName(parameters)),
  );
  const approval = cmdlets.find(({ name, parameters }) => name === "New-TransportRule" && "SetSCL" in parameters);
  const widening = cmdlets.filter(
    ({ name, parameters, exchange }) =>
      /^(New|Set)-TransportRule$/.test(name) &&
      forwarding.has(ruleName(parameters)) &&
      !refused(exchange) &&
      widens(name, parameters, probeMailbox),
  );
  return widening.flatMap(({ seq }) => {
    const before = cmdlets.filter((one) => one.seq < seq && done(one.exchange));
    const lastWrite = (noun: string) => before.findLast(({ name }) => new RegExp(`^(New|Set)-${noun}$`).test(name))?.seq ?? 0;
    const proofs: [boolean, string][] = [
      [
        before.some(({ name, exchange }) => name === "Validate-OutboundConnector" && validated(exchange)),
        "STARTTLS to the gateway",
      ],
      [record.some((exchange) => exchange.seq < seq && returnedProbe(exchange, probeMailbox)), "a probe mail that came back"],
      [
        before.some(({ name, seq: at }) => name === "Get-InboundConnector" && at > lastWrite("InboundConnector")),
        "the inbound connector read back",
      ],
      [
        approval !== undefined && before.some(({ name, seq: at }) => name === "Get-TransportRule" && at > approval.seq),
        "the approval rule read back",
      ],
    ];
    return proofs
      .filter(([proven]) => !proven)
      .map(([, what]): Violation => ({ invariant: 1, seq, what: `the forwarding rule was widened before ${what}` }));
  });
}

const ruleName = (parameters: Record<string, unknown>): string => String(parameters["Name"] ?? parameters["Identity"]);
const refused = ({ status }: Exchange): boolean => status >= 400;

/** A new rule without `From` concerns everybody; a changed one without it keeps its scope. */
function widens(name: string, parameters: Record<string, unknown>, probeMailbox: string): boolean {
  const from = words(parameters["From"]);
  if (from.length === 0) return name === "New-TransportRule" || ("From" in parameters && !("Enabled" in parameters));
  return from.some((address) => address.toLowerCase() !== probeMailbox.toLowerCase());
}

function validated({ responseBody }: Exchange): boolean {
  const { value = [] } = (responseBody ?? {}) as { value?: Record<string, unknown>[] };
  return (
    value.length > 0 && value.every((result) => !/fail/i.test(JSON.stringify(result["Status"] ?? result["Result"] ?? result)))
  );
}

function returnedProbe({ cloud, method, status, url, responseBody }: Exchange, probeMailbox: string): boolean {
  if (cloud !== "graph" || method !== "GET" || status !== 200) return false;
  if (!decodeURIComponent(url).toLowerCase().includes(`/users/${probeMailbox.toLowerCase()}/`)) return false;
  return /"name":"x-iqsuite-process"/i.test(JSON.stringify(responseBody ?? null).replaceAll('": "', '":"'));
}

/** 2: one loop GUID, made once, kept in the vault, and no other value in a rule. The record shows vault secrets as redacted. */
function moreThanOneGuid(record: Exchange[], { organization }: Watched): Violation[] {
  const made = new Map<string, number>();
  const twice = record.flatMap((exchange): Violation[] => {
    const path = new URL(exchange.url, "https://vault.invalid").pathname;
    if (exchange.cloud !== "vault" || exchange.method !== "PUT" || !/\/secrets\/loop-guid\/?$/.test(path) || !done(exchange))
      return [];
    const count = (made.get(path) ?? 0) + 1;
    made.set(path, count);
    return count === 1 ? [] : [{ invariant: 2, seq: exchange.seq, what: `a second loop GUID was made in ${path}` }];
  });
  const foreign = cmdletsOf(record, organization).flatMap(({ seq, parameters }): Violation[] => {
    const marks = [...words(parameters["ExceptIfHeaderContainsWords"]), ...words(parameters["HeaderContainsWords"])];
    const bad = marks.filter((word) => word !== "[redacted]");
    return bad.length === 0 ? [] : [{ invariant: 2, seq, what: "a rule has a loop GUID that no vault has" }];
  });
  return [...twice, ...foreign];
}

/** 3: the outbound connector concerns only mail that a rule sends to it, from birth. */
const unscopedConnector = (record: Exchange[], { organization }: Watched): Violation[] =>
  cmdletsOf(record, organization).flatMap(({ seq, name, parameters, exchange }): Violation[] => {
    if (refused(exchange)) return [];
    const scoped = parameters["IsTransportRuleScoped"];
    const wrong = name === "New-OutboundConnector" ? scoped !== true : name === "Set-OutboundConnector" && scoped === false;
    return wrong ? [{ invariant: 3, seq, what: "the outbound connector was not scoped to rules" }] : [];
  });

/** 4: no network interface without a security group; a VM's placement is in its first write and never changes. */
function unguardedNetwork(record: Exchange[]): Violation[] {
  const placements = new Map<string, string>();
  return record.flatMap((exchange): Violation[] => {
    if (exchange.cloud !== "arm" || exchange.method !== "PUT" || refused(exchange)) return [];
    const { seq, url, requestBody } = exchange;
    const path = new URL(url, "https://arm.invalid").pathname.toLowerCase();
    const body = (requestBody ?? {}) as { location?: string; zones?: string[]; properties?: Record<string, unknown> };
    if (
      /\/networkinterfaces\/[^/]+$/.test(path) &&
      !(body.properties?.["networkSecurityGroup"] as { id?: string } | undefined)?.id
    )
      return [{ invariant: 4, seq, what: "a network interface was written without a network security group" }];
    if (!/\/virtualmachines\/[^/]+$/.test(path)) return [];
    const placement = JSON.stringify([body.location, body.zones ?? [], body.properties?.["availabilitySet"] ?? null]);
    const earlier = placements.get(path);
    placements.set(path, placement);
    if (!body.location) return [{ invariant: 4, seq, what: "a VM was written without its placement" }];
    return earlier === undefined || earlier === placement
      ? []
      : [{ invariant: 4, seq, what: "a VM's placement was changed after its birth" }];
  });
}

/** 7: nothing is written to Graph or Exchange before tokens of that tenant were had and the declared domains were seen verified there. */
function writesBeforeConsent(record: Exchange[], { organization, domains }: Watched): Violation[] {
  const token = record.find(
    ({ cloud, method, url, status }) =>
      cloud === "entra" && method === "POST" && url.includes(`/${organization}/oauth2/v2.0/token`) && status === 200,
  );
  const verified = record.find(
    ({ cloud, method, url, status, responseBody }) =>
      cloud === "graph" &&
      method === "GET" &&
      /\/v1\.0\/domains/.test(url) &&
      status === 200 &&
      showsVerified(responseBody, domains),
  );
  const proven = token && verified ? Math.max(token.seq, verified.seq) : Number.POSITIVE_INFINITY;
  return record
    .filter(({ cloud, effect, seq }) => (cloud === "graph" || cloud === "exchange") && effect === "write" && seq < proven)
    .map(
      ({ seq, cloud, method, url }): Violation => ({
        invariant: 7,
        seq,
        what: `${cloud} was written before consent was proven: ${method} ${url}`,
      }),
    );
}

function showsVerified(body: unknown, domains: string[]): boolean {
  const { value = [] } = (body ?? {}) as { value?: { id?: string; isVerified?: boolean }[] };
  return domains.every((domain) => value.some(({ id, isVerified }) => id === domain && isVerified));
}

/** 8: nothing is made twice: no second birth of an object that was not removed in between, no second mail of one subject. */
function effectsTwice(record: Exchange[]): Violation[] {
  const alive = new Map<string, number>();
  return record.flatMap((exchange): Violation[] => {
    const gone = removalOf(exchange);
    if (gone) for (const key of [...alive.keys()].filter((one) => one === gone || one.startsWith(`${gone}/`))) alive.delete(key);
    const born = birthOf(exchange);
    if (!born) return [];
    const earlier = alive.get(born);
    alive.set(born, exchange.seq);
    return earlier === undefined
      ? []
      : [{ invariant: 8, seq: exchange.seq, what: `made a second time: ${born} (first: ${earlier})` }];
  });
}

/** What a write brought into being, or undefined. */
function birthOf(exchange: Exchange): string | undefined {
  const { cloud, method, status, url, requestBody, effect } = exchange;
  if (effect !== "write") return undefined;
  const path = pathOf(url);
  const body = (requestBody ?? {}) as Record<string, unknown>;
  if (cloud === "arm") return method === "PUT" && status === 201 ? `arm ${path}` : undefined;
  if (cloud === "vault") return method === "PUT" && done(exchange) ? `vault ${path}` : undefined;
  if (cloud === "exchange") {
    const input = body["CmdletInput"] as { CmdletName: string; Parameters: Record<string, unknown> } | undefined;
    return input?.CmdletName.startsWith("New-") && done(exchange)
      ? `exchange ${path.split("/")[3]} ${input.CmdletName.slice(4)} ${input.Parameters["Name"]}`
      : undefined;
  }
  if (cloud !== "graph" || !done(exchange)) return undefined;
  if (path.endsWith("/sendmail")) return `mail ${(body["message"] as { subject?: string } | undefined)?.subject}`;
  if (status !== 201) return undefined;
  return `graph ${tenantOf(exchange)} ${path} ${JSON.stringify(body["appId"] ?? body["appRoleId"] ?? body["clientId"] ?? "")}`;
}

function removalOf({ cloud, method, status, url, requestBody }: Exchange): string | undefined {
  if (status >= 300) return undefined;
  const path = pathOf(url);
  if (cloud === "arm" && method === "DELETE") return `arm ${path}`;
  if (cloud !== "exchange") return undefined;
  const input = (requestBody as { CmdletInput?: { CmdletName: string; Parameters: Record<string, unknown> } } | undefined)
    ?.CmdletInput;
  return input?.CmdletName.startsWith("Remove-")
    ? `exchange ${path.split("/")[3]} ${input.CmdletName.slice(7)} ${input.Parameters["Identity"]}`
    : undefined;
}

const pathOf = (url: string): string => new URL(url, "https://cloud.invalid").pathname.toLowerCase().replace(/\/$/, "");

/** Graph's URLs don't name the tenant; the redacted token doesn't either, so all tenants of a record are told apart by what they write. */
const tenantOf = ({ requestBody }: Exchange): string =>
  String((requestBody as { principalId?: string; displayName?: string } | undefined)?.principalId ?? "");

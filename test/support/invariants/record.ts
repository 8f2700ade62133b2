/** How the checkers read the clouds' record: what took effect, what was answered, which cmdlet ran. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import type { TenantSpec } from "../../../shared/tenants/spec.ts";

/** The customer whose mail must not be harmed. A record may be of several. */
export interface Watched {
  /** Entra tenant id of the Microsoft 365 organisation. */
  organization: string;
  domains: string[];
  probeMailbox: string;
  /** Of the gateways. */
  subscriptionId: string;
}

export const watchedOf = ({ azure: { subscriptionId }, microsoft365 }: Pick<TenantSpec, "azure" | "microsoft365">): Watched => {
  const { tenantId: organization, domains, probeMailbox } = microsoft365;
  return { organization, domains, probeMailbox, subscriptionId };
};

export interface Violation {
  invariant: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
  seq: number;
  what: string;
}

export const tookEffect = ({ effect }: Exchange): boolean => effect === "write";
/** Answered, and the answer arrived: what the other side can know. */
export const answered = ({ status, fault }: Exchange): boolean => status >= 200 && status < 300 && fault !== "cut-after-effect";

export interface Cmdlet {
  seq: number;
  exchange: Exchange;
  name: string;
  parameters: Record<string, unknown>;
  /** The objects of the answer. */
  value: Record<string, unknown>[];
}

export function cmdletOf(exchange: Exchange, organization: string): Cmdlet | undefined {
  if (exchange.cloud !== "exchange" || !pathOf(exchange.url).includes(organization.toLowerCase())) return undefined;
  const { CmdletInput: input } = (exchange.requestBody ?? {}) as {
    CmdletInput?: { CmdletName?: string; Parameters?: Record<string, unknown> };
  };
  if (!input?.CmdletName) return undefined;
  const { value = [] } = (exchange.responseBody ?? {}) as { value?: Record<string, unknown>[] };
  return { seq: exchange.seq, exchange, name: input.CmdletName, parameters: input.Parameters ?? {}, value };
}

export const cmdletsOf = (record: Exchange[], organization: string): Cmdlet[] =>
  record.flatMap((exchange) => cmdletOf(exchange, organization) ?? []);

export const words = (given: unknown): string[] =>
  (Array.isArray(given) ? given : given === undefined || given === null ? [] : [given]).map((word) => String(word).toLowerCase());

/** Each checker asks for each path. */
const paths = new Map<string, string>();
export function pathOf(url: string): string {
  const known = paths.get(url);
  if (known !== undefined) return known;
  const path = new URL(url, "https://cloud.invalid").pathname.toLowerCase().replaceAll("//", "/").replace(/\/$/, "");
  paths.set(url, path);
  return path;
}

/** Which mails of the probe mailbox an answer shows: whether they have met the gateway. Our header's value is a secret, shown as redacted. */
export function probesShown(exchange: Exchange, probeMailbox: string): { subject: string; marked: boolean }[] {
  const { cloud, method, url, responseBody } = exchange;
  if (cloud !== "graph" || method !== "GET" || exchange.status !== 200 || exchange.fault !== undefined) return [];
  if (!decodeURIComponent(pathOf(url)).includes(`/users/${probeMailbox.toLowerCase()}/`)) return [];
  const { value = [] } = (responseBody ?? {}) as {
    value?: { subject?: string; internetMessageHeaders?: { name: string; value: string }[] }[];
  };
  return value.map(({ subject = "", internetMessageHeaders = [] }) => ({
    subject,
    marked: internetMessageHeaders.some(
      (header) => header.name.toLowerCase() === "x-iqsuite-process" && header.value === "[redacted]",
    ),
  }));
}

/** Where a webhook may lead, as far as its URL tells: a name in public DNS, by HTTPS, without credentials. Its addresses are checked at each call. */
import { isIP } from "node:net";

/** Part of the cloud environment. */
export interface WebhookTargets {
  ports: number[];
  /** CIDR ranges that are allowed although they are not public. */
  allowedRanges: string[];
}

/** Where an environment says nothing: the internet's own port and addresses. */
export const publicTargets: WebhookTargets = { ports: [443], allowedRanges: [] };

const LONGEST_URL = 2048;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Names that no public zone has (RFC 6761, 6762, 8375, ICANN's .internal). */
const NOT_PUBLIC = /(^|\.)(localhost|local|internal|intranet|home\.arpa|lan|onion)$/;

/** What is wrong with it, as the API says it to the partner; undefined when nothing is. */
export function targetProblem(text: string, { ports }: WebhookTargets): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || text.length > LONGEST_URL) return `must be a URL of at most ${LONGEST_URL} characters`;
  if (url.protocol !== "https:") return "must begin with https://";
  if (url.username !== "" || url.password !== "") return "must not have credentials";
  if (url.hash !== "") return "must not have a fragment";
  if (!ports.includes(Number(url.port || 443))) return `must lead to port ${ports.join(" or ")}`;
  // The parser has turned 0x7f.1, 2130706433, 0177.0.0.1 and full-width digits into addresses.
  if (url.hostname.startsWith("[") || isIP(url.hostname) !== 0) return "must name a host, not an address";
  const labels = url.hostname.split(".");
  const named = labels.length > 1 && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? "");
  if (!named || url.hostname.length > 253 || NOT_PUBLIC.test(url.hostname)) return "must name a host in public DNS";
  return undefined;
}

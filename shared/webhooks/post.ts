/**
 * Sends one request to an address that a partner has named, and to no other: the name is resolved, every address behind it is judged, and
 * the connection goes to one that was, so that a name that changes its mind in between changes nothing. No redirects, five seconds, 64 kB.
 */
import { request } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { Observed } from "../resources/resource.ts";
import { addressAllowed } from "./addresses.ts";
import { targetProblem, type WebhookTargets } from "./target.ts";

export type Posted =
  | { outcome: "answered"; status: number; retryAfterInSeconds?: number }
  /** `code` is one of ours or Node's own, for the partner to read. */
  | { outcome: "failed"; code: string; message: string };

export type PostWebhook = (url: string, headers: Record<string, string>, body: string) => Promise<Posted>;

export interface PostOptions {
  targets: WebhookTargets;
  /** All addresses of a name, of both families. */
  addressesOf(name: string): Promise<Observed<string[]>>;
  timeoutInMilliseconds?: number;
}

const LARGEST_ANSWER_IN_BYTES = 64 * 1024;
const LARGEST_HEADERS_IN_BYTES = 16 * 1024;

export const createPostWebhook =
  ({ targets, addressesOf, timeoutInMilliseconds = 5000 }: PostOptions): PostWebhook =>
  async (text, headers, body) => {
    // Registered long ago perhaps, under other rules.
    const problem = targetProblem(text, targets);
    if (problem !== undefined) return failed("TargetForbidden", `the webhook's URL ${problem}`);
    const url = new URL(text);
    const resolved = await addressesOf(url.hostname);
    if (resolved.state === "unknown") return failed("NameNotResolved", "the name servers gave no answer");
    if (resolved.state === "absent" || resolved.actual.length === 0) return failed("NameNotFound", "the name has no address");
    // One bad address among good ones is an attempt, not an accident.
    if (!resolved.actual.every((address) => addressAllowed(address, targets.allowedRanges)))
      return failed("AddressForbidden", "the name leads to an address that is not a public one");
    return send(url, { ...headers, "content-length": String(Buffer.byteLength(body)) }, body, {
      lookup: pinnedTo(chosen(resolved.actual)),
      timeoutInMilliseconds,
    });
  };

/** IPv4 first: Azure's functions have no way out by IPv6. One of several by chance, so that the next try may meet another. */
function chosen(addresses: string[]): string {
  const four = addresses.filter((address) => isIP(address) === 4);
  const from = four.length > 0 ? four : addresses;
  return from[Math.floor(Math.random() * from.length)] as string;
}

const pinnedTo =
  (address: string): LookupFunction =>
  (_hostname, { all }, found) => {
    const family = isIP(address);
    if (all) found(null, [{ address, family }]);
    else found(null, address, family);
  };

function send(
  url: URL,
  headers: Record<string, string>,
  body: string,
  { lookup, timeoutInMilliseconds }: { lookup: LookupFunction; timeoutInMilliseconds: number },
): Promise<Posted> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutInMilliseconds);
    const outgoing = request(url, {
      method: "POST",
      headers,
      lookup,
      signal,
      // A connection of its own: one that is kept open was pinned to what the name meant then.
      agent: false,
      maxHeaderSize: LARGEST_HEADERS_IN_BYTES,
    });
    outgoing.on("error", (error) => resolve(signal.aborted ? timedOut : failed(codeOf(error), "the connection failed")));
    outgoing.on("response", (response) => {
      const answered: Posted = {
        outcome: "answered",
        status: response.statusCode ?? 0,
        ...waitIn(response.headers["retry-after"]),
      };
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.byteLength;
        if (size > LARGEST_ANSWER_IN_BYTES) response.destroy();
      });
      // However its body ends: what counts is the status.
      response.on("error", () => undefined);
      response.on("close", () => resolve(answered));
    });
    outgoing.end(body);
  });
}

const failed = (code: string, message: string): Posted => ({ outcome: "failed", code, message });
const timedOut = failed("TimedOut", "there was no answer within five seconds");
const codeOf = (error: Error): string => ("code" in error ? String(error.code) : "ConnectionFailed");

/** Seconds, or a date (RFC 9110, 10.2.3). */
function waitIn(header: string | undefined): { retryAfterInSeconds?: number } {
  if (header === undefined) return {};
  const seconds = /^\d+$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - Date.now()) / 1000);
  return Number.isFinite(seconds) && seconds > 0 ? { retryAfterInSeconds: seconds } : {};
}

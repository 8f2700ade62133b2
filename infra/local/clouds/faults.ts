/** Faults on command: what goes wrong with the next requests that match. */
import * as z from "zod";
import type { CloudName, SimulatedResponse } from "./simulator.ts";

const retryAfterInSeconds = z.number().int().min(0).optional();
/** A name alone takes the defaults; a number is an HTTP status. */
export const faultSchema = z.union([
  z.enum(["refuse", "throttle", "429", "5xx", "delay", "cut-before-effect", "cut-after-effect", "html"]).transform((kind) => {
    if (kind === "429" || kind === "throttle") return { kind: "throttle" as const };
    return kind === "5xx" ? { kind: "status" as const, status: 503 } : { kind };
  }),
  z
    .union([z.string().regex(/^[45]\d\d$/), z.number().int().min(400).max(599)])
    .transform((status) => ({ kind: "status" as const, status: Number(status) })),
  z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("refuse") }),
    z.strictObject({ kind: z.literal("throttle"), retryAfterInSeconds }),
    z.strictObject({
      kind: z.literal("status"),
      status: z.number().int().min(400).max(599),
      retryAfterInSeconds,
      code: z.string().optional(),
    }),
    z.strictObject({ kind: z.literal("delay"), milliseconds: z.number().int().min(0).max(600_000).optional() }),
    z.strictObject({ kind: z.literal("cut-before-effect") }),
    z.strictObject({ kind: z.literal("cut-after-effect") }),
    z.strictObject({ kind: z.literal("html"), status: z.number().int().min(200).max(599).optional() }),
  ]),
]);

export type Fault = z.output<typeof faultSchema>;

/** Every part that is given must match; `path` is a part of path and query, or a regular expression between slashes. */
export const matchSchema = z
  .strictObject({ method: z.string().optional(), path: z.string().min(1).optional(), cmdlet: z.string().optional() })
  .superRefine(({ path }, context) => {
    if (path === undefined) return;
    try {
      pathMatcher(path);
    } catch {
      context.addIssue({ code: "custom", path: ["path"], message: "is not a regular expression" });
    }
  });

export type Match = z.output<typeof matchSchema>;

export interface Matchable {
  method: string;
  /** Path and query, percent-encodings as they came; a DNS name or an SMTP host for clouds without paths. */
  path: string;
  cmdlet?: string | undefined;
}

export interface PlannedFault {
  id: number;
  /** Without it, requests of every cloud are meant. */
  cloud?: CloudName | undefined;
  match: Match;
  fault: Fault;
  /** How many more requests that match go unharmed first: with 0 the next one is met, with n the one after n others. */
  after: number;
  /** How many more times. */
  times: number;
}

export interface Faults {
  plan(fault: Omit<PlannedFault, "id">): PlannedFault;
  list(): PlannedFault[];
  clear(): void;
  /** The first fault planned that matches and is due, which is used up by one; all others that match come one request closer. */
  take(cloud: CloudName, request: Matchable): Fault | undefined;
}

export function createFaults(): Faults {
  const planned = new Set<PlannedFault>();
  let last = 0;
  return {
    plan: (fault) => {
      const added = { id: ++last, ...fault };
      planned.add(added);
      return added;
    },
    list: () => [...planned],
    clear: () => planned.clear(),
    take: (cloud, request) => {
      let due: PlannedFault | undefined;
      for (const one of planned) {
        if ((one.cloud !== undefined && one.cloud !== cloud) || !matches(one.match, request)) continue;
        if (one.after > 0) one.after -= 1;
        else due ??= one;
      }
      if (!due) return undefined;
      due.times -= 1;
      if (due.times <= 0) planned.delete(due);
      return due.fault;
    },
  };
}

function matches({ method, path, cmdlet }: Match, request: Matchable): boolean {
  if (method !== undefined && method.toUpperCase() !== request.method.toUpperCase()) return false;
  if (cmdlet !== undefined && cmdlet.toLowerCase() !== request.cmdlet?.toLowerCase()) return false;
  return path === undefined || pathMatcher(path)(request.path);
}

function pathMatcher(path: string): (text: string) => boolean {
  const pattern = /^\/(.+)\/([a-z]*)$/s.exec(path);
  // `/subscriptions/` is a path, `/subscriptions\/[^/]+$/` a pattern: what has no special character is taken as it is.
  if (pattern?.[1] === undefined || !/[\\^$*+?()[\]{}|]/.test(pattern[1])) {
    return (text) => text.toLowerCase().includes(path.toLowerCase());
  }
  const expression = new RegExp(pattern[1], pattern[2]);
  return (text) => expression.test(text);
}

/** What a fault answers instead of the cloud; undefined for those that let the cloud answer. */
export function faultResponse(fault: Fault, cloud: CloudName): SimulatedResponse | undefined {
  const retryAfter = (seconds: number | undefined): Record<string, string> =>
    seconds === undefined ? {} : { "retry-after": String(seconds) };
  switch (fault.kind) {
    case "refuse":
      return {
        status: 403,
        body: errorBody(cloud, "AuthorizationFailed", "The client does not have authorization to perform the action."),
      };
    case "throttle": {
      const body = errorBody(cloud, "TooManyRequests", "The request was throttled.");
      return { status: 429, headers: retryAfter("retryAfterInSeconds" in fault ? (fault.retryAfterInSeconds ?? 1) : 1), body };
    }
    case "status": {
      const code =
        "code" in fault && fault.code !== undefined
          ? fault.code
          : fault.status === 503
            ? "ServiceUnavailable"
            : "InternalServerError";
      const body = errorBody(cloud, code, "The service is not able to process the request.");
      return {
        status: fault.status,
        headers: retryAfter("retryAfterInSeconds" in fault ? fault.retryAfterInSeconds : undefined),
        body,
      };
    }
    case "html":
      return {
        status: "status" in fault ? (fault.status ?? 200) : 200,
        headers: { "content-type": "text/html; charset=utf-8" },
        body: "<!DOCTYPE html><html><head><title>Object moved</title></head><body><h1>The service is unavailable.</h1></body></html>",
      };
    default:
      return undefined;
  }
}

/** Entra answers as OAuth does (RFC 6749, chapter 5.2), the others as the Azure REST guidelines say. */
const errorBody = (cloud: CloudName, code: string, message: string): unknown =>
  cloud === "entra"
    ? { error: "temporarily_unavailable", error_description: `AADSTS90033: ${message}`, error_codes: [90033] }
    : { error: { code, message } };

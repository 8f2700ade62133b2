/** Faults on command: what goes wrong with the next requests that match. */
import * as z from "zod";
import type { CloudName } from "./simulator.ts";
import { createStaleReads, type StaleReads } from "./stale-reads.ts";

/** Fractions are possible; null leaves the header out, as some services do. */
const retryAfterInSeconds = z.number().min(0).nullable().optional();
const httpStatus = z.number().int().min(200).max(599);
const milliseconds = z.number().int().min(0).max(600_000).optional();

/** Kinds that need nothing said beside their name; a name alone takes the defaults of the others too. */
const bare = [
  "refuse",
  "throttle",
  "delay",
  "cut-before-effect",
  "cut-after-effect",
  "timeout-before-effect",
  "timeout-after-effect",
  "html",
  "content-type",
  "foreign-next-link",
  "stale-read",
  "claims-challenge",
  "servfail",
  "nxdomain",
  "truncated",
  "wrong-id",
] as const;

const optionsSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("refuse") }),
  z.strictObject({ kind: z.literal("throttle"), retryAfterInSeconds }),
  z.strictObject({
    kind: z.literal("status"),
    status: z.number().int().min(400).max(599),
    retryAfterInSeconds,
    code: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal("delay"), milliseconds }),
  z.strictObject({ kind: z.literal("cut-before-effect") }),
  z.strictObject({ kind: z.literal("cut-after-effect") }),
  z.strictObject({ kind: z.literal("timeout-before-effect"), milliseconds }),
  z.strictObject({ kind: z.literal("timeout-after-effect"), milliseconds }),
  z.strictObject({ kind: z.literal("html"), status: httpStatus.optional(), afterEffect: z.boolean().optional() }),
  z.strictObject({ kind: z.literal("content-type"), contentType: z.string().min(1).optional() }),
  z.strictObject({
    kind: z.literal("answer"),
    status: httpStatus,
    headers: z.record(z.string(), z.string()).optional(),
    body: z.unknown().optional(),
    afterEffect: z.boolean().optional(),
  }),
  z.strictObject({ kind: z.literal("foreign-next-link"), origin: z.url().optional() }),
  z.strictObject({ kind: z.literal("stale-read") }),
  z.strictObject({ kind: z.literal("claims-challenge") }),
  z.strictObject({ kind: z.literal("servfail") }),
  z.strictObject({ kind: z.literal("nxdomain") }),
  z.strictObject({ kind: z.literal("truncated") }),
  z.strictObject({ kind: z.literal("wrong-id") }),
  z.strictObject({
    kind: z.literal("reply"),
    phase: z.enum(["greeting", "sender", "recipient", "data"]).default("greeting"),
    reply: z.string().regex(/^[45]\d\d \S/, "must be an SMTP reply that refuses, such as `421 4.3.2 Service not active`"),
  }),
]);

export type Fault = z.output<typeof optionsSchema>;

/** A name alone takes the defaults; a number is an HTTP status. */
export const faultSchema = z.union([
  z.enum([...bare, "429", "5xx", "timeout"]).transform((name): Fault => {
    if (name === "429") return { kind: "throttle" };
    if (name === "5xx") return { kind: "status", status: 503 };
    return { kind: name === "timeout" ? "timeout-before-effect" : name };
  }),
  z
    .union([z.string().regex(/^[45]\d\d$/), z.number().int().min(400).max(599)])
    .transform((status): Fault => ({ kind: "status", status: Number(status) })),
  optionsSchema,
]);

const onUdp: readonly Fault["kind"][] = ["servfail", "nxdomain", "truncated", "wrong-id"];
const notOnSmtp: readonly Fault["kind"][] = [
  ...onUdp,
  "html",
  "content-type",
  "answer",
  "foreign-next-link",
  "stale-read",
  "claims-challenge",
];

/** Whether a cloud can answer so; a fault for every cloud must suit those that speak HTTP. */
export function suits(cloud: CloudName | undefined, { kind }: Fault): boolean {
  if (cloud === "mail") return !notOnSmtp.includes(kind);
  if (kind === "reply") return false;
  if (cloud === "dns") return [...onUdp, "refuse", "delay", "cut-before-effect", "timeout-before-effect"].includes(kind);
  return !onUdp.includes(kind);
}

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
  /** Without it, requests of every cloud are meant, but for mail: that goes between servers, and none of it is a client's request. */
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
  /** Forgets what is planned, and what was read before. */
  clear(): void;
  readonly reads: StaleReads;
  /** The first fault planned that matches and is due, which is used up by one; all others that match come one request closer. */
  take(cloud: CloudName, request: Matchable): Fault | undefined;
}

export function createFaults(): Faults {
  const planned = new Set<PlannedFault>();
  const reads = createStaleReads();
  let last = 0;
  return {
    reads,
    plan: (fault) => {
      const added = { id: ++last, ...fault };
      planned.add(added);
      return added;
    },
    list: () => [...planned],
    clear: () => {
      planned.clear();
      reads.clear();
    },
    take: (cloud, request) => {
      let due: PlannedFault | undefined;
      for (const one of planned) {
        if ((one.cloud === undefined ? cloud === "mail" : one.cloud !== cloud) || !matches(one.match, request)) continue;
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

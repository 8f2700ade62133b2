/** When a machine's SMTP service may be restarted on request: not while the product does so itself, nor soon after somebody else did. */
import { expect, test } from "vitest";
import { notBefore } from "../../functions/gateways/smtp-restart.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import { mailFlowMonitorSchema } from "../../shared/tenants/iq-suite.ts";

const start = Date.UTC(2026, 10, 22, 8);
const MINUTE = 60_000;
const at = (minutes: number): string => new Date(start + minutes * MINUTE).toISOString();

/** Ten minutes each; the manual's thresholds say 50. */
const reported = (...counts: (number | null)[]): Pick<HeartbeatRecord, "readings" | "last"> => ({
  readings: counts.map((queue, index) => ({ at: at(10 * index), queue, badmail: 0, oldestAgeInSeconds: null, reply: "" })),
});
const manuals = mailFlowMonitorSchema.parse({});
const minutesOf = (...of: Parameters<typeof notBefore>): number => (notBefore(...of) - start) / MINUTE;

test.each([
  ["nothing was ever wrong", [0, 12, 49], undefined, "now"],
  ["nobody has reported", [], undefined, "now"],
  ["the queue reached the threshold at twenty minutes, and stays there", [0, 49, 50, 70, 60], undefined, 20 + 20],
  ["it was there, fell below, and is there again", [80, 80, 3, 50], undefined, 30 + 20],
  ["it was there once, and is below it now", [80, 80, 3], undefined, "now"],
  ["the first report of all has it", [90, 90], undefined, 0 + 20],
  ["there is no SMTP server", [null, null], undefined, "now"],
  ["somebody asked for it at fifteen minutes", [0, 0], at(15), 15 + 20],
  ["both", [0, 60, 60], at(15), 15 + 20],
] as const)("%s", (_what, counts, requestedAt, expected) => {
  const earliest = minutesOf(manuals, reported(...counts), requestedAt);
  if (expected === "now") expect(earliest).toBeLessThanOrEqual(0);
  else expect(earliest).toBe(expected);
});

test("the tenant's own interval and threshold count, and a product that restarts nothing is waited for by nobody", () => {
  const own = mailFlowMonitorSchema.parse({ checkIntervalInSeconds: 120, queue: { warning: 2, error: 5 } });
  expect(minutesOf(own, reported(0, 6), undefined)).toBe(10 + 4);
  const quiet = mailFlowMonitorSchema.parse({ restartSmtp: false });
  expect(minutesOf(quiet, reported(90, 90), undefined)).toBeLessThanOrEqual(0);
  expect(minutesOf(quiet, reported(90, 90), at(5))).toBe(5 + 20);
});

test("the last heartbeat counts before a reading of it is kept", () => {
  const last = { receivedAt: at(17), queue: { count: 51, oldestAgeInSeconds: 9 } } as HeartbeatRecord["last"];
  expect(minutesOf(manuals, { ...reported(0, 0), ...(last ? { last } : {}) }, undefined)).toBe(17 + 20);
});

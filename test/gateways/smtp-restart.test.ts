/** When a machine's SMTP service may be restarted on request, and how a restart ends that doesn't go well. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createSmtpRestartActivities } from "../../functions/gateways/activities.ts";
import { restartSmtpService, type SmtpRestarting } from "../../functions/gateways/orchestrator.ts";
import { notBefore } from "../../functions/gateways/smtp-restart.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import type { GuestResource, RunOutcome } from "../../shared/resources/guest.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { absent, done, present } from "../../shared/resources/resource.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import { mailFlowMonitorSchema } from "../../shared/tenants/iq-suite.ts";
import { play } from "../support/play.ts";
import { testStores, unique } from "../support/stores.ts";

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

interface Course {
  /** What the run says, in the engine's words. */
  failure?: RunOutcome["failure"];
  /** When the machine reports, and what its service does then; it never does without. */
  report?: { afterMinutes: number; service: string };
  repeatActivities?: boolean;
}

/** A restart over real stores in virtual time; the machine is the test's. */
async function restarted({ failure = null, report, repeatActivities = false }: Course) {
  const clock = createVirtualClock();
  const stores = testStores(clock);
  const [partnerId, tenantId, operationId, gatewayId] = [unique("partner"), "contoso", randomUUID(), "contoso-gateway-1"];
  const work = { partnerId, tenantId, operationId };
  const steps = ["smtpRestart", "heartbeat"].map((name) => ({ name, title: name, branch: "gateway" as const }));
  const request = { gatewayId };
  await stores.operations.create({ ...work, id: operationId, kind: "smtpRestart", requestHash: "hash", request, steps });
  const place = { owner: { partnerId, tenantId }, subscriptionId: randomUUID(), resourceGroup: "contoso", region: "westeurope" };
  const machine = { virtualMachineId: "/subscriptions/s/gateway-1", entraTenantId: randomUUID(), clientId: randomUUID() };
  await stores.heartbeats.register({ partnerId, tenantId, gatewayId, ...machine });
  const runs = new Set<string>();
  const guest: Pick<GuestResource, "runOnce" | "outcomeOf" | "forgetRun"> = {
    runOnce: async (_guest, name) => {
      runs.add(name);
      return done;
    },
    outcomeOf: async (_guest, run) =>
      runs.has(run) ? present({ run, inDesiredState: failure === null, generation: 1, differences: [], failure }) : absent,
    forgetRun: async () => undefined,
  };
  const activities = createSmtpRestartActivities({ stores, resources: { guest: guest as GuestResource } });
  const began = clock.now();
  const lookForHeartbeat: typeof activities.lookForHeartbeat = async (look) => {
    if (report && clock.now() - began >= report.afterMinutes * MINUTE) {
      const services = [{ name: "SMTPSVC", state: report.service }];
      const folder = { count: 0, oldestAgeInSeconds: null };
      const beat = {
        version: 1 as const,
        sentAt: at(0),
        queue: folder,
        badmail: folder,
        services,
        certificate: null,
        probe: null,
      };
      await stores.heartbeats.record(
        partnerId,
        gatewayId,
        { ...beat, applied: { generation: 1, part: 1 }, scanners: [] },
        { levels: {}, readingInSeconds: 600, judge: () => [] },
      );
    }
    return activities.lookForHeartbeat(look);
  };
  const input: SmtpRestarting = {
    work,
    gatewayId,
    windows: { ...place, entraTenantId: machine.entraTenantId, virtualMachine: "gateway-1", identityClientId: machine.clientId },
    pace: { patience: { tries: 3, firstWaitInSeconds: 1, longestWaitInSeconds: 5 }, operationDeadlineInSeconds: 1800 },
    heartbeatEveryInSeconds: 600,
  };
  const { elapsedInMilliseconds, reported: unexpected } = await play({
    start: restartSmtpService,
    orchestrators: [waitForOperation],
    input,
    clock,
    activities: { ...activities, lookForHeartbeat, recordFailure: () => undefined },
    repeatActivities,
  });
  const operation = await stores.operations.get(partnerId, operationId);
  const { items } = await stores.events.list(partnerId, {}, 10);
  return {
    runs: runs.size,
    unexpected: unexpected.filter(({ error }) => !(error instanceof ControlPlaneError)),
    status: operation.status,
    code: operation.error?.code,
    result: operation.result,
    minutes: Math.round(elapsedInMilliseconds / MINUTE),
    events: items.map(({ type }) => type).toSorted(),
  };
}

const FAILED = ["gateway.smtp.restart.failed", "gateway.smtp.restarting"];

test.each([
  [
    "the machine reports that the service runs",
    { report: { afterMinutes: 9, service: "Running" } },
    { status: "Succeeded", result: { service: "Running", queue: 0 }, minutes: 10, events: ["gateway.smtp.restarted", FAILED[1]] },
  ],
  [
    "each of its activities runs twice",
    { report: { afterMinutes: 0, service: "Running" }, repeatActivities: true },
    { status: "Succeeded", runs: 1, minutes: 2, events: ["gateway.smtp.restarted", FAILED[1]] },
  ],
  ["the machine stays silent", {}, { status: "Failed", code: "GatewaySilent", minutes: 30, events: FAILED }],
  [
    "the service has stopped again",
    { report: { afterMinutes: 9, service: "Stopped" } },
    { status: "Failed", code: "SmtpServiceStopped", minutes: 10, events: FAILED },
  ],
  [
    "the run fails inside Windows",
    { failure: { code: "ServiceMissing", message: "there is no service SMTPSVC" } },
    { status: "Failed", code: "GuestFailed", minutes: 0, events: FAILED },
  ],
])("a restart ends with one run and an event at each end where %s", async (_what, course, expected) => {
  expect(await restarted(course)).toMatchObject({ runs: 1, unexpected: [], ...expected });
});

/** Operators see what runs by the clock and run it now; partners don't. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { refusal } from "../../shared/api/error-codes.ts";
import { LEAP_DAY, startApi, type TestApi, timerUnderTest } from "../support/api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const timer = "pollExample";
const seen = async () => (await api.operator.api.listSchedules({})).body.value.find(({ name }) => name === timer);

test("before its first run a timer has a schedule and a next run, no last one", async () => {
  const found = await seen();
  expect(found).toMatchObject({ name: timer, setting: "LEAP_DAY_SCHEDULE", expression: LEAP_DAY });
  expect(found?.nextRunAt).toMatch(/^20\d\d-02-29T00:00:00.000Z$/);
  expect(found?.lastRun).toBeUndefined();
});

test("run now answers when it has ended, well or not, once for each Operation-Id, and stands in the audit log", async () => {
  const ran: string[] = [];
  timerUnderTest.work = async () => void ran.push("well");
  const operationId = randomUUID();
  const first = await api.operator.api.runSchedule({ timer }, { headers: { "operation-id": operationId } });
  const again = await api.operator.api.runSchedule({ timer }, { headers: { "operation-id": operationId } });
  expect(first.body).toMatchObject({ lastRun: { id: operationId, startedBy: "operator", outcome: "succeeded" } });
  expect([again.body.lastRun, ran]).toEqual([first.body.lastRun, ["well"]]);
  timerUnderTest.work = () => Promise.reject(refusal("ServiceUnavailable", "storage doesn't answer"));
  const failed = await api.operator.api.runSchedule({ timer });
  expect(failed.body.lastRun).toMatchObject({ outcome: "failed", reason: "ServiceUnavailable" });
  expect(await seen()).toMatchObject({ lastRun: failed.body.lastRun });
  const { items } = await api.world.stores.audit.list({ partnerId: "_operators" }, {}, 100);
  expect(items.filter(({ action, target }) => action === "runSchedule" && target.name === timer).length).toBeGreaterThan(0);
});

test("while it runs it is shown as running, and another run is refused", async () => {
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  timerUnderTest.work = () => {
    begun.resolve();
    return gate.promise;
  };
  const running = api.operator.api.runSchedule({ timer });
  await begun.promise;
  expect((await seen())?.running).toMatchObject({ startedBy: "operator" });
  await expect(api.operator.api.runSchedule({ timer })).rejects.toMatchObject({ status: 409, code: "ScheduleRunning" });
  gate.resolve();
  expect((await running).body).toMatchObject({ lastRun: { outcome: "succeeded" } });
  expect((await seen())?.running).toBeUndefined();
});

test("a timer that isn't there is not found, and a partner is refused", async () => {
  await expect(api.operator.api.runSchedule({ timer: "pollNothing" })).rejects.toMatchObject({ code: "ScheduleNotFound" });
  const { token } = await api.partner();
  for (const [method, path] of [
    ["GET", "/api/schedules"],
    ["POST", `/api/schedules/${timer}/run`],
  ] as const)
    expect((await api.request(method, path, { token })).status).toBe(403);
});

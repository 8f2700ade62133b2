/**
 * A tenant's directory through the whole app: refreshed by the timer and on request, held when too many are gone, said in a condition, and
 * fetched by the machine, whole or not at all.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { directoryHand } from "../../infra/local/clouds/graph/delta.ts";
import { type Get, startDirectories } from "../../infra/local/clouds/guest/directory.ts";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import { parseDirectory } from "../../shared/directory/document.ts";
import { permitDirectory } from "../support/directory.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const FILE = "C:\\Program Files\\GBS\\iQ.Suite\\Config\\iqsuite.ldf";
const plain = customer("contoso", "relecloud");
const tenant = { ...plain, body: { ...plain.body, directory: { depth: 3, file: FILE } } };
const { tenantId } = tenant;
const gatewayId = `${tenantId}-gateway-1`;
const organization = tenant.spec.microsoft365.tenantId;
const stands = async () => (await platform.northwind.getDirectory({ tenantId })).body;
const condition = async () =>
  (await platform.northwind.getTenant({ tenantId })).body.conditions.find(({ type }) => type === "DirectoryFresh");
async function untilSaid(reason: string): Promise<void> {
  for (let looks = 0; (await condition())?.reason !== reason; looks++) {
    if (looks > 600) throw new Error(`never said ${reason}, but ${JSON.stringify(await condition())}`);
    await pause(100);
  }
}

test("nobody's directory is read before a pilot", async () => {
  await platform.organize(tenant);
  await platform.register(tenant);
  await expect(platform.northwind.startDirectoryRefresh({ tenantId, body: {} })).rejects.toMatchObject({
    status: 409,
    code: "DirectoryNotServed",
  });
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  expect(await stands()).toEqual({ state: "none", machines: [{ gatewayId, state: "none" }] });
});

test("without the permissions it says so; with them the timer reads it, and the document stands", async () => {
  await platform.fire("refreshDirectories");
  await untilSaid("ConsentRequired");
  permitDirectory(platform.clouds, organization);
  const hand = directoryHand(platform.clouds.platform, organization);
  for (let number = 0; number < 30; number++) hand.put("users", `u${number}`, { displayName: `Person ${number}` });
  hand.put("groups", "g1", { displayName: "All" });
  hand.join("g1", "u1", "user");
  await platform.northwind.startDirectoryRefresh({ tenantId, body: {} });
  await untilSaid("Published");
  expect(await stands()).toMatchObject({ state: "published", published: { users: 30, groups: 1 } });
});

const onMachine = (): string | undefined =>
  [...platform.clouds.platform.collection<GuestState>("arm.guests").values()].map(
    ({ files }) => files[FILE.toLowerCase()]?.text,
  )[0];
const looks = async (): Promise<number> => (await platform.record()).filter(({ method }) => method === "DIRECTORY").length;
/** Tasks of the machine run until that holds. */
async function whileTasksRun(holds: () => Promise<boolean>, get?: Get): Promise<void> {
  const { platform: clouds } = platform.clouds;
  const tasks = [startDirectories(clouds, get), startHeartbeats(clouds)];
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 600) throw new Error(`never: ${JSON.stringify(await stands())}`);
    await pause(100);
  }
  for (const task of tasks) task.stop();
}

test("a document that is cut off or tampered with on its way never takes its place on the machine; a whole one does", async () => {
  for (const spoilt of [
    (bytes: Buffer) => bytes.subarray(0, bytes.length - 9),
    (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 20), Buffer.from("x"), bytes.subarray(21)]),
  ]) {
    const before = await looks();
    await whileTasksRun(
      async () => (await looks()) > before,
      async (url, init) => {
        const response = await fetch(url, init);
        const bytes = spoilt(Buffer.from(await response.arrayBuffer()));
        const { status, headers } = response;
        return new Response(new Uint8Array(bytes), {
          status,
          headers: { etag: headers.get("etag") ?? "", "content-range": `bytes 0-9/${bytes.length}` },
        });
      },
    );
    expect(onMachine()).toBeUndefined();
  }
  await whileTasksRun(async () => (await stands()).machines?.[0]?.state === "current");
  expect(parseDirectory(onMachine() ?? "").users).toHaveLength(30);
  const fetched = await stands();
  const before = await looks();
  await whileTasksRun(async () => (await looks()) > before);
  expect((await platform.record()).findLast(({ method }) => method === "DIRECTORY")).toMatchObject({ status: 304 });
  expect((await stands()).machines).toEqual(fetched.machines);
});

test("a mass removal is held until somebody accepts it", async () => {
  const hand = directoryHand(platform.clouds.platform, organization);
  for (let number = 0; number < 15; number++) hand.remove("users", `u${number}`);
  await platform.northwind.startDirectoryRefresh({ tenantId, body: {} });
  await untilSaid("MassRemoval");
  expect(await stands()).toMatchObject({ state: "held", published: { users: 30 }, held: { lost: 15, of: 31 } });
  await platform.northwind.startDirectoryRefresh({ tenantId, body: { lossAccepted: true } });
  await untilSaid("Published");
  expect(await stands()).toMatchObject({ state: "published", published: { users: 15 } });
});

test("the machine has the next one, and nothing of the directory is left when the tenant goes", async () => {
  expect((await stands()).machines).toMatchObject([{ state: "older" }]);
  await whileTasksRun(async () => (await stands()).machines?.[0]?.state === "current");
  expect(parseDirectory(onMachine() ?? "").users).toHaveLength(15);
  await platform.northwind.startDirectoryRefresh({ tenantId, body: {} });
  const { body } = await platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } });
  expect(await platform.untilEnded(body)).toMatchObject({ status: "Succeeded" });
  expect((await stands()).published).toBeUndefined();
});

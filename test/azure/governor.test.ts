/** Azure's limits are kept by all instances together: on tables, and over the wire against a simulated Azure that has them. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAzure } from "../../shared/azure/client.ts";
import { createGovernor, type Governor } from "../../shared/azure/governor.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import type { QuotaStore } from "../../shared/stores/quotas.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { testStores } from "../support/stores.ts";

let now = Date.parse("2028-03-01T12:00:00Z");
const clock = { now: () => now };
const { quotas } = testStores(clock);
const instances = [1, 2, 3].map(() => createGovernor({ quotas, clock }));

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds({ tempo: 1, now: clock.now });
});
afterAll(() => clouds.stop());

const pathIn = (subscription: string): string => `/subscriptions/${subscription}/resourceGroups/contoso`;

/** Each asks to send in its turn, until none may any more: how many were admitted. */
async function sendAll(governors: Governor[], method: string, url: string): Promise<number> {
  let sent = 0;
  for (;;) {
    const before = sent;
    for (const governor of governors) {
      try {
        await governor.admit(method, url);
        sent += 1;
      } catch (error) {
        expect(error).toMatchObject({ code: "AzureQuotaUsed", transient: true, untried: true });
      }
    }
    if (sent === before) return sent;
  }
}

test("three instances together send as many writes as one may, and as many again as come back", async () => {
  const path = pathIn(randomUUID());
  expect(await sendAll(instances, "PUT", path)).toBe(200);
  // Deletions have a bucket of their own.
  expect(await sendAll(instances, "DELETE", path)).toBe(200);
  now += 5000;
  expect(await sendAll(instances, "PUT", path)).toBe(50);
  now += 3_600_000;
  expect(await sendAll(instances, "PUT", path)).toBe(200);
});

test("many who ask at the same moment are all admitted while there is room, and by all instances together no more than that", async () => {
  const path = pathIn(randomUUID());
  const ask = (count: number): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(Array.from({ length: count }, async (_, index) => instances[index % 3]?.admit("GET", path)));
  const outcomes = [...(await ask(200)), ...(await ask(300))];
  expect(outcomes.slice(0, 200).filter(({ status }) => status === "rejected")).toEqual([]);
  expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBe(250);
});

test("who is sent away has a turn of his own", async () => {
  const governor = createGovernor({ quotas, clock });
  const path = pathIn(randomUUID());
  expect(await sendAll([governor], "PUT", path)).toBe(200);
  const waits: number[] = [];
  for (let count = 0; count < 30; count += 1)
    await governor.admit("PUT", path).catch((error: { retryAfterInSeconds: number }) => waits.push(error.retryAfterInSeconds));
  expect([waits[0], waits.at(-1)]).toEqual([1, 4]);
});

test("what somebody else uses under the same name is left to him", async () => {
  const governor = createGovernor({ quotas, clock });
  const path = pathIn(randomUUID());
  await governor.admit("GET", path);
  governor.learn("GET", path, (name) => (name === "x-ms-ratelimit-remaining-subscription-reads" ? "60" : undefined));
  // Nine of the first share, then what is left above the reserve of 40.
  expect(await sendAll([governor], "GET", path)).toBeLessThanOrEqual(9 + 20);
});

test("without storage nothing is held back: Azure decides", async () => {
  const broken: QuotaStore = { take: () => Promise.reject(new Error("storage does not answer")) };
  const governor = createGovernor({ quotas: broken, clock });
  for (let count = 0; count < 300; count += 1) await governor.admit("PUT", pathIn("any"));
});

test("a read that may not be sent yet is no answer, and nothing is sent", async () => {
  const [entraTenantId, subscriptionId] = [randomUUID(), randomUUID()];
  await clouds.organize({ tenantId: entraTenantId, domains: [], subscriptionId });
  const governor = createGovernor({ quotas, clock });
  const credentials = createCredentials(clouds.environment, clouds.application);
  const azure = createAzure({ environment: clouds.environment, credentials, governor });
  const read = () => azure.get(entraTenantId, `${pathIn(subscriptionId)}?api-version=2025-04-01`);
  expect(await read()).toEqual({ state: "absent" });
  const before = (await clouds.requests("arm")).length;
  await sendAll([governor], "GET", pathIn(subscriptionId));
  await expect(read()).rejects.toMatchObject({ code: "AzureQuotaUsed" });
  expect((await clouds.requests("arm")).length).toBe(before);
});

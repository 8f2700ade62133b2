/** The simulated Resource Graph under Microsoft's own SDK: pages, the tables' shapes, the quota, what it refuses, who sees what. */
import { ResourceGraphClient } from "@azure/arm-resourcegraph";
import { expect, test } from "vitest";
import type { Claims } from "../../infra/local/clouds/simulator.ts";
import { createTestArm, ours, type TestArm } from "../support/arm-platform.ts";
import { machineId, placeMachines } from "../support/fleet.ts";

const { subscriptionId } = ours;

const client = (arm: TestArm, claims?: Partial<Claims>) => new ResourceGraphClient(arm.credential(claims), arm.clientOptions());
const query = (arm: TestArm, text: string, options: { top?: number; skipToken?: string } = {}) =>
  client(arm).resources({ subscriptions: [subscriptionId], query: text, options: { resultFormat: "objectArray", ...options } });
const machines = "Resources | where type =~ 'Microsoft.Compute/virtualMachines'";
const armWith = (count: number): TestArm => {
  const arm = createTestArm();
  placeMachines(arm.platform, { subscriptionId, count });
  return arm;
};

test("2,500 machines come in three pages, each once", async () => {
  const arm = armWith(2500);
  const ids = new Set<string>();
  const sizes: number[] = [];
  let skipToken: string | undefined;
  do {
    const page = await query(arm, `${machines} | project id | order by id asc`, skipToken === undefined ? {} : { skipToken });
    expect(page.totalRecords).toBe(2500);
    sizes.push(page.count);
    for (const { id } of page.data as { id: string }[]) ids.add(id);
    skipToken = page.skipToken;
  } while (skipToken !== undefined);
  expect(sizes).toEqual([1000, 1000, 500]);
  expect(ids.size).toBe(2500);
});

test("without the column id, or with take, there is no way to the next page", async () => {
  const arm = armWith(3);
  const named = await query(arm, `${machines} | project name`, { top: 2 });
  expect(named).toMatchObject({ count: 2, totalRecords: 3, resultTruncated: "true" });
  expect(named.skipToken).toBeUndefined();
  const taken = await query(arm, `${machines} | project id | take 2`, { top: 1 });
  expect(taken).toMatchObject({ count: 1, totalRecords: 2 });
  expect(taken.skipToken).toBeUndefined();
});

test("power is in the machine's row, availability in the health table, and a join brings them together", async () => {
  const arm = armWith(2);
  const [running, stopped] = [machineId(subscriptionId, 0), machineId(subscriptionId, 1)];
  arm.platform.peers.actOnMachine?.(stopped, "stop");
  const { data } = await query(
    arm,
    `${machines} // ours
     | extend joinId = tolower(id)
     | join kind=leftouter (
         HealthResources
         | where type == 'microsoft.resourcehealth/availabilitystatuses'
         | project joinId = tolower(tostring(properties.targetResourceId)), availability = tostring(properties.availabilityState)
       ) on joinId
     | project id, power = tostring(properties.extended.instanceView.powerState.code), availability
     | order by id asc`,
  );
  expect(data).toEqual([
    { id: running, power: "PowerState/running", availability: "Available" },
    { id: stopped, power: "PowerState/deallocated", availability: "Unavailable" },
  ]);
  arm.platform.peers.actOnMachine?.(running, "fail");
  const failed = await query(arm, "HealthResources | where properties.availabilityState != 'Available' | project id");
  expect(failed.count).toBe(2);
});

test("conditions: and, or, in~, not, tags, empty values", async () => {
  const arm = armWith(3);
  const count = async (condition: string) => (await query(arm, `${machines} | where ${condition} | project id`)).count;
  expect(await count("tags['gatehouse-tenant'] == 'customer-1' or name in~ ('GATEWAY-1', 'x')")).toBe(3);
  expect(await count("tags['gatehouse-tenant'] == 'customer-1' and isnotempty(tags['gatehouse-partner'])")).toBe(1);
  expect(await count("not(tags['gatehouse-tenant'] =~ 'CUSTOMER-1')")).toBe(2);
  expect(await count("isempty(tags.nothing)")).toBe(3);
});

test.each([
  ["Resources | mv-expand tags", { code: "ParserFailure", token: "-" }],
  ["Resources | summarize count() by type", { code: "ParserFailure" }],
  ["Resources | where type matches regex 'x'", { code: "ParserFailure", token: "matches" }],
  ["Resources | where nothing == 'x'", { code: "SemanticError" }],
  ["Machines | project id", { code: "InvalidTableName" }],
  ["Resources | where strlen(name) == 3", { code: "UnknownFunction" }],
  ["Resources | project id, name = 'a", { code: "ParserFailure" }],
])("refuses what it does not know: %s", async (text, finding) => {
  const response = await armWith(1).request("POST", "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01", {
    body: { subscriptions: [subscriptionId], query: text },
  });
  expect(response).toMatchObject({
    status: 400,
    body: {
      error: {
        code: "BadRequest",
        message: expect.stringMatching(/^Please provide below info when asking for support/),
        details: [{ code: "InvalidQuery" }, finding],
      },
    },
  });
});

test("a principal asks 15 times in 5 seconds, told how many are left; then it waits", async () => {
  const arm = armWith(1);
  const ask = (claims: Partial<Claims> = {}) =>
    arm.request("POST", "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01", {
      body: { subscriptions: [subscriptionId], query: `${machines} | project id` },
      claims,
    });
  const first = await ask();
  expect(first.headers).toMatchObject({ "x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05" });
  arm.advance(2);
  for (let asked = 1; asked < 15; asked += 1) expect((await ask()).status).toBe(200);
  const refused = await ask();
  expect(refused).toMatchObject({
    status: 429,
    headers: { "x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:03" },
    body: { error: { code: "RateLimiting" } },
  });
  arm.advance(3);
  expect((await ask()).status).toBe(200);
});

test("what a principal may not read is not there; a query with nothing left is refused", async () => {
  const arm = armWith(1);
  const other = "c0ffee00-0000-4000-8000-0000000000ff";
  const { count } = await client(arm).resources({ subscriptions: [subscriptionId, other], query: `${machines} | project id` });
  expect(count).toBe(1);
  const stranger = client(arm, { oid: "c0ffee00-0000-4000-8000-0000000000b2" });
  const asked = { subscriptions: [subscriptionId], query: `${machines} | project id` };
  await expect(stranger.resources(asked)).rejects.toMatchObject({ statusCode: 403 });
  await expect(client(arm).resources({ ...asked, subscriptions: [other] })).rejects.toMatchObject({ statusCode: 400 });
});

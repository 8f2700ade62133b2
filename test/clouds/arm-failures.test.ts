/** What goes wrong in the simulated Azure on command or by its limits: failed operations, throttling, quotas, operations that are forgotten. */
import { expect, test } from "vitest";
import { createTestArm, ours } from "../support/arm-platform.ts";
import { startClouds } from "../support/clouds.ts";
import {
  ask,
  at,
  control,
  groupId,
  location,
  machineBody,
  make,
  makeGround,
  makeMachine,
  outcome,
  rows,
} from "../support/arm-requests.ts";

const smtp01 = "Microsoft.Compute/virtualMachines/smtp01";

test.each([
  ["AllocationFailed", "sufficient capacity for the requested VM size in this region"],
  ["ZonalAllocationFailed", "sufficient capacity for the requested VM size in this zone"],
  ["OSProvisioningTimedOut", "OS Provisioning for VM 'smtp01' did not finish in the allotted time"],
  ["VMAgentStatusCommunicationError", "VM 'smtp01' has not reported status for VM agent"],
])("a machine's creation fails with %s, leaves it Failed, and succeeds when it is asked again", async (code, message) => {
  const arm = createTestArm();
  await makeGround(arm);
  control(arm, "POST", "/azure/failures", { type: "Microsoft.Compute/virtualMachines", failure: code });
  const failed = await makeMachine(arm, "smtp01").catch((error: unknown) => String(error));
  expect(failed).toContain(message);
  expect(failed).toContain(`"status":"Failed","error":{"code":"${code}"`);
  expect(at((await ask(arm, "GET", smtp01)).body, "properties.provisioningState")).toBe("Failed");
  const again = await make(arm, smtp01, machineBody("smtp01"));
  expect(at(again, "properties.provisioningState")).toBe("Succeeded");
});

test("a size without capacity is refused at once, and only as often as it was ordered", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  control(arm, "POST", "/azure/failures", { resource: "virtualMachines/smtp01", failure: "SkuNotAvailable", times: 2 });
  await expect(makeMachine(arm, "smtp01")).rejects.toThrow(/409 .*SkuNotAvailable/);
  expect(control(arm, "GET", "/azure/failures")?.body).toMatchObject({ value: [{ failure: "SkuNotAvailable", times: 1 }] });
  control(arm, "DELETE", "/azure/failures");
  expect((await ask(arm, "PUT", smtp01, { body: machineBody("smtp01") })).status).toBe(201);
});

test("a removal that fails leaves the resource, and the next one removes it", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  const failure = { code: "InternalServerError", message: "An error occurred." };
  control(arm, "POST", "/azure/failures", { resource: "virtualNetworks/net", operation: "delete", failure });
  const path = "Microsoft.Network/virtualNetworks/net";
  expect(await outcome(arm, await ask(arm, "DELETE", path))).toEqual({ status: "Failed", error: failure });
  expect((await ask(arm, "GET", path)).status).toBe(200);
  await outcome(arm, await ask(arm, "DELETE", path));
  expect((await ask(arm, "GET", path)).status).toBe(404);
});

test("an operation is forgotten a day after its end, or on command while it runs; the resource tells the rest", async () => {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  const path = "Microsoft.Network/networkSecurityGroups/rules";
  const begun = await ask(arm, "PUT", path, { body: { location, properties: {} } });
  const url = new URL(begun.headers["azure-asyncoperation"] ?? "");
  const status = async (): Promise<number> => (await arm.request("GET", `${url.pathname}${url.search}`)).status;
  expect(await status()).toBe(200);
  arm.advance(60);
  expect(await status()).toBe(200);
  arm.advance(24 * 3600 + 1);
  expect(await status()).toBe(404);
  const second = await ask(arm, "PUT", path, { body: { location, properties: {}, tags: { a: "b" } } });
  expect(control(arm, "DELETE", "/azure/operations")?.body).toEqual({ forgotten: 2 });
  expect(await outcome(arm, second)).toMatchObject({ error: { code: "NotFound" } });
  expect(at((await ask(arm, "GET", path)).body, "properties.provisioningState")).toBe("Succeeded");
});

test("Compute's bucket for one machine's updates holds twelve and names itself when it is empty", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const tag = () => ask(arm, "PATCH", smtp01, { body: { tags: { round: "x" } } });
  const statuses: number[] = [];
  let last = await tag();
  for (; last.status !== 429; last = await tag()) statuses.push(last.status);
  expect(statuses).toHaveLength(12);
  expect(last.headers).toMatchObject({
    "retry-after": "15",
    "x-ms-ratelimit-remaining-resource": "Microsoft.Compute/UpdateVMResource;0",
  });
  expect(last.body).toMatchObject({
    error: {
      code: "OperationNotAllowed",
      message: expect.stringContaining("too many requests"),
      details: [{ code: "TooManyRequests", target: "UpdateVMResource" }],
    },
  });
  arm.advance(15);
  expect((await tag()).status).not.toBe(429);
});

test("a drained bucket refuses for as long as was said, the others go on", async () => {
  const arm = createTestArm({ tempo: 0 });
  await make(arm, groupId, { location });
  control(arm, "POST", "/azure/throttling", { bucket: "writes", seconds: 7 });
  const refused = await ask(arm, "PUT", groupId, { body: { location } });
  expect([refused.status, refused.headers["retry-after"], at(refused.body, "error.code")]).toEqual([
    429,
    "7",
    "SubscriptionRequestsThrottled",
  ]);
  const read = await ask(arm, "GET", groupId);
  expect(read.status).toBe(200);
  expect(Object.keys(read.headers)).toEqual(
    expect.arrayContaining(["x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-global-reads"]),
  );
  arm.advance(8);
  expect((await ask(arm, "PUT", groupId, { body: { location } })).status).toBe(200);
});

test("cores are counted by region and family, and what exceeds them is refused with Azure's sentence", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  const usage = async (name: string) => {
    const { body } = await ask(
      arm,
      "GET",
      `/subscriptions/${ours.subscriptionId}/providers/Microsoft.Compute/locations/${location}/usages`,
    );
    const found = rows(body).find((one) => at(one, "name.value") === name);
    return [found?.["currentValue"], found?.["limit"]];
  };
  const { subscriptionId } = ours;
  control(arm, "POST", "/azure/quotas", { subscriptionId, location, name: "standardDASv5Family", limit: 6 });
  await makeMachine(arm, "smtp01");
  expect([await usage("cores"), await usage("standardDASv5Family")]).toEqual([
    [4, 350],
    [4, 6],
  ]);
  await expect(makeMachine(arm, "smtp02")).rejects.toThrow(
    /409 .*OperationNotAllowed.*exceeding approved standardDASv5Family Cores quota.*Current Limit: 6, Current Usage: 4, Additional Required: 4/,
  );
  await make(arm, "Microsoft.Compute/virtualMachines/smtp02", machineBody("smtp02", { vmSize: "Standard_D4s_v5" }));
});

test("addresses are counted, and one too many is refused", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  const { subscriptionId } = ours;
  control(arm, "POST", "/azure/quotas", { subscriptionId, location, name: "PublicIPAddresses", limit: 0 });
  await expect(makeMachine(arm, "smtp01")).rejects.toThrow(/400 .*PublicIPCountLimitReached/);
  const { body } = await ask(
    arm,
    "GET",
    `/subscriptions/${subscriptionId}/providers/Microsoft.Network/locations/${location}/usages`,
  );
  expect(rows(body).find((one) => at(one, "name.value") === "NetworkSecurityGroups")).toMatchObject({
    currentValue: 1,
    limit: 5000,
    unit: "Count",
  });
});

test("the control door takes these orders, and says what is wrong with one", async () => {
  const clouds = await startClouds();
  try {
    const order = async (path: string, body: unknown): Promise<number> => {
      const response = await fetch(`${clouds.control}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return response.status;
    };
    expect([
      await order("/azure/failures", { type: "Microsoft.Compute/virtualMachines", failure: "AllocationFailed" }),
      await order("/azure/failures", { failure: "NoSuchFailure" }),
      await order("/azure/throttling", { bucket: "writes" }),
      await order("/azure/nothing", {}),
    ]).toEqual([201, 400, 204, 404]);
  } finally {
    await clouds.stop();
  }
});

/** What goes wrong on the way: the words that a partner reads, and an onboarding that goes on from there when it is asked again. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const fail = async (resource: string, failure: string, times = 1): Promise<void> => {
  const { status } = await fetch(`${platform.clouds.control}/azure/failures`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resource, failure, times }),
  });
  expect(status).toBe(201);
};

const again = async (tenant: Customer): Promise<Operation> => platform.untilEnded(await platform.start(tenant));
const stepOf = ({ steps }: Operation, name: string) => steps.find((step) => step.name === name);

/** What is there is found, and nothing of it written once more. */
async function completes(tenant: Customer, made: string[]): Promise<void> {
  const operation = await again(tenant);
  expect(operation.error).toBeUndefined();
  expect(operation.result).toMatchObject({ stage: "pilot" });
  for (const name of made) expect(stepOf(operation, name), name).toMatchObject({ change: "unchanged" });
  const before = await platform.now();
  expect((await again(tenant)).error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
}

test("a size that is closed to the subscription stops it before anything is made; with another one it goes through", async () => {
  const closed = customer("contoso", "restricted", { size: "Standard_B4ls_v2" });
  await platform.organize(closed);
  await platform.register(closed);
  const failed = await again(closed);
  expect(failed).toMatchObject({
    status: "Failed",
    error: {
      code: "SizeNotAvailable",
      message: "Standard_B4ls_v2 is not available for this subscription in westeurope",
      target: "spec.gateway.size",
    },
  });
  expect((await platform.estate(closed)).azure).toEqual([]);
  const { size: _, ...gateway } = closed.body.gateway;
  await platform.northwind.putTenant({ tenantId: closed.tenantId, body: { ...closed.body, gateway } });
  await completes(closed, []);
});

describe("two machines behind a load balancer", () => {
  const tenant = customer("contoso", "unready", { regions: [{ name: "westeurope", machines: 2 }] });
  const stands = ["gatewayVm", "gatewayVm-m2", "guest", "loadBalancer", "inboundConnector", "webClientApplication"];

  test("the second one's agent isn't ready: Azure's own words, and nobody's mail has moved", async () => {
    await platform.organize(tenant);
    await platform.register(tenant);
    await fail("gateway-2/runCommands", "VMAgentStatusCommunicationError", 9);
    const failed = await again(tenant);
    expect(failed).toMatchObject({ status: "Failed", error: { code: "VMAgentStatusCommunicationError" } });
    expect(failed.error?.message).toBe(
      "the cloud's work on the guest failed: VM 'gateway-2' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage. Please refer to https://aka.ms/vmextensionwindowstroubleshoot for additional VM agent troubleshooting information.",
    );
    expect(stepOf(failed, "guest")).toMatchObject({ status: "Succeeded" });
    expect(stepOf(failed, "guest-m2")).toMatchObject({
      status: "Failed",
      error: { code: "VMAgentStatusCommunicationError" },
    });
    const { body } = await platform.northwind.getTenant({ tenantId: tenant.tenantId });
    expect(body.conditions.find(({ type }) => type === "Ready")).toMatchObject({
      status: "False",
      reason: "VMAgentStatusCommunicationError",
    });
    expect((await platform.estate(tenant)).addresses.forwarded).toEqual([tenant.spec.microsoft365.probeMailbox]);
  });

  test("the second one's script fails: what it says of Windows there", async () => {
    await fetch(`${platform.clouds.control}/azure/failures`, { method: "DELETE" });
    const guests = platform.clouds.platform.collection<GuestState>("arm.guests");
    const [id, guest] =
      guests.entries().find(([key]) => key.includes(tenant.spec.azure.subscriptionId) && key.endsWith("/gateway-2")) ?? [];
    if (id === undefined || guest === undefined) throw new Error("there is no second machine");
    guests.set(id, { ...guest, lcmBusy: true });
    const failed = await again(tenant);
    expect(failed).toMatchObject({ status: "Failed", error: { code: "GuestFailed", target: "LcmBusy" } });
    expect(failed.error?.message).toBe(
      "setting the guest of gateway-2: LcmBusy: the Local Configuration Manager did not become idle",
    );
    expect(stepOf(failed, "guest")).toMatchObject({ status: "Succeeded", change: "unchanged" });
    guests.set(id, { ...(guests.get(id) ?? guest), lcmBusy: false });
    await completes(tenant, stands);
  });
});

test("Azure's own work on the machine fails: retried, it is made again in its place", async () => {
  const tenant = customer("contoso", "unbooted");
  await platform.organize(tenant);
  await platform.register(tenant);
  await fail("/virtualMachines/gateway-1", "OSProvisioningTimedOut");
  const failed = await again(tenant);
  expect(failed).toMatchObject({ status: "Failed", error: { code: "OSProvisioningTimedOut" } });
  expect(failed.error?.message).toContain("OS Provisioning for VM 'gateway-1' did not finish in the allotted time");
  await completes(tenant, []);
});

everyBodyFits(() => platform.record());

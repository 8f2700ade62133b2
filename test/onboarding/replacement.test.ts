/** A spec that a standing machine can follow only by being made anew: the plan says so, and an onboarding changes nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

const tenant = customer("contoso", "citypower");
const { tenantId, body } = tenant;
let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
  expect((await platform.onboard(tenant)).error).toBeUndefined();
});
afterAll(() => platform.stop());

const put = (gateway: Partial<typeof body.gateway>, more: Partial<typeof body> = {}) =>
  platform.northwind.putTenant({ tenantId, body: { ...body, ...more, gateway: { ...body.gateway, ...gateway } } });

test("another disk is `replace` in the plan, with what it interrupts, and ends an onboarding before it writes anything", async () => {
  await put({ disk: "StandardSSD_LRS" });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([
    {
      kind: "gatewayVm",
      name: "Gateway VM",
      action: "replace",
      changes: [{ path: "disk", from: "Premium_LRS", to: "StandardSSD_LRS" }],
      reason: expect.stringContaining("no mail passes it"),
    },
  ]);
  const failed = plan.checks.filter(({ status }) => status === "fail");
  expect(failed.map(({ code }) => code)).toEqual(["ReplacementNeeded"]);
  const before = await platform.now();
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation).toMatchObject({ status: "Failed", error: { code: "ReplacementNeeded", target: "spec.gateway" } });
  expect(operation.error?.message).toBe(
    "virtual machine gateway-1 can only get another disk by being replaced, and until its successor stands no mail passes it; put the spec back as the machine stands (disk Premium_LRS): machines are not replaced yet",
  );
  expect(writes(await platform.record(before))).toEqual([]);
});

test("a spec that would leave something behind is refused with the field", async () => {
  const leaves = async (gateway: Partial<typeof body.gateway>, more: Partial<typeof body> = {}): Promise<unknown> =>
    put(gateway, more).then(
      ({ status }) => status,
      (error: { status: number; code: string; target?: string }) => [error.status, error.code],
    );
  expect(await leaves({ regions: [{ name: "northeurope" }] })).toEqual([409, "TenantInUse"]);
  expect(await leaves({}, { connectionFilter: false })).toEqual([409, "TenantInUse"]);
  expect(await leaves({}, { azure: { ...body.azure, subscriptionId: "c0ffee00-0000-4000-8000-0000000000ff" } })).toEqual([
    409,
    "TenantInUse",
  ]);
  // What an onboarding can bring about is taken, and put back.
  expect(await leaves({ services: { smtp: {}, https: {} } })).toBe(200);
  expect(await leaves({})).toBe(200);
});

/** Plans on Azurite: a partner's own, kept for two weeks. */
import { expect, test } from "vitest";
import type { Plan } from "../../shared/api/plan.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { testStores, unique } from "../support/stores.ts";

const spec = {} as TenantSpec;
const plan = (tenantId: string, hash: string): Plan => ({
  tenantId,
  operation: "onboarding",
  hash,
  estimatedDuration: "PT0S",
  resources: [],
  checks: [],
  findings: [{ code: "Long", severity: "information", message: "ä".repeat(40_000), remedy: "none" }],
  tasks: [],
});

test("is found by whoever it was made for, until two weeks have passed", async () => {
  let now = Date.UTC(2026, 10, 1);
  const { plans } = testStores({ now: () => now });
  const partnerId = unique("northwind");
  const kept = { plan: plan("contoso", "a1"), spec };
  await plans.keep(partnerId, kept);
  await plans.keep(partnerId, kept);
  expect(await plans.find(partnerId, "contoso", "a1")).toEqual(kept);
  expect(await plans.find(unique("adatum"), "contoso", "a1")).toBeUndefined();
  expect(await plans.find(partnerId, "contoso2", "a1")).toBeUndefined();
  now += 15 * 86_400_000;
  expect(await plans.find(partnerId, "contoso", "a1")).toBeUndefined();
  await plans.keep(partnerId, { plan: plan("contoso", "b2"), spec });
  now -= 15 * 86_400_000;
  expect(await plans.find(partnerId, "contoso", "a1")).toBeUndefined();
});

/** Nobody's permissions in the WebClient are begun anew before each group that gets in then was seen to have a member. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminGroups } from "../../functions/onboarding/admin-groups.ts";
import { refuseFailed } from "../../functions/onboarding/preflight.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createGroups, type Groups } from "../../shared/graph/groups.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { letRead, makeGroup } from "../support/directory-groups.ts";
import { customer } from "../support/onboarding.ts";

const readable = "c0ffee00-0000-4000-8000-000000000001";
const closed = "fab00000-0000-4000-8000-000000000002";
let clouds: TestClouds;
let groups: Groups;
beforeAll(async () => {
  clouds = await startClouds();
  for (const [tenantId, domain] of [
    [readable, "contoso.example"],
    [closed, "fabrikam.example"],
  ] as const) {
    await clouds.organize({ tenantId, domains: [domain], mailboxes: [] });
    await clouds.consent(tenantId);
  }
  letRead(clouds, readable);
  makeGroup(clouds, readable, "Gateway administrators", "servicePrincipal", "user");
  makeGroup(clouds, readable, "O'Neill & Sons", "user");
  makeGroup(clouds, readable, "Nobody");
  makeGroup(clouds, readable, "Machines", "servicePrincipal", "group");
  makeGroup(clouds, readable, "Twins", "user");
  makeGroup(clouds, readable, "Twins", "user");
  makeGroup(clouds, closed, "Foreign administrators", "user");
  const credentials = createCredentials(clouds.environment, clouds.application);
  groups = createGroups(createGraph({ environment: clouds.environment, credentials }));
});
afterAll(() => clouds.stop());

const checksOf = (names: string[], tenantId = readable, reset: object = { resetSecurityContext: { flag: "Reset" } }) => {
  const { body } = customer("contoso");
  const spec = tenantSpecSchema.parse({
    ...body,
    microsoft365: { ...body.microsoft365, tenantId, powerShellApplication: true },
    gateway: { ...body.gateway, iqSuite: { webClient: { adminGroups: names, ...reset } } },
  });
  const tenant = { partnerId: "northwind", id: "contoso", spec, facts: {} } as unknown as TenantRecord;
  return adminGroups({ groups }, targetOf(tenant));
};

test("groups with people in them are good enough, whatever they are called", async () => {
  const checks = await checksOf(["Gateway administrators", "O'Neill & Sons"]);
  expect(checks.map(({ status }) => status)).toEqual(["pass", "pass"]);
  expect(() => refuseFailed(checks)).not.toThrow();
});

test.each([
  ["Nowhere", /there is no group Nowhere/],
  // Another customer's.
  ["Foreign administrators", /there is no group Foreign administrators/],
  ["Nobody", /no person is a direct member of the group Nobody/],
  ["Machines", /no person is a direct member/],
  ["Twins", /2 groups .* are called Twins/],
])("%s is refused, with the way out", async (name, message) => {
  const checks = await checksOf(["Gateway administrators", name]);
  expect(() => refuseFailed(checks)).toThrow(
    expect.objectContaining({ code: "AdminGroupUnproven", target: "spec.gateway.iqSuite.webClient.adminGroups" }),
  );
  expect(() => refuseFailed(checks)).toThrow(message);
  expect(() => refuseFailed(checks)).toThrow(/leave gateway\.iqSuite\.webClient\.resetSecurityContext out/);
});

test("what our application may not read, or can't at the moment, is refused too, and said so", async () => {
  const [forbidden] = await checksOf(["Foreign administrators"], closed);
  expect(forbidden).toMatchObject({
    status: "fail",
    message: expect.stringMatching(/can't be told.*ConsentRequired/),
    remedy: expect.stringContaining("GroupMember.Read.All"),
  });
  await clouds.fault("graph", 503, { path: "/groups" }, 4);
  const [busy] = await checksOf(["Gateway administrators"]);
  await clouds.clearFaults();
  expect(busy).toMatchObject({ status: "fail", message: expect.stringContaining("can't be told") });
});

test("without a reset nobody is looked up", async () => {
  expect(await checksOf(["Nowhere"], readable, {})).toEqual([]);
});

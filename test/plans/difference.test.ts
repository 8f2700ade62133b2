/** What is no longer as a plan has shown it, and how long things take. */
import { expect, test } from "vitest";
import type { Plan, PlannedResource } from "../../shared/api/plan.ts";
import { differenceOf } from "../../shared/plans/difference.ts";
import { isoDuration } from "../../shared/plans/durations.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

const spec = { displayName: "Contoso", pilot: { addresses: ["a@contoso.example"] } } as unknown as TenantSpec;
const resource = (name: string, more: Partial<PlannedResource> = {}): PlannedResource => ({
  kind: "inboundConnector",
  name,
  action: "none",
  changes: [],
  ...more,
});
const plan = (resources: PlannedResource[], more: Partial<Plan> = {}): Plan => ({
  tenantId: "contoso",
  operation: "onboarding",
  hash: "h",
  estimatedDuration: "PT0S",
  resources,
  checks: [],
  findings: [],
  tasks: [],
  ...more,
});

test("nothing has changed between a plan and itself, whatever JSON left out", () => {
  const kept = { plan: plan([resource("A"), resource("A", { reason: undefined })]), spec };
  expect(differenceOf(kept, JSON.parse(JSON.stringify(kept)) as typeof kept)).toEqual([]);
});

test("each thing that changed is named with what it was and what it is", () => {
  const changes = [{ path: "ips", from: ["198.51.100.7"], to: ["203.0.113.10"] }];
  const earlier = { plan: plan([resource("A"), resource("B"), resource("B", { action: "create" })]), spec };
  const finding = { code: "RuleAboveStops", severity: "warning" as const, message: "a rule stops", remedy: "move it" };
  const now = {
    plan: plan([resource("A", { action: "update", changes }), resource("B")], { findings: [finding] }),
    spec: { ...spec, displayName: "Contoso Ltd" },
  };
  expect(differenceOf(earlier, now)).toEqual([
    { code: "SpecChanged", target: "displayName", message: "the tenant's spec is another one here" },
    { code: "ResourceChanged", target: "A", message: 'was: none; is: update, ips from ["198.51.100.7"] to ["203.0.113.10"]' },
    { code: "ResourceChanged", target: "B 2", message: "was: create; is: not there" },
    { code: "FindingChanged", target: "RuleAboveStops", message: "was: not there; is: a rule stops" },
  ]);
});

test.each([
  [0, "PT0S"],
  [59.6, "PT1M"],
  [3600, "PT1H"],
  [2123, "PT35M23S"],
  [90_061, "PT25H1M1S"],
])("%s seconds are %s", (seconds, text) => expect(isoDuration(seconds)).toBe(text));

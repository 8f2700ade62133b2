/** What surrounds an adopted tenant's mail flow is judged as around one that we onboarded: its gateway stands. */
import { expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import type { Adopted } from "../../shared/desired/adopted.ts";
import { mailFlowOf } from "../../shared/runbook/surroundings.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { customer } from "../support/onboarding.ts";

const { tenantId, spec } = customer("contoso");
const names = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
const machine = { id: "iqsuite-ip", ipAddress: "203.0.113.7", fqdn: "mail.contoso.example" };
const adopted = (found: Adopted["found"]): Adopted => ({
  names,
  size: "Standard_D4s_v3",
  found,

  operationId: "1",
  at: "2026-11-01T00:00:00Z",
  regions: [{ machines: [machine] }],
});
const tenant = (facts: TenantRecord["facts"]): TenantRecord => ({
  partnerId: "northwind",
  id: tenantId,
  spec,
  stage: "live",
  conditions: [],
  facts: { names, ...facts },
  createdAt: "",
  lastUpdatedAt: "",
});

test("its address is the gateway's, and is missed on the allow list only where a person had put it there", () => {
  const flow = (facts: TenantRecord["facts"]) => {
    const { egressIps, onboarded } = mailFlowOf(tenant(facts));
    return { egressIps, onboarded };
  };
  expect(flow({})).toEqual({ egressIps: [], onboarded: false });
  expect(flow({ adopted: adopted({ connectionFilter: {} }) })).toEqual({ egressIps: ["203.0.113.7"], onboarded: true });
  expect(flow({ adopted: adopted({}) })).toEqual({ egressIps: ["203.0.113.7"], onboarded: false });
});

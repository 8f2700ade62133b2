/** What an onboarding over a person's installation leaves as it was found until the gateway is proven, and what it can't make whole. */
import { expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import type { Adopted } from "../../shared/desired/adopted.ts";
import { completionOf, incompletable, refuseIncompletable } from "../../shared/desired/completion.ts";
import type { Found } from "../../shared/resources/adoptable.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { customer } from "../support/onboarding.ts";

const { tenantId, spec } = customer("contoso");
const { probeMailbox } = spec.microsoft365;
const names = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
const loopGuid = { fingerprint: "0a1b2c3d" };
const found = (forwardingRule: Found): Adopted => ({
  names,
  size: "Standard_D4s_v3",
  found: { forwardingRule: { loopGuid, ...forwardingRule } },
  operationId: "1",
  at: "2026-11-01T00:00:00Z",
  regions: [{ machines: [{ id: "iqsuite-ip", ipAddress: "203.0.113.7", fqdn: "mail.contoso.example" }] }],
});
const everybody = { scope: [] };
const named = { scope: ["first@contoso.example"] };

const tenant = (stage: "pilot" | "live", facts: TenantRecord["facts"], gateway = spec.gateway) => ({
  id: tenantId,
  stage,
  facts,
  spec: { ...spec, gateway },
});
const reasons = (...given: Parameters<typeof tenant>): string[] => incompletable(tenant(...given)).map(({ code }) => code);

test("the probe mailbox joins those who are named, and nobody is named where everybody's mail runs", () => {
  expect(completionOf(tenant("live", { adopted: found(everybody) }))).toEqual({
    live: true,
    forwarding: { loopGuid, scope: [] },
  });
  expect(completionOf(tenant("pilot", { adopted: found(named) }))).toEqual({
    live: false,
    forwarding: { loopGuid, scope: ["first@contoso.example", probeMailbox].toSorted() },
  });
  expect(completionOf(tenant("live", {}))).toBeUndefined();
});

test("what an onboarding could not make whole without moving mail is said, each with what a person can do", () => {
  expect(reasons("live", { adopted: found(everybody) })).toEqual([]);
  expect(reasons("pilot", { adopted: found(named) })).toEqual([]);
  expect(reasons("live", {})).toEqual([]);
  expect(reasons("live", { adopting: {} })).toEqual(["AdoptionUnfinished"]);
  const limited = { scope: [], addedByOthers: { FromMemberOf: ["pilots@contoso.example"] } };
  expect(reasons("pilot", { adopted: found(limited) })).toEqual(["ForwardingRuleLimited"]);
  // For everybody inside: that is no limit.
  expect(reasons("live", { adopted: found({ scope: [], addedByOthers: { FromScope: "InOrganization" } }) })).toEqual([]);
  expect(
    reasons("pilot", { adopted: found({ ...named, addedByOthers: { ExceptIfFrom: ["scanner@contoso.example"] } }) }),
  ).toEqual([]);
  expect(reasons("live", { adopted: found({ ...everybody, exceptLoopHeader: "X-other" }) })).toEqual(["LoopHeaderDiffers"]);
  expect(reasons("live", { adopted: found({ ...everybody, loopGuid: null }) })).toEqual(["LoopGuidUnknown"]);
  expect(reasons("live", { adopted: found({ ...everybody, loopGuid: [loopGuid, loopGuid] }) })).toEqual(["LoopGuidUnknown"]);
  const regions = spec.gateway.regions.map((region) => ({ ...region, machines: 2 }));
  expect(reasons("live", { adopted: found(everybody) }, { ...spec.gateway, regions })).toEqual(["SeveralMachines"]);
});

test("an onboarding is refused with all of it", () => {
  expect(() => refuseIncompletable(tenant("pilot", { adopted: found({ ...everybody, exceptLoopHeader: null }) }))).toThrow(
    expect.objectContaining({
      code: "TenantAdopted",
      details: [
        expect.objectContaining({ code: "ForwardingRuleLimited" }),
        expect.objectContaining({ code: "LoopHeaderDiffers" }),
      ],
    }) as Error,
  );
  expect(() => refuseIncompletable(tenant("live", { adopted: found(everybody) }))).not.toThrow();
});

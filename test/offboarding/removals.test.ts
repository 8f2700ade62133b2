/** Whatever an onboarding may make is taken away by name, goes with its resource group, or is told to remain. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import { nameSourceOf } from "../../shared/desired/target.ts";
import { connectionRemovals, forwardingRemovals, goesWithItsGroup, remains } from "../../shared/desired/removals.ts";
import { createResources, type ResourceClients } from "../../shared/resources/index.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const spec = tenantSpecSchema.parse({
  ...contoso,
  microsoft365: { ...contoso.microsoft365, powerShellApplication: true, leastPrivilege: true },
  gateway: { ...contoso.gateway, exchangeWebServices: { access: "group", group: "ews@contoso.example" } },
  spf: { zones: [] },
});
const owner = { partnerId: "northwind", tenantId: "contoso" };
const target = { work: owner, spec, names: namesOf(nameSourceOf(owner, spec)) };
const ground = {
  loopGuid: { vaultUrl: "https://contoso.vault.example", name: "loop-guid", version: "1" },
  regions: [{ machines: [{ id: "1", ipAddress: "203.0.113.7", fqdn: "gateway.example" }] }],
  certificate: undefined,
  reader: { appId: "a", servicePrincipalId: "b" },
};
const byName = [...forwardingRemovals(target, ground), ...connectionRemovals(target, ground)];

/** Clients that nobody asks for anything. */
const anything = (): unknown => new Proxy({}, { get: anything });

test("no kind is forgotten", () => {
  const handled = [...byName.map(({ kind }) => kind), "resourceGroup", ...goesWithItsGroup, ...Object.keys(remains)];
  expect([...new Set(handled)].toSorted()).toEqual(Object.keys(createResources(anything() as ResourceClients)).toSorted());
});

test("steps have names of their own, and no connector goes before the rules that name it", () => {
  const steps = byName.map(({ step }) => step);
  expect(new Set(steps).size).toBe(steps.length);
  const first = Math.min(...["outboundConnector", "inboundConnector"].map((step) => steps.indexOf(step)));
  for (const [at, step] of steps.entries()) if (step.endsWith("Rule")) expect(at).toBeLessThan(first);
});

test("what remains says whose addresses are to be taken out of SPF", () => {
  expect(remains.spfRecord?.(target, ground)).toContain("203.0.113.7");
  expect(remains.roleGroup?.(target, ground)).toContain("administrator");
});

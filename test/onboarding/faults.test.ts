/**
 * Whatever goes wrong with writes, before or after their effect, an onboarding ends in the pilot with one of each thing. Four customers
 * at once, each with one kind of fault at each of its writes.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { oneOfEach } from "../support/estate.ts";
import { violations } from "../support/invariants.ts";
import { about, type Customer, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

interface Place {
  cloud: CloudName;
  match: { method?: string; path?: string; cmdlet?: string };
  /** How often an onboarding comes by. */
  times?: number;
}

/** Where a customer's onboarding writes. Three addresses of Graph name no customer: their faults meet whoever comes first. */
function writesOf({ tenantId, spec }: Customer): Place[] {
  const { subscriptionId } = spec.azure;
  const azure = [
    "resourcegroups/[^/]+",
    ".*/userAssignedIdentities/[^/]+",
    ".*/Microsoft.KeyVault/vaults/[^/]+",
    ".*/publicIPAddresses/[^/]+",
    ".*/networkSecurityGroups/[^/]+",
    ".*/virtualNetworks/[^/]+",
    ".*/networkInterfaces/[^/]+",
    ".*/virtualMachines/[^/]+",
    ".*/runCommands/[^/]+",
    ".*/roleAssignments/[^/]+",
  ];
  const cmdlets = ["New-InboundConnector", "New-OutboundConnector", "Set-HostedConnectionFilterPolicy", "New-TransportRule"];
  const organization = spec.microsoft365.tenantId;
  return [
    ...azure.map((path) => ({
      cloud: "arm" as const,
      match: { method: "PUT", path: `/subscriptions\\/${subscriptionId}\\/${path.replaceAll("/", "\\/")}\\?/i` },
      times: path.includes("roleAssignments") ? 2 : 1,
    })),
    ...["loop-guid", "gateway-admin-password"].map((name) => ({
      cloud: "vault" as const,
      match: { method: "PUT", path: `/${tenantId}[^/]*\\/secrets\\/${name}/` },
    })),
    ...[...cmdlets, "Set-TransportRule", "Validate-OutboundConnector"].map((cmdlet) => ({
      cloud: "exchange" as const,
      match: { cmdlet, path: organization },
      times: cmdlet === "New-TransportRule" ? 3 : 1,
    })),
    { cloud: "graph", match: { method: "PATCH", path: `webclient-${tenantId}` }, times: 2 },
    { cloud: "graph", match: { method: "POST", path: `/users/${encodeURIComponent(spec.microsoft365.probeMailbox)}/sendMail` } },
    ...["/v1.0/servicePrincipals", "/appRoleAssignedTo", "/oauth2PermissionGrants"].map((path) => ({
      cloud: "graph" as const,
      match: { method: "POST", path },
    })),
  ];
}

const busy = "503";
const throttled = { kind: "throttle", retryAfterInSeconds: 1 };
/** The fault of a write by its place in the list. */
const kinds: Record<string, (place: number) => unknown> = {
  "whose connections are cut before anything happened": () => "cut-before-effect",
  "whose connections are cut after it happened": () => "cut-after-effect",
  "whose clouds are busy or ask to wait": (place) => (place % 2 === 0 ? busy : throttled),
  "whose clouds ask to wait or are busy": (place) => (place % 2 === 0 ? throttled : busy),
};

let platform: OnboardingPlatform;
const customers = Object.keys(kinds).map((kind, index) => ({ kind, customer: customer("contoso", `fault${index}`) }));
const operations = new Map<string, Operation>();
let record: Exchange[];
beforeAll(async () => {
  platform = await startOnboarding();
  for (const { kind, customer } of customers)
    for (const [place, { cloud, match, times = 1 }] of writesOf(customer).entries())
      await platform.clouds.fault(cloud, kinds[kind]?.(place), match, times);
  await Promise.all(customers.map(async ({ kind, customer }) => operations.set(kind, await platform.onboard(customer))));
  record = await platform.record();
});
afterAll(() => platform.stop());

test("every fault that was planned has happened, and every kind of write has had one", async () => {
  expect(await (await fetch(`${platform.clouds.control}/faults`)).json()).toEqual({ value: [] });
  const written = customers
    .flatMap(({ customer }) => about(customer, record))
    .filter(({ effect, url }) => effect === "write" && url.startsWith("https:"));
  const harmed = new Set(record.filter(({ fault }) => fault !== undefined).map(kindOf));
  expect(written.filter((exchange) => !harmed.has(kindOf(exchange))).map(kindOf)).toEqual(
    customers.map(() => "entra POST v2.0/adminconsent"),
  );
});

describe.each(customers)("a customer $kind", ({ kind, customer }) => {
  test("ends in the pilot", () => {
    expect(operations.get(kind)?.error).toBeUndefined();
    expect(operations.get(kind)).toMatchObject({ status: "Succeeded", result: { stage: "pilot" } });
  });

  test("has one of each thing, and one loop GUID in all of them", async () => {
    const estate = await platform.estate(customer);
    expect(estate).toMatchObject(oneOfEach);
    const { vault, ...places } = estate.loopGuid;
    expect(places).toEqual({ registry: `X-iqsuite-process:${vault}`, approvalRule: [vault], forwardingRule: [vault] });
  });

  test("had no safety invariant violated", () => {
    expect(violations(record, customer.watched)).toEqual([]);
  });
});

/** A write without names and ids. */
function kindOf({ cloud, method, url, requestBody }: Exchange): string {
  const { CmdletInput: input } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string } };
  if (input) return `exchange ${input.CmdletName}`;
  const [parent = "", last = ""] = new URL(url).pathname.split("/").slice(-2);
  const place =
    cloud === "arm"
      ? parent
      : `${parent.replace(/^[0-9a-f-]{36}$/, "{id}").replace(/.*@.*|.*%40.*/, "{mailbox}")}/${last.replace(/\(.*/, "")}`;
  return `${cloud} ${method} ${place}`;
}

/**
 * A full onboarding, played over the wire, and what it asked of ARM and was answered, held against Microsoft's published descriptions: every
 * body against the types of its own api-version, every exchange against the OpenAPI documents. What isn't published is named here.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { bodyFindings, named } from "../support/arm-bodies.ts";
import { type ArmOperations, armOperations, nearestOperations } from "../support/arm-operations.ts";
import { addressed, type ArmSchemas, armSchemas, nearestTypes } from "../support/arm-schemas.ts";
import { customer, customerOf, type Customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

const schemas = armSchemas();
const operations = await armOperations();
if (schemas !== undefined && operations !== undefined) {
  describe("ARM's traffic of a full onboarding", () => againstWhatIsPublished(schemas, operations));
} else {
  test.skip("NOT CHECKED, for ../shared/specs is absent: ARM's traffic of a full onboarding", () => undefined);
}

function withMachinesBeside(): Customer {
  const { tenantId, body } = customer("contoso", "alpineski");
  const opened = { sources: ["198.51.100.0/24"] };
  const ucm = { mailboxes: 300, serviceAccount: "CONTOSO\\svc-ucm", controllers: ["192.0.2.10"], services: { http: opened } };
  const keyManager = { services: { keyManager: opened } };
  return customerOf(tenantId, { ...body, gateway: { ...body.gateway, keyManager }, ucm });
}

function againstWhatIsPublished(types: ArmSchemas, documents: ArmOperations): void {
  let platform: OnboardingPlatform;
  let traffic: Exchange[] = [];
  let puts: Exchange[] = [];

  beforeAll(async () => {
    platform = await startOnboarding();
    for (const one of [customer("contoso"), withMachinesBeside()]) expect((await platform.onboard(one)).status).toBe("Succeeded");
    // The fleet's sweep asks Resource Graph.
    await platform.fire("pollGateways");
    while (!(await arm()).some(({ url }) => url.includes("Microsoft.ResourceGraph"))) await pause(50);
    traffic = await arm();
    puts = traffic.filter(({ method, status: answered }) => method === "PUT" && answered < 300);
  });
  afterAll(() => platform.stop());

  const arm = async (): Promise<Exchange[]> => (await platform.record()).filter(({ cloud }) => cloud === "arm");

  test("every body fits its type at its own api-version", () => {
    const found = traffic.flatMap((exchange) => bodyFindings(types, exchange) ?? []);
    expect(found).toEqual([]);
  });

  test("every resource that is written has published types, but for these", () => {
    const missing = puts.filter((exchange) => bodyFindings(types, exchange) === undefined).map(named);
    expect(new Set(missing)).toEqual(
      new Set([
        "microsoft.managedidentity/userassignedidentities@2024-11-30",
        "microsoft.authorization/roleassignments@2022-04-01",
      ]),
    );
  });

  test("every exchange fits its operation, request and answer", async () => {
    const found: string[] = [];
    const seen = new Set<string>();
    for (const exchange of traffic) {
      const checked = await documents.check(exchange);
      if (checked === undefined) continue;
      seen.add(checked.operation);
      found.push(
        ...[...checked.request, ...checked.response].map((finding) => `${checked.operation} ${exchange.status} ${finding}`),
      );
    }
    expect(found).toEqual([]);
    expect(seen).toEqual(
      new Set([
        "ResourceGroups_Get",
        "ResourceGroups_CreateOrUpdate",
        "Vaults_Get",
        "Vaults_GetDeleted",
        "Vaults_CreateOrUpdate",
        "CheckDnsNameAvailability",
        "Usage_List",
        "PublicIPAddresses_Get",
        "PublicIPAddresses_CreateOrUpdate",
        "NetworkSecurityGroups_Get",
        "NetworkSecurityGroups_CreateOrUpdate",
        "VirtualNetworks_Get",
        "VirtualNetworks_CreateOrUpdate",
        "NetworkInterfaces_Get",
        "NetworkInterfaces_CreateOrUpdate",
        "VirtualMachines_Get",
        "VirtualMachines_CreateOrUpdate",
        "VirtualMachineRunCommands_ListByVirtualMachine",
        "VirtualMachineRunCommands_GetByVirtualMachine",
        "VirtualMachineRunCommands_CreateOrUpdate",
        // UCM's account is unknown at first: what failed is cleared away.
        "VirtualMachineRunCommands_Delete",
        "Resources",
      ]),
    );
  });

  test("every operation is in a published document, but for these", async () => {
    const missing = new Set<string>();
    for (const exchange of traffic) if ((await documents.check(exchange)) === undefined) missing.add(named(exchange));
    expect(missing).toEqual(
      new Set([
        "microsoft.resources/subscriptions@2022-12-01",
        "microsoft.authorization/permissions@2022-04-01",
        "microsoft.authorization/roleassignments@2022-04-01",
        "microsoft.managedidentity/userassignedidentities@2024-11-30",
        "microsoft.compute/skus@2021-07-01",
        "microsoft.network/locations/usages@2026-01-01",
        // Where an operation stands is asked at an address that the answer gave; no document has it.
        "microsoft.network/locations/operations@2026-01-01",
        "microsoft.compute/locations/operations@2026-04-01",
      ]),
    );
  });

  test("a published version stands in for one that isn't only where ours is used", () => {
    const used = new Set(traffic.map(({ url }) => versionOf(url)));
    const replaced = [...Object.keys(nearestTypes), ...Object.keys(nearestOperations)];
    expect(replaced.filter((version) => !used.has(version))).toEqual([]);
  });

  test("a version that nobody published is no pass", async () => {
    const [put] = puts;
    if (put === undefined) throw new Error("nothing was written");
    const later = { ...put, url: put.url.replace(/api-version=[^&]+/, "api-version=2099-01-01") };
    expect([bodyFindings(types, later), await documents.check(later)]).toEqual([undefined, undefined]);
  });

  test("no address has an empty segment", () => {
    expect(traffic.map(({ url }) => new URL(url).pathname).filter((path) => path.includes("//"))).toEqual([]);
  });

  test("no answer has a secret's property, and one that had would be found", async () => {
    const told = traffic.flatMap(({ responseBody }) => namesIn(responseBody)).filter((name) => SECRET.test(name));
    expect(told).toEqual([]);
    const machine = puts.find(({ url }) => addressed(new URL(url).pathname).type === "microsoft.compute/virtualmachines");
    if (machine === undefined) throw new Error("no machine was written");
    expect(namesIn(machine.requestBody).filter((name) => SECRET.test(name))).toEqual(["adminPassword"]);
    const telling = structuredClone(machine.responseBody) as { properties: { osProfile: Record<string, unknown> } };
    telling.properties.osProfile["adminPassword"] = "Correct-Horse-7-Battery";
    const checked = await documents.check({ ...machine, responseBody: telling });
    expect(checked?.response.map((finding) => finding.split(" ")[0])).toEqual(["SECRET_PROPERTY"]);
  });

  describe.each(["requestBody", "responseBody"] as const)("what is wrong in a %s is found", (part) => {
    test.each(["wrong type", "unknown property"] as const)("%s", async (mistake) => {
      const missed: string[] = [];
      let tried = 0;
      for (const put of puts) {
        if (bodyFindings(types, put) === undefined) continue;
        for (const { path, body } of mutations(put[part], mistake)) {
          tried += 1;
          const wrong = { ...put, [part]: body };
          const found = bodyFindings(types, wrong) ?? [];
          const checked = await documents.check(wrong);
          if (found.length === 0) missed.push(`types: ${named(put)} ${path}`);
          if ([...(checked?.request ?? []), ...(checked?.response ?? [])].length === 0)
            missed.push(`documents: ${named(put)} ${path}`);
        }
      }
      expect(missed).toEqual([]);
      expect(tried).toBeGreaterThan(50);
    });
  });
}

const SECRET = /^(adminPassword|protectedParameters|customData|protectedSettings)$/i;

const versionOf = (url: string): string => {
  const { pathname, searchParams } = new URL(url);
  return `${addressed(pathname).type.split("/")[0]}@${searchParams.get("api-version")}`;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const namesIn = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return isObject(value) ? Object.entries(value).flatMap(([name, inner]) => [name, ...namesIn(inner)]) : [];
};

/** The body once for each place where such a mistake can be made. */
function mutations(body: unknown, mistake: "wrong type" | "unknown property"): { path: string; body: unknown }[] {
  if (Array.isArray(body))
    return body.flatMap((element, index) =>
      mutations(element, mistake).map(({ path, body: wrong }) => ({ path: `/${index}${path}`, body: body.with(index, wrong) })),
    );
  if (!isObject(body)) return mistake === "wrong type" ? [{ path: "", body: typeof body === "string" ? 7 : "seven" }] : [];
  const inside = Object.entries(body).flatMap(([name, value]) =>
    mutations(value, mistake).map(({ path, body: wrong }) => ({ path: `/${name}${path}`, body: { ...body, [name]: wrong } })),
  );
  return mistake === "wrong type" ? inside : [{ path: "/surprise", body: { ...body, surprise: ["!"] } }, ...inside];
}

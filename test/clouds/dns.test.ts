/** The simulated DNS as Node's own resolver sees it, over UDP. */
import { Resolver } from "node:dns/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startClouds, type TestClouds } from "../support/clouds.ts";

let clouds: TestClouds;
let resolver: Resolver;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: "c0ffee00-0000-4000-8000-000000000001", domains: ["contoso.example"] });
  clouds.platform.peers.publicAddresses = () => [
    { fqdn: "gw.westeurope.cloudapp.azure.example", reverseFqdn: "gw.westeurope.cloudapp.azure.example", address: "203.0.113.7" },
    { fqdn: undefined, reverseFqdn: undefined, address: "203.0.113.8" },
  ];
  resolver = new Resolver();
  resolver.setServers(clouds.environment.dnsServers);
});
afterAll(() => clouds.stop());

const refusal = async (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => "no error",
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  );

test("a domain's mail exchanger and its address are Exchange Online's", async () => {
  expect(await resolver.resolveMx("contoso.example")).toMatchObject([
    { priority: 0, exchange: "contoso-example.mail.protection.outlook.com" },
  ]);
  expect(await resolver.resolve4("contoso-example.mail.protection.outlook.com")).toEqual(["52.100.0.10"]);
});

test("a domain publishes Microsoft 365's SPF, and that names where its mail comes from", async () => {
  expect(await resolver.resolveTxt("contoso.example")).toEqual([["v=spf1 include:spf.protection.outlook.com -all"]]);
  expect(await resolver.resolveTxt("spf.protection.outlook.com")).toEqual([["v=spf1 ip4:52.100.0.0/24 -all"]]);
});

test("public addresses are found by name and back", async () => {
  expect(await resolver.resolve4("gw.westeurope.cloudapp.azure.example")).toEqual(["203.0.113.7"]);
  expect(await resolver.reverse("203.0.113.7")).toEqual(["gw.westeurope.cloudapp.azure.example"]);
  expect(await refusal(resolver.reverse("203.0.113.8"))).toBe("ENOTFOUND");
});

test("a name without data of that type is told from one that doesn't exist", async () => {
  expect(await refusal(resolver.resolve4("contoso.example"))).toBe("ENODATA");
  expect(await refusal(resolver.resolve6("contoso.example"))).toBe("ENODATA");
  expect(await refusal(resolver.resolve4("nobody.contoso.example"))).toBe("ENOTFOUND");
  expect(await refusal(resolver.resolveMx("nobody.contoso.example"))).toBe("ENOTFOUND");
  expect(await refusal(resolver.resolveMx("nobody.invalid"))).toBe("ENOTFOUND");
});

test("any other domain's mail goes to the outside world", async () => {
  expect(await resolver.resolveMx("fourth-coffee.example")).toMatchObject([{ priority: 0, exchange: "mx.outside.example" }]);
  expect(await resolver.resolve4("mx.outside.example")).toEqual(["192.0.2.25"]);
});

test("queries are in the record of requests", async () => {
  await resolver.resolveMx("contoso.example");
  expect(await clouds.requests("dns")).toEqual(
    expect.arrayContaining([expect.objectContaining({ method: "QUERY", url: "dns:contoso.example?type=MX", effect: "none" })]),
  );
});

test.each([
  ["servfail", "ESERVFAIL"],
  ["refuse", "EREFUSED"],
  ["nxdomain", "ENOTFOUND"],
])("a query that meets %s fails with %s", async (fault, code) => {
  await clouds.fault("dns", fault, { method: "MX", path: "contoso.example" }, 2);
  expect(await refusal(resolver.resolveTxt("contoso.example"))).toBe("no error");
  // Some codes make the resolver ask its server once more.
  expect(await refusal(resolver.resolveMx("contoso.example"))).toBe(code);
  await clouds.clearFaults();
  expect(await refusal(resolver.resolveMx("contoso.example"))).toBe("no error");
});

test("silence, and an answer to another question, are waited out", async () => {
  const impatient = new Resolver({ timeout: 50, tries: 1 });
  impatient.setServers(clouds.environment.dnsServers);
  for (const fault of ["timeout", "wrong-id"]) {
    await clouds.fault("dns", fault, { path: "contoso.example" });
    expect(await refusal(impatient.resolveMx("contoso.example"))).toBe("ETIMEOUT");
  }
  const met = (await clouds.requests("dns")).map(({ fault }) => fault);
  expect(met).toEqual(expect.arrayContaining(["timeout-before-effect", "wrong-id"]));
});

test("a truncated answer is asked for again over TCP, where it is whole", async () => {
  const before = (await clouds.requests("dns")).length;
  await clouds.fault("dns", "truncated", { path: "contoso.example" });
  expect(await resolver.resolveTxt("contoso.example")).toEqual([["v=spf1 include:spf.protection.outlook.com -all"]]);
  expect((await clouds.requests("dns")).length - before).toBe(2);
});

test("a fault for every cloud counts DNS queries too", async () => {
  await clouds.fault(undefined, "503", {}, 1, 1);
  expect(await refusal(resolver.resolveMx("contoso.example"))).toBe("no error");
  await clouds.fault(undefined, "503");
  expect(await refusal(resolver.resolveMx("contoso.example"))).toBe("ESERVFAIL");
});

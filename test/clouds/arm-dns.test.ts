/** Azure DNS in the simulated Azure: zones, record sets under ETags, and what the public DNS answers from them. */
import { expect, test } from "vitest";
import { createTestArm, type TestArm } from "../support/arm-platform.ts";
import { ask, at, groupId, location, make, remove, rows } from "../support/arm-requests.ts";
import { startClouds } from "../support/clouds.ts";

const zone = "Microsoft.Network/dnsZones/contoso.example";
const text = (...values: string[]) => ({ properties: { TTL: 300, TXTRecords: values.map((value) => ({ value: [value] })) } });
const refused = async (arm: TestArm, method: string, path: string, options: Parameters<typeof ask>[3] = {}) => {
  const { status, body } = await ask(arm, method, path, options);
  return [status, at(body, "error.code")];
};

async function withZone(): Promise<TestArm> {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  await make(arm, zone, { location: "global", tags: { a: "b" } });
  return arm;
}

test("a zone has name servers and the two record sets that can't go", async () => {
  const arm = await withZone();
  const { body } = await ask(arm, "GET", zone);
  expect(at(body, "properties")).toMatchObject({ zoneType: "Public", numberOfRecordSets: 2, nameServers: expect.any(Array) });
  const { body: sets } = await ask(arm, "GET", `${zone}/recordsets`);
  expect(rows(sets).map(({ type, name }) => [type, name])).toEqual([
    ["Microsoft.Network/dnszones/NS", "@"],
    ["Microsoft.Network/dnszones/SOA", "@"],
  ]);
  expect(await refused(arm, "DELETE", `${zone}/NS/@`)).toEqual([400, "BadRequest"]);
  expect(await refused(arm, "PUT", zone, { body: { location } })).toEqual([400, "LocationNotAvailableForResourceType"]);
  expect((await remove(arm, zone)).status).toBe(200);
  expect((await ask(arm, "GET", `${zone}/NS/@`)).status).toBe(404);
});

test("a record set is written over the version that was read, or only where none is", async () => {
  const arm = await withZone();
  const spf = `${zone}/TXT/@`;
  const created = await ask(arm, "PUT", spf, { body: text("v=spf1 -all"), headers: { "if-none-match": "*" } });
  expect([created.status, at(created.body, "properties.fqdn")]).toEqual([201, "contoso.example."]);
  const etag = String(created.body["etag"]);
  expect(await refused(arm, "PUT", spf, { body: text("b"), headers: { "if-none-match": "*" } })).toEqual([
    412,
    "PreconditionFailed",
  ]);
  const changed = await ask(arm, "PUT", spf, { body: text("v=spf1 ip4:203.0.113.7 -all"), headers: { "if-match": etag } });
  expect([changed.status, changed.body["etag"] === etag]).toEqual([200, false]);
  expect(await refused(arm, "PUT", spf, { body: text("c"), headers: { "if-match": etag } })).toEqual([412, "PreconditionFailed"]);
  expect(await refused(arm, "DELETE", spf, { headers: { "if-match": etag } })).toEqual([412, "PreconditionFailed"]);
  expect((await remove(arm, spf)).status).toBe(200);
});

test("a CNAME stands alone, and addresses are addresses", async () => {
  const arm = await withZone();
  const alias = { properties: { TTL: 300, CNAMERecord: { cname: "gateway.contoso.example" } } };
  const address = (ipv4Address: string) => ({ properties: { TTL: 300, ARecords: [{ ipv4Address }] } });
  expect((await ask(arm, "PUT", `${zone}/A/gateway`, { body: address("203.0.113.10") })).status).toBe(201);
  expect((await ask(arm, "PUT", `${zone}/CNAME/mail`, { body: alias })).status).toBe(201);
  expect([
    await refused(arm, "PUT", `${zone}/CNAME/gateway`, { body: alias }),
    await refused(arm, "PUT", `${zone}/A/mail`, { body: address("203.0.113.10") }),
    await refused(arm, "PUT", `${zone}/CNAME/@`, { body: alias }),
    await refused(arm, "PUT", `${zone}/A/other`, { body: address("gateway") }),
  ]).toEqual([
    [400, "BadRequest"],
    [400, "BadRequest"],
    [400, "BadRequest"],
    [400, "InvalidRequestContent"],
  ]);
  const { publicRecords } = arm.platform.peers;
  expect([publicRecords?.("mail.contoso.example", "A"), publicRecords?.("nothing.contoso.example", "A")]).toEqual([
    ["203.0.113.10"],
    undefined,
  ]);
});

test("a zone that nobody here owns is not asked", async () => {
  const arm = await withZone();
  const foreign = "Microsoft.Network/dnsZones/fabrikam.example";
  await make(arm, foreign, { location: "global" });
  await make(arm, `${foreign}/TXT/@`, text("v=spf1 -all"));
  expect(arm.platform.peers.publicRecords?.("fabrikam.example", "TXT")).toBeUndefined();
});

test("the public DNS answers what the zone says, and its own where the zone says nothing", async () => {
  const clouds = await startClouds();
  try {
    const { platform } = clouds;
    const records = platform.peers.publicRecords;
    await clouds.organize({ tenantId: "c0ffee00-0000-4000-8000-000000000001", domains: ["contoso.example"], mailboxes: [] });
    platform.peers.publicRecords = (name, type) =>
      name === "contoso.example" && type === "TXT" ? ["v=spf1 ip4:203.0.113.7 -all"] : records?.(name, type);
    expect([platform.peers.lookup?.("contoso.example", "TXT"), platform.peers.lookup?.("contoso.example", "MX")?.length]).toEqual(
      [["v=spf1 ip4:203.0.113.7 -all"], 1],
    );
  } finally {
    await clouds.stop();
  }
});

/** The machines' door to their tenant's directory: whole out of pieces, only to the machine's own identity, and never half of two versions. */
import { createHash, randomUUID } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lateMachines } from "../../functions/directory/machines.ts";
import { documentPath } from "../../shared/directory/refresh.ts";
import { pathOf } from "../../shared/stores/directories.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { customer } from "../support/onboarding.ts";
import { unique } from "../support/stores.ts";

const FILE = "C:\\Program Files\\GBS\\iQ.Suite\\Config\\iqsuite.ldf";
const plain = customer("contoso", "contoso");
const tenantId = unique("contoso");
const gatewayId = `${tenantId}-gateway-1`;
const virtualMachineId = "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.Compute/virtualMachines/gateway-1";
const identityId = "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gateway";
const identity = { entraTenantId: randomUUID(), clientId: randomUUID() };

let api: TestApi;
let owner: TestPartner;
let stranger: TestPartner;
beforeAll(async () => {
  api = await startApi();
  [owner, stranger] = [await api.partner(), await api.partner()];
  for (const { partnerId } of [owner, stranger]) {
    const { tenants, heartbeats } = api.world.stores;
    await tenants.add(partnerId, tenantId, { ...plain.spec, directory: { depth: 3, largestLossInPercent: 10, file: FILE } });
    await tenants.change(partnerId, tenantId, () => ({ stage: "pilot" }));
    const own = partnerId === owner.partnerId ? identity : { ...identity, clientId: randomUUID() };
    await heartbeats.register({ partnerId, gatewayId, tenantId, virtualMachineId, ...own });
  }
});
afterAll(() => api.stop());

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");
async function publish(run: string, text: string): Promise<void> {
  const { directories } = api.world.stores;
  const key = { partnerId: owner.partnerId, tenantId };
  const file = await directories.open(documentPath(pathOf(key, run)));
  await file.write(text);
  await file.close();
  const published = { run, at: "2027-01-04T08:00:00.000Z", hash: hashOf(text), bytes: text.length, users: 1, groups: 0 };
  const before = (await directories.get(key.partnerId, tenantId)).published;
  await directories.change(key.partnerId, tenantId, (known) => ({ ...known, published }));
  if (before) await directories.discard(pathOf(key, before.run));
}
const tokenOf = (claims: object = {}): Promise<string> =>
  api.issuer.token({ tid: identity.entraTenantId, azp: identity.clientId, xms_mirid: identityId, ...claims });
const ask = async (headers: Record<string, string>, vmId = `${owner.partnerId}.${gatewayId}`, token?: string) =>
  api.request("GET", `/api/agents/${vmId}/directory`, { token: token ?? (await tokenOf()), headers });
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code;

/** As directory.ps1 does it. */
async function fetched(size: number): Promise<{ text: string; pieces: number; etags: Set<string | null> }> {
  let packed = Buffer.alloc(0);
  let pieces = 0;
  const etags = new Set<string | null>();
  for (let total = 1; packed.length < total; pieces++) {
    const response = await ask({ range: `bytes=${packed.length}-${packed.length + size - 1}` });
    expect([response.status, response.headers.get("content-type")]).toEqual([206, "application/gzip"]);
    const [, first, of] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
    expect(Number(first)).toBe(packed.length);
    total = Number(of);
    etags.add(response.headers.get("etag"));
    packed = Buffer.concat([packed, Buffer.from(await response.arrayBuffer())]);
  }
  return { text: gunzipSync(packed).toString("utf8"), pieces, etags };
}
const etagOf = (text: string): string => `"${Buffer.from(hashOf(text)).toString("base64url")}"`;

test("before one is published there is none, said so", async () => {
  const response = await ask({ range: "bytes=0-99" });
  expect([response.status, await codeOf(response)]).toEqual([404, "DirectoryNotPublished"]);
});

test("a document comes whole out of pieces, named by its hash; who has it is not sent it again", async () => {
  const text = Array.from({ length: 3000 }, (_, number) => `dn: uid=${hashOf(String(number))}\n`).join("\n");
  await publish("one", text);
  const inPieces = await fetched(40_000);
  expect([inPieces.text === text, inPieces.pieces > 2, [...inPieces.etags]]).toEqual([true, true, [etagOf(text)]]);
  expect((await fetched(9_999_999)).pieces).toBe(1);

  const known = await ask({ range: "bytes=0-99", "if-none-match": etagOf(text) });
  expect([known.status, (await known.arrayBuffer()).byteLength]).toEqual([304, 0]);
  expect((await ask({ range: "bytes=0-99", "if-none-match": etagOf("another") })).status).toBe(206);

  await publish("two", "version: 1\n");
  const next = await ask({ range: "bytes=0-99", "if-none-match": etagOf(text) });
  expect([next.status, next.headers.get("etag")]).toEqual([206, etagOf("version: 1\n")]);
  const beyond = await ask({ range: "bytes=40000-79999" });
  expect([beyond.status, await codeOf(beyond)]).toEqual([416, "RangeNotSatisfiable"]);
});

test.each([
  ["no range", {}],
  ["a range without end", { range: "bytes=0-" }],
  ["a range that ends before it begins", { range: "bytes=9-3" }],
  ["several ranges", { range: "bytes=0-1,3-4" }],
])("%s is refused", async (_what, headers) => {
  const response = await ask(headers);
  expect([response.status, await codeOf(response)]).toEqual([400, "InvalidRequest"]);
});

test("nobody else gets it: not another identity, another machine, another partner's machine of the same name, nor a partner", async () => {
  const range = { range: "bytes=0-99" };
  const path = `${owner.partnerId}.${gatewayId}`;
  const asked = [
    ask(range, path, await tokenOf({ azp: randomUUID() })),
    ask(range, path, await tokenOf({ tid: randomUUID() })),
    ask(range, path, await tokenOf({ xms_az_rid: `${virtualMachineId}0` })),
    ask(range, `${stranger.partnerId}.${gatewayId}`),
    ask(range, `${owner.partnerId}.${tenantId}-gateway-9`),
  ];
  for (const response of await Promise.all(asked))
    expect([response.status, await codeOf(response)]).toEqual([404, "AgentNotFound"]);
  const partner = await ask(range, path, owner.token);
  expect([partner.status, await codeOf(partner)]).toEqual([403, "RoleRequired"]);
});

test("what machines say that they have is shown; one that is late is told of once it had time", async () => {
  const { heartbeats } = api.world.stores;
  const shown = async () => (await owner.api.getDirectory({ tenantId })).body.machines;
  expect(await shown()).toEqual([{ gatewayId, state: "none" }]);
  const nothing = { queue: null, badmail: null, services: [], certificate: null, probe: null, scanners: [] };
  const said = { version: 1 as const, sentAt: "2027-01-04T08:10:00Z", ...nothing, applied: { generation: 1, part: 1 } };
  for (const [hash, state] of [
    [hashOf("old"), "older"],
    [hashOf("version: 1\n"), "current"],
  ] as const) {
    const told = { ...said, directory: { hash, at: "2027-01-04T08:05:00Z" } };
    await heartbeats.record(owner.partnerId, gatewayId, told, { levels: {}, readingInSeconds: 600, judge: () => [] });
    expect(await shown()).toEqual([{ gatewayId, state, fetchedAt: "2027-01-04T08:05:00Z" }]);
  }
  const published = { at: "2027-01-04T08:00:00.000Z" };
  const machines = [{ gatewayId: "a", state: "current" } as const, { gatewayId: "b", state: "older" } as const];
  const late = (minutes: number) => lateMachines(machines, published, Date.parse(published.at) + minutes * 60_000);
  expect([late(60), late(90)]).toEqual([[], ["b"]]);
});

test("a spec that names no file has no machine that fetches, and a tenant that goes takes its directory along", async () => {
  const { tenants, directories } = api.world.stores;
  const { partnerId } = owner;
  await tenants.change(partnerId, tenantId, ({ spec }) => ({
    spec: { ...spec, directory: { depth: 3, largestLossInPercent: 10 } },
  }));
  expect(await codeOf(await ask({ range: "bytes=0-99" }))).toBe("DirectoryNotPublished");
  expect((await owner.api.getDirectory({ tenantId })).body).not.toHaveProperty("machines");
  await directories.forget(partnerId, tenantId);
  expect(await directories.get(partnerId, tenantId)).toEqual({ partnerId, tenantId });
  expect(await directories.piece(documentPath(pathOf({ partnerId, tenantId }, "two")), 0, 10)).toBeUndefined();
});

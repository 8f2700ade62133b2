/** Anchors of the audit log: whoever may write to the tables can write a chain anew, but not what an hour's anchor says of it. */
import type { TableClient } from "@azure/data-tables";
import { expect, test } from "vitest";
import { anchorAudit } from "../../functions/audit/timer.ts";
import { OPERATORS } from "../../shared/api/audit.ts";
import { createLog } from "../../shared/log.ts";
import { createAuditStore } from "../../shared/stores/audit.ts";
import { createAuditAnchorStore } from "../../shared/stores/audit-anchors.ts";
import { againstAnchors, type Anchor, type ChainOwner, chainKey, ownerOf, verified } from "../../shared/stores/audit-chain.ts";
import { ownStorage } from "../support/own-storage.ts";
import { unique } from "../support/stores.ts";

const silent = createLog("error");

/** Storage of its own, with a container that no other test has. */
function world(start = "2026-11-30T22:10:00.000Z") {
  const own = ownStorage();
  const prefix = unique("anchors");
  const storage = { ...own, container: (name: string) => own.container(`${prefix}-${name}`) };
  const clock = { time: Date.parse(start), now: () => clock.time };
  const audit = createAuditStore(storage, clock);
  const auditAnchors = createAuditAnchorStore(storage, clock);
  const anchors = async () => {
    const found: Anchor[] = [];
    for await (const anchor of auditAnchors.all()) found.push(anchor);
    return found;
  };
  return {
    storage,
    audit,
    auditAnchors,
    anchors,
    pass: (minutes: number) => void (clock.time += minutes * 60_000),
    change: (owner: ChainOwner, key: string) =>
      audit.begin(owner, { key, actor: { kind: "orchestration" }, action: "create", target: { kind: key } }),
    anchor: anchorAudit({ stores: { audit, auditAnchors }, log: silent }),
    check: async (owner: ChainOwner) => {
      const segments = await audit.segments(owner);
      const chain = verified(owner, segments).problems;
      return { chain, ...againstAnchors(owner, segments, await anchors(), clock.now()) };
    },
  };
}

const contoso = { partnerId: "northwind", tenantId: "contoso" };
const fabrikam = { partnerId: "northwind", tenantId: "fabrikam" };

test("each hour has the heads of the chains that changed, once, also over a month's end", async () => {
  const { anchor, anchors, change, pass } = world();
  await change(contoso, "vault");
  await change(fabrikam, "vault");
  await anchor();
  await change(contoso, "identity");
  await anchor(); // run by hand within the same hour
  pass(70); // 23:20
  await anchor();
  pass(20); // 23:40
  await change(fabrikam, "identity");
  pass(50); // half past midnight, December
  await anchor();
  pass(60);
  await anchor();
  expect(
    (await anchors()).map(({ name, heads }) => [name, ...heads.map(({ chain, sequence }) => `${chain} ${sequence}`)]),
  ).toEqual([
    ["202611/2026-11-30T22.json", "northwind_contoso 1", "northwind_fabrikam 1"],
    // All that was added to since the hour of the anchor before began.
    ["202611/2026-11-30T23.json", "northwind_contoso 2", "northwind_fabrikam 1"],
    ["202612/2026-12-01T00.json", "northwind_fabrikam 2"],
    ["202612/2026-12-01T01.json"],
  ]);
});

test("an anchor is never written over", async () => {
  const { auditAnchors, anchors } = world();
  const head = { chain: "northwind", sequence: 1, hash: "a" };
  expect(await auditAnchors.add([head])).toBe(true);
  expect(await auditAnchors.add([{ ...head, hash: "b" }])).toBe(false);
  expect((await anchors()).map(({ heads }) => heads)).toEqual([[head]]);
});

test("a chain that was written anew is whole, and no longer what its anchors say", async () => {
  const house = world();
  for (const key of ["vault", "identity", "network"]) await house.change(contoso, key);
  await house.anchor();
  house.pass(60);
  await house.change(contoso, "gateway");
  await house.anchor();
  expect(await house.check(contoso)).toEqual({ chain: [], anchored: { sequence: 4, at: expect.any(String) }, problems: [] });

  // The same tables, as their owner would have them: another second entry, and all that follows anew.
  const partitionKey = chainKey(contoso);
  const table = await house.storage.table("audit202611");
  await emptied(table, partitionKey);
  for (const key of ["vault", "nothing", "network", "gateway"]) await forger(house).change(contoso, key);
  expect(await house.check(contoso)).toEqual({
    chain: [],
    anchored: { sequence: 4, at: expect.any(String) },
    problems: ["anchor 202611/2026-11-30T22.json says of entry 3 another hash: the chain was written anew (2 anchors disagree)"],
  });

  // Or cut off, with the head turned back.
  await emptied(table, partitionKey);
  for (const key of ["vault", "identity"]) await forger(house).change(contoso, key);
  expect((await house.check(contoso)).problems).toEqual([
    "anchor 202611/2026-11-30T22.json has entry 3, and the chain ends with entry 2: its end was cut off (2 anchors disagree)",
  ]);
  await emptied(table, partitionKey);
  expect((await house.check(contoso)).problems).toEqual([
    "anchor 202611/2026-11-30T22.json has entry 3, and nothing is kept of the chain (2 anchors disagree)",
  ]);
  // After 13 months a month may be dropped.
  house.pass(14 * 30 * 24 * 60);
  expect((await house.check(contoso)).problems).toEqual([]);
});

test("a chain's name leads back to whose it is", () => {
  for (const owner of [contoso, { partnerId: "northwind" }, { partnerId: OPERATORS }])
    expect(ownerOf(chainKey(owner))).toEqual({ tenantId: undefined, ...owner });
});

/** Somebody else with the same tables, who doesn't know the head that our store remembers. */
const forger = ({ storage }: ReturnType<typeof world>) => {
  const audit = createAuditStore(storage, { now: () => Date.parse("2026-11-30T22:10:00.000Z") });
  return {
    change: (owner: ChainOwner, key: string) =>
      audit.begin(owner, { key, actor: { kind: "orchestration" }, action: "create", target: { kind: key } }),
  };
};

async function emptied(table: TableClient, partitionKey: string): Promise<void> {
  for await (const { rowKey = "" } of table.listEntities({ queryOptions: { filter: `PartitionKey eq '${partitionKey}'` } }))
    await table.deleteEntity(partitionKey, rowKey);
}

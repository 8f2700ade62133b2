/** The audit log: nothing lost, nothing twice, one chain whoever writes, and whatever is done to it afterwards is found. */
import type { TableClient } from "@azure/data-tables";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type AuditChange, type AuditStore, createAuditStore } from "../../shared/stores/audit.ts";
import { type ChainOwner, chainKey, verified } from "../../shared/stores/audit-chain.ts";
import type { Storage } from "../../shared/stores/storage.ts";
import { unique } from "../support/stores.ts";
import { ownStorage } from "../support/own-storage.ts";

const storage = ownStorage();
const NOVEMBER = Date.parse("2026-11-23T10:00:00.000Z");
const november = { now: () => NOVEMBER };
const audit = createAuditStore(storage, november);

const ours = (): ChainOwner => ({ partnerId: unique("partner"), tenantId: "contoso" });

const change = (step: string, more: Partial<AuditChange> = {}): AuditChange => ({
  key: `operation-1/${step}`,
  actor: { kind: "orchestration" },
  operationId: "operation-1",
  step,
  action: "create",
  target: { kind: step, name: `our ${step}` },
  before: { state: "absent" },
  changes: [{ path: "name", from: undefined, to: `our ${step}` }],
  ...more,
});

const done = { outcome: "Succeeded", requestIds: ["azure 1234"] } as const;

async function record(store: AuditStore, owner: ChainOwner, step: string): Promise<void> {
  await store.begin(owner, change(step));
  await store.end(owner, `operation-1/${step}`, done);
}

const stepsOf = async (owner: ChainOwner): Promise<string[]> =>
  (await audit.list(owner, {}, 200)).items.map(({ step, outcome }) => `${step} ${outcome}`);

const look = async (owner: ChainOwner) => verified(owner, await audit.segments(owner));

test("an entry says who, what, before, after, and its end what came of it; newest first", async () => {
  const owner = ours();
  await record(audit, owner, "vault");
  const { items } = await audit.list(owner, {}, 50);
  const [end, start] = items;
  expect(start).toEqual({
    tenantId: "contoso",
    sequence: 1,
    at: "2026-11-23T10:00:00.000Z",
    actor: { kind: "orchestration" },
    operationId: "operation-1",
    step: "vault",
    action: "create",
    target: { kind: "vault", name: "our vault" },
    before: { state: "absent" },
    changes: [{ path: "name", to: "our vault" }],
    outcome: "Started",
    previousHash: "0".repeat(64),
    hash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(end).toMatchObject({
    sequence: 2,
    started: 1,
    outcome: "Succeeded",
    requestIds: ["azure 1234"],
    previousHash: start?.hash,
  });
  expect(await look(owner)).toMatchObject({ entries: 2, first: 1, last: { sequence: 2, hash: end?.hash }, problems: [] });
});

test("what is said again while it goes on is there once, and so is its end", async () => {
  const owner = ours();
  for (let tries = 0; tries < 3; tries++) await audit.begin(owner, change("vault"));
  await audit.end(owner, "operation-1/vault", { outcome: "Pending", error: { code: "ArmBusy", message: "wait" } });
  for (let tries = 0; tries < 3; tries++) await audit.end(owner, "operation-1/vault", done);
  await audit.end(owner, "operation-1/nobody-began", done);
  expect(await stepsOf(owner)).toEqual(["vault Succeeded", "vault Pending", "vault Started"]);
  await audit.begin(owner, change("vault"));
  expect(await stepsOf(owner), "made once more after it had ended").toHaveLength(4);
});

test("lists have pages, and can be asked for one operation", async () => {
  const owner = ours();
  for (const step of ["a", "b", "c"]) await record(audit, owner, step);
  await audit.begin(owner, change("d", { operationId: "operation-2", key: "operation-2/d" }));
  const seen: (string | undefined)[] = [];
  let after: string | undefined;
  do {
    const page = await audit.list(owner, { operationId: "operation-1" }, 2, after);
    seen.push(...page.items.map(({ step }) => step));
    after = page.next;
  } while (after !== undefined);
  expect(seen).toEqual(["c", "c", "b", "b", "a", "a"]);
});

test("what is long is known by its hash, and what looks like a secret is not kept", async () => {
  const owner = ours();
  const changes = [
    { path: "script", from: undefined, to: "x".repeat(5000) },
    { path: "header", from: undefined, to: { password: "Pa$$w0rd" } },
  ];
  await audit.begin(owner, change("guest", { changes, request: { many: "y".repeat(50_000) } }));
  const [entry] = (await audit.list(owner, {}, 1)).items;
  expect(entry?.changes).toEqual([
    { path: "script", to: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/), characters: 5002 } },
    { path: "header", to: { password: "[secret]" } },
  ]);
  expect(entry?.request).toMatchObject({ characters: 50_011 });
});

test("writers on several instances make one chain, in which everything is", async () => {
  const owner = ours();
  const instances = [audit, createAuditStore(storage, november), createAuditStore(storage, november)];
  const steps = Array.from({ length: 24 }, (_, index) => `step${index}`);
  await Promise.all(steps.map((step, index) => record(instances[index % 3] as AuditStore, owner, step)));
  expect(await look(owner)).toMatchObject({ entries: 48, problems: [] });
  expect(new Set(await stepsOf(owner)).size).toBe(48);
});

/** Table Storage that fails, now and then after it has done what was asked. */
function failing(decide: () => "before" | "after" | "not"): Storage {
  return {
    container: (name) => storage.container(name),
    table: async (name) =>
      new Proxy(await storage.table(name), {
        get: (target, property) => {
          const value: unknown = Reflect.get(target, property);
          if (property !== "submitTransaction") return typeof value === "function" ? (value.bind(target) as unknown) : value;
          return async (...actions: Parameters<TableClient["submitTransaction"]>) => {
            const when = decide();
            if (when === "before") throw new Error("the request was lost");
            const answer = await target.submitTransaction(...actions);
            if (when === "after") throw new Error("the answer was lost");
            return answer;
          };
        },
      }),
  };
}

test("whatever fails between two instances: nothing is lost, nothing is there twice, and the chain is whole", async () => {
  const fates = fc.array(fc.constantFrom("before", "after", "not", "not"), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fates, fc.integer({ min: 1, max: 5 }), async (fate, steps) => {
      let asked = 0;
      const troubled = failing(() => (asked < 40 ? (fate[asked++ % fate.length] ?? "not") : "not"));
      const owner = ours();
      const persistent = async (act: () => Promise<void>): Promise<void> => act().catch(() => persistent(act));
      const instances = [createAuditStore(troubled, november), createAuditStore(troubled, november)] as const;
      const all = Array.from({ length: steps }, (_, index) => `step${index}`);
      await Promise.all(
        all.map(async (step, index) => {
          const [one, other] = index % 2 === 0 ? instances : instances.toReversed();
          await persistent(async () => one?.begin(owner, change(step)));
          await persistent(async () => other?.end(owner, `operation-1/${step}`, done)); // its first instance has died
        }),
      );
      const wanted = all.flatMap((step) => [`${step} Started`, `${step} Succeeded`]);
      expect((await stepsOf(owner)).toSorted()).toEqual(wanted.toSorted());
      expect(await look(owner)).toMatchObject({ problems: [] });
    }),
    { numRuns: Number(process.env["AUDIT_RUNS"] ?? 5) },
  );
});

test("a chain goes on from month to month, also beside an instance whose clock is late", async () => {
  const owner = ours();
  const time = { now: NOVEMBER };
  const late = createAuditStore(storage, november);
  const punctual = createAuditStore(storage, { now: () => time.now });
  await late.begin(owner, change("a"));
  time.now = Date.parse("2026-12-01T00:00:00.000Z");
  await record(punctual, owner, "b");
  await record(late, owner, "c");
  time.now = Date.parse("2027-02-01T00:00:00.000Z");
  await punctual.end(owner, "operation-1/a", done);
  expect(await stepsOf(owner)).toEqual(["a Succeeded", "c Succeeded", "c Started", "b Succeeded", "b Started", "a Started"]);
  const segments = await audit.segments(owner);
  expect(segments.map(({ month, links }) => `${month}: ${links.length}`)).toEqual(["202611: 1", "202612: 4", "202702: 1"]);
  expect(verified(owner, segments)).toMatchObject({ entries: 6, problems: [] });
  const dropped = segments.map((segment) => (segment.month === "202611" ? { month: segment.month, links: [] } : segment));
  expect(verified(owner, dropped), "a month that was dropped whole").toMatchObject({ entries: 5, first: 2, problems: [] });
});

test("two first writers on both sides of midnight don't begin two chains", async () => {
  const owner = ours();
  const late = createAuditStore(storage, november);
  const punctual = createAuditStore(storage, { now: () => Date.parse("2026-12-01T00:00:00.000Z") });
  await Promise.all([record(late, owner, "a"), record(punctual, owner, "b")]);
  expect(await look(owner)).toMatchObject({ entries: 4, problems: [] });
});

test("a chain of its own for each tenant, and for the partner", async () => {
  const { partnerId } = ours();
  for (const owner of [{ partnerId }, { partnerId, tenantId: "contoso" }, { partnerId, tenantId: "fabrikam" }]) {
    await record(audit, owner, "a");
    expect(await look(owner)).toMatchObject({ entries: 2, first: 1, problems: [] });
  }
});

/** Somebody who may write to the tables. */
async function tampered(tamper: (table: TableClient, key: string, rows: Row[]) => Promise<unknown>): Promise<string[]> {
  const owner = ours();
  for (const step of ["a", "b", "c"]) await record(audit, owner, step);
  const table = await storage.table("audit202611");
  const key = chainKey(owner);
  const rows: Row[] = [];
  for await (const row of table.listEntities<Row>({ queryOptions: { filter: `PartitionKey eq '${key}'` } })) rows.unshift(row);
  await tamper(
    table,
    key,
    rows.filter(({ rowKey }) => rowKey.startsWith("e_")),
  );
  return (await look(owner)).problems;
}
interface Row {
  partitionKey: string;
  rowKey: string;
  hash: string;
  text: string;
}

test("an entry that was changed is found", async () => {
  const rewritten = (row: Row | undefined) => row?.text.replace("our b", "our x") ?? "";
  expect(
    await tampered((table, _, [, , third]) => table.updateEntity({ ...(third as Row), text: rewritten(third) }, "Replace")),
  ).toEqual(["entry 3 was changed: its text is not what was hashed", "entry 4 does not follow entry 3"]);
});

test("an entry that is missing is found, wherever it was", async () => {
  const without = (index: number) =>
    tampered((table, key, rows) => table.deleteEntity(key, rows[index]?.rowKey ?? "", { etag: "*" }));
  expect(await without(0)).toEqual(["entry 1 is missing"]);
  expect(await without(2)).toEqual(["entry 3 is missing"]);
  expect(await without(5)).toEqual(["entries 6 to 6 are missing at the end of 202611"]);
});

test("two entries that changed places are found", async () => {
  const problems = await tampered(async (table, _, [, second, third]) => {
    if (!second || !third) throw new Error("there are not three entries");
    await table.updateEntity({ ...third, rowKey: second.rowKey }, "Replace");
    await table.updateEntity({ ...second, rowKey: third.rowKey }, "Replace");
  });
  expect(problems.slice(0, 2).map((problem) => problem.replace(/partner-[0-9a-f]+/, "ours"))).toEqual([
    "entry 2 is out of place: it was written as entry 3 of ours_contoso",
    "entry 3 is out of place: it was written as entry 2 of ours_contoso",
  ]);
});

test("an entry of another tenant's log, and a head that was turned back, are found", async () => {
  const other = ours();
  for (const step of ["a", "b", "c"]) await record(audit, other, step);
  const [foreign] = (await audit.segments(other))[0]?.links ?? [];
  expect(
    await tampered((table, _, [first]) =>
      table.updateEntity({ ...(first as Row), text: JSON.stringify(foreign?.text), hash: foreign?.hash ?? "" }, "Replace"),
    ),
  ).toHaveLength(2);
  const turnedBack = await tampered(async (table, key, rows) => {
    await table.deleteEntity(key, rows[5]?.rowKey ?? "", { etag: "*" });
    await table.updateEntity({ partitionKey: key, rowKey: "h_head", sequence: 5, hash: rows[5]?.hash ?? "" }, "Merge");
  });
  expect(turnedBack).toEqual(["the head of 202611 does not name entry 5 as the last one"]);
});

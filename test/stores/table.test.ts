/** Rows: what is written comes back, limits are ours to check, refusals are values. */
import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { rowsBeginning } from "../../shared/stores/filter.ts";
import { createStorage, type Storage } from "../../shared/stores/storage.ts";
import { createTable, newestFirst, packed, unpacked, untilUncontested } from "../../shared/stores/table.ts";
import { ownAccount } from "../support/own-account.ts";

const credential = { getToken: () => Promise.reject(new Error("unused")) };
const table = createTable(createStorage({ connection: ownAccount() }, credential), "rows");

test("JSON longer than a property may be is spread over several and comes back whole", async () => {
  const key = { partitionKey: randomUUID(), rowKey: "r_long" };
  const value = { text: "é😀\u0000".repeat(20_000), list: [1, null, { deep: true }] };
  await table.create({ ...key, ...packed("value", value) });
  const row = await table.get(key);
  expect(row && unpacked(row, "value")).toEqual(value);
});

test("any JSON survives packing", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const row = { partitionKey: "p", rowKey: "r", etag: "", ...packed("value", value) };
      expect(unpacked(row, "value")).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("a row of more than 1 MiB is refused before it is sent: Azurite would take it, Azure would not", async () => {
  const row = { partitionKey: "p", rowKey: "r_huge", ...packed("value", "x".repeat(600_000)) };
  await expect(table.create(row)).rejects.toMatchObject({ code: "RecordTooLarge" });
});

test("a key with a character that Azure forbids is refused", async () => {
  for (const rowKey of ["a/b", "a\\b", "a#b", "a?b", "a\u0007b"])
    await expect(table.create({ partitionKey: "p", rowKey })).rejects.toThrow(TypeError);
});

test("missing, existing and changed rows are outcomes, not errors", async () => {
  const key = { partitionKey: randomUUID(), rowKey: "r_1" };
  const first = await table.create({ ...key, value: 1 });
  const etag = first.outcome === "done" ? first.etag : "";
  expect(await table.create(key)).toMatchObject({ outcome: "exists" });
  expect(await table.replace({ ...key, value: 2 }, etag)).toMatchObject({ outcome: "done" });
  expect(await table.replace({ ...key, value: 3 }, etag)).toMatchObject({ outcome: "changed" });
  expect(await table.remove(key, etag)).toMatchObject({ outcome: "changed" });
  expect(await table.get({ ...key, rowKey: "r_2" })).toBeUndefined();
  expect(await table.remove({ ...key, rowKey: "r_2" }, "*")).toMatchObject({ outcome: "missing" });
});

test("a refused transaction says which action it was and leaves nothing behind", async () => {
  const partitionKey = randomUUID();
  await table.create({ partitionKey, rowKey: "r_2" });
  const refused = await table.transact([
    { create: { partitionKey, rowKey: "r_1" } },
    { create: { partitionKey, rowKey: "r_2" } },
  ]);
  expect(refused).toEqual({ outcome: "exists", refused: 1 });
  expect(await table.get({ partitionKey, rowKey: "r_1" })).toBeUndefined();
});

test("pages go on where the last one ended, and every row is on one page", async () => {
  const partitionKey = randomUUID();
  const rowKeys = Array.from({ length: 25 }, (_, index) => `r_${String(index).padStart(2, "0")}`);
  await table.transact(rowKeys.map((rowKey) => ({ create: { partitionKey, rowKey } })));
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await table.page(rowsBeginning(partitionKey, "r_"), 10, after);
    seen.push(...page.items.map(({ rowKey }) => rowKey));
    after = page.next;
  } while (after !== undefined);
  expect(seen).toEqual(rowKeys);
});

test("a page that Azure gives short or empty, because it looked at enough rows, is filled up", async () => {
  const given: Record<string, { rows: string[]; next?: string }> = {
    "": { rows: [], next: "1" },
    1: { rows: ["a"], next: "2" },
    2: { rows: [], next: "3" },
    3: { rows: ["b"], next: "4" },
  };
  const byPage = ({ continuationToken = "" }: { continuationToken?: string }) => {
    const { rows, next } = given[continuationToken] ?? { rows: ["c"] };
    const value = Object.assign(
      rows.map((rowKey) => ({ rowKey })),
      { continuationToken: next },
    );
    return { next: () => Promise.resolve({ value, done: false }) };
  };
  const azure = { table: () => Promise.resolve({ listEntities: () => ({ byPage }) }) } as unknown as Storage;
  const { items, next } = await createTable(azure, "short").page(rowsBeginning("p", "r_"), 2);
  expect([items.map(({ rowKey }) => rowKey), next]).toEqual([["a", "b"], "4"]);
  expect(await createTable(azure, "short").all(rowsBeginning("p", "r_"))).toHaveLength(3);
});

test("a prefix finds its own rows and not those of a name that only begins alike", async () => {
  const partitionKey = randomUUID();
  const keys = ["op_h", "op_s00", "op-1_h", "opx_h", "op", "OP_h"];
  await table.transact(keys.map((rowKey) => ({ create: { partitionKey, rowKey } })));
  expect((await table.all(rowsBeginning(partitionKey, "op_"))).map(({ rowKey }) => rowKey)).toEqual(["op_h", "op_s00"]);
});

test("newest first sorts as its name says", () => {
  const times = [0, 1, 999, 1_700_000_000_000, 1_700_000_000_001, 4_000_000_000_000];
  expect(times.toReversed().map(newestFirst)).toEqual(times.map(newestFirst).sort());
});

test("who loses five rounds is told to come again", async () => {
  let rounds = 0;
  const never = untilUncontested("thing", () => {
    rounds += 1;
    return Promise.resolve(undefined);
  });
  await expect(never).rejects.toMatchObject({ code: "ChangedMeanwhile", transient: true });
  expect(rounds).toBe(5);
});

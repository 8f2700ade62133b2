/**
 * Whatever somebody changes of what is ours, anywhere in it, is found, and nothing else is: over what really stands in the simulated
 * clouds, with changes by chance. And where Azure takes a part of an object, only what changed is sent.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Resource } from "../../shared/resources/resource.ts";
import type { Row } from "./conformance.ts";
import { type Json, startWorld, type World } from "./ground.ts";
import { gatewayRows, groundRows } from "./rows-azure.ts";
import { microsoft365Rows } from "./rows-microsoft365.ts";
import { monitoringRows } from "./rows-monitoring.ts";
import { sqlRows } from "./rows-sql.ts";

// What Windows inside differs in, it says itself: the engine's own tests change that by chance.
const { guest: _guest, ...machineRows } = gatewayRows;
const rows = { ...groundRows, ...machineRows, ...sqlRows, ...monitoringRows, ...microsoft365Rows };
/** Not compared by itself: an address's full name follows from its label; where the agent is somebody else's, nothing of it is ours. */
const apart = new Set(["publicIpAddress/fqdn", "monitorAgent/theirs"]);

type Leaf = string | number | boolean;
type Path = (string | number)[];

const leavesOf = (value: unknown, path: Path = []): Path[] => {
  if (Array.isArray(value)) return value.flatMap((one, index) => leavesOf(one, [...path, index]));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([name, one]) => leavesOf(one, [...path, name]));
  return ["string", "number", "boolean"].includes(typeof value) ? [path] : [];
};
const at = (value: unknown, [first, ...rest]: Path): unknown =>
  first === undefined ? value : at((value as Record<string | number, unknown>)[first], rest);
const changed = (value: unknown, [first, ...rest]: Path, to: Leaf): unknown => {
  if (first === undefined) return to;
  if (Array.isArray(value)) return value.with(Number(first), changed(value[Number(first)], rest, to));
  const record = value as Record<string, unknown>;
  return { ...record, [first]: changed(record[first], rest, to) };
};
/** Of the same type, and different in more than its case. */
const otherThan = (leaf: Leaf): fc.Arbitrary<Leaf> => {
  if (typeof leaf === "boolean") return fc.constant(!leaf);
  if (typeof leaf === "number") return fc.integer().filter((value) => value !== leaf);
  return fc.string({ minLength: 1, maxLength: 40 }).filter((value) => value.toLowerCase() !== leaf.toLowerCase());
};

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

test.each(Object.entries(rows) as unknown as [string, Row<object, object>][])(
  "a change anywhere in what is ours is found, under its own name and no other: %s",
  async (kind, row) => {
    const desired = await row.prepare(world);
    const resource = (world.resources as unknown as Record<string, Resource<object, object>>)[kind];
    if (!resource) throw new Error(`there is no ${kind}`);
    const actual = (await world.ensure(kind as never, desired as never)) as object;
    const rootsOf = (there: object): string[] => [
      ...new Set(resource.diff(desired, there).map(({ path }) => path.split("/")[0] ?? "")),
    ];
    expect(rootsOf(actual)).toEqual([]);
    const drifting = "notApplicable" in row.drifts ? [] : row.drifts.flatMap(({ paths }) => paths);
    const ours = new Set([...drifting, ...Object.keys(row.fixed)].map((path) => path.split("/")[0] ?? ""));
    const leaves = leavesOf(actual).filter(([root]) => !apart.has(`${kind}/${root}`));
    const changes = fc
      .subarray(leaves, { minLength: 1, maxLength: Math.min(leaves.length, 4) })
      .chain((paths) => fc.tuple(...paths.map((path) => otherThan(at(actual, path) as Leaf).map((to) => ({ path, to })))));
    fc.assert(
      fc.property(changes, (by) => {
        const there = by.reduce<unknown>((value, { path, to }) => changed(value, path, to), actual) as object;
        const touched = new Set(by.map(({ path: [root] }) => String(root)).filter((root) => ours.has(root)));
        expect(rootsOf(there).toSorted()).toEqual([...touched].toSorted());
      }),
    );
  },
);

test("where Azure takes a part of an object, only what somebody changed is sent back", async () => {
  const desired = await sqlRows.sqlDatabase.prepare(world);
  const { id } = (await world.ensure("sqlDatabase", desired)) as { id: string };
  const byHand: Record<string, Json> = {
    sku: { sku: { name: "S1", tier: "Standard" } },
    maxSizeBytes: { properties: { maxSizeBytes: 100 * 1024 ** 3 } },
    zoneRedundant: { properties: { zoneRedundant: true } },
    requestedBackupStorageRedundancy: { properties: { requestedBackupStorageRedundancy: "Local" } },
  };
  await fc.assert(
    fc.asyncProperty(fc.subarray(Object.keys(byHand), { minLength: 1 }), async (names) => {
      await world.arm.change(id, (body) =>
        names.reduce<Json>((one, name) => {
          const { properties, ...more } = byHand[name] ?? {};
          return { ...one, ...more, properties: { ...(one["properties"] as Json), ...(properties as Json | undefined) } };
        }, body),
      );
      const before = (await world.clouds.requests("arm")).at(-1)?.seq ?? 0;
      await world.ensure("sqlDatabase", desired);
      const sent = (await world.clouds.requests("arm", before)).filter(({ method }) => method !== "GET");
      expect(sent.map(({ method }) => method)).toEqual(["PATCH"]);
      const { properties = {}, ...more } = (sent[0]?.requestBody ?? {}) as { properties?: Json };
      expect([...Object.keys(more), ...Object.keys(properties)].toSorted()).toEqual(names.toSorted());
    }),
    { numRuns: 20 },
  );
});

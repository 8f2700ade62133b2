/** What a person made is desired as it was found, and the mark is the one thing that taking it over writes. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { adoptable, type Found, type Marked, OWNER, type TakenOver } from "../../shared/resources/adoptable.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { changesBetween } from "../../shared/resources/property-changes.ts";
import { done, type Owner, present, type PropertyChange, type Resource } from "../../shared/resources/resource.ts";

type Settings = Record<string, unknown>;
type Desired = TakenOver & { owner: Owner; settings: Settings };
type Actual = Marked & { settings: Settings };

const owner = { partnerId: "northwind", tenantId: "contoso" };

/** A cloud of one object, and what was written to it. */
function world(there: Settings) {
  const cloud = { settings: there, marked: false };
  const written: string[] = [];
  const resource: Resource<Desired, Actual> = {
    kind: "thing",
    observe: async () => present<Actual>({ settings: cloud.settings, ...(cloud.marked ? {} : { unmarked: true }) }),
    diff: (desired, { settings }) => changesBetween(desired.settings, settings),
    create: async () => done,
    update: async (_desired, changes) => {
      for (const { path, to } of changes) cloud.settings = { ...cloud.settings, [path]: to };
      written.push(...changes.map(({ path }) => path));
      return done;
    },
    remove: async () => done,
  };
  const ours = adoptable(resource, async () => {
    cloud.marked = true;
    written.push("mark");
    return done;
  });
  return { cloud, written, ours };
}

const settings = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.jsonValue(), { noNullPrototype: true });
const foundBy = (changes: PropertyChange[]): Found =>
  Object.fromEntries(
    changes.filter(({ path }) => path !== OWNER).map(({ path, from }) => [path, JSON.parse(JSON.stringify(from))]),
  );

test("whatever was found is taken over by one mark, twice by none, and doesn't differ afterwards", async () => {
  await fc.assert(
    fc.asyncProperty(settings, settings, async (there, wanted) => {
      const { cloud, written, ours } = world(there);
      const looked = await ours.observe({ owner, settings: wanted, adopting: "1" });
      if (looked.state !== "present") throw new Error("it is there");
      const found = foundBy(ours.diff({ owner, settings: wanted, adopting: "1" }, looked.actual));
      const adopting = { owner, settings: wanted, adopting: "1", found };
      const keep = async () => undefined;
      expect((await ensuring(ours, keep)(adopting)).change).toBe("updated");
      expect((await ensuring(ours, keep)(adopting)).change).toBe("unchanged");
      expect(written).toEqual(["mark"]);
      expect(cloud.settings).toEqual(there);
      expect(ours.diff({ owner, settings: wanted, found }, { settings: there })).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("whatever somebody changes afterwards is brought back to what was found, or to what we would make where that was there", async () => {
  await fc.assert(
    fc.asyncProperty(settings, settings, settings, async (there, wanted, later) => {
      const { cloud, ours } = world(there);
      cloud.marked = true;
      const found = foundBy(ours.diff({ owner, settings: wanted }, { settings: there }));
      cloud.settings = { ...there, ...later };
      await ensuring(ours, async () => undefined)({ owner, settings: wanted, found });
      for (const path of Object.keys(wanted)) {
        const asFound = Object.hasOwn(found, path) ? found[path] : wanted[path];
        expect([asFound, wanted[path]]).toContainEqual(cloud.settings[path] ?? null);
      }
    }),
    { numRuns: 100 },
  );
});

test("what changed since it was looked at, or is gone, is not written over", async () => {
  const { cloud, written, ours } = world({ a: 1 });
  cloud.settings = { a: 2 };
  const adopting = { owner, settings: { a: 3 }, adopting: "1", found: { a: 1 } };
  await expect(ensuring(ours, async () => undefined)(adopting)).rejects.toMatchObject({ code: "AdoptionOutdated" });
  await expect(ours.create(adopting)).rejects.toMatchObject({ code: "AdoptionOutdated" });
  expect(written).toEqual([]);
});

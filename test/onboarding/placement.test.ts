/** Sizes and places of machines: by rule from what the region has, and what stands stays where it is. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decided } from "../../shared/runbook/placement.ts";
import { byPrice, fits, type Size } from "../../shared/azure/sizes.ts";
import { GATEWAY_MINIMUM } from "../../shared/desired/minimums.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";

const size = (name: string, given: Partial<Size> = {}): Size => ({
  name,
  family: "standardDASv5Family",
  virtualCpus: 4,
  memoryInGigabytes: 16,
  trustedLaunch: true,
  premiumDisks: true,
  zones: ["1", "2", "3"],
  available: true,
  ...given,
});
const sizes = [size("Standard_D4as_v5"), size("Standard_D4s_v5")];
const automatic = { size: undefined, placement: "automatic" as const };
const standing = { size: "Standard_D8s_v5", zone: "3", inSet: false, failed: false };

test("machines of a region with zones begin in different ones, and each has the others to fall back to", () => {
  const { availabilitySet, machines } = decided([undefined, undefined], sizes, automatic, "westeurope");
  expect(availabilitySet).toBe(false);
  expect(machines.map(([first]) => first?.zone)).toEqual(["1", "2"]);
  expect(machines[1]).toEqual([
    { size: "Standard_D4as_v5", zone: "2" },
    { size: "Standard_D4as_v5", zone: "3" },
    { size: "Standard_D4as_v5", zone: "1" },
    { size: "Standard_D4s_v5", zone: "2" },
    { size: "Standard_D4s_v5", zone: "3" },
    { size: "Standard_D4s_v5", zone: "1" },
  ]);
});

test("without zones they stand in a set, a single one too: it can't join one later", () => {
  const inSet = { availabilitySet: true, missing: [0], machines: [[{ size: "Standard_D4as_v5" }]] };
  expect(decided([undefined], [size("Standard_D4as_v5", { zones: [] })], automatic, "germanynorth")).toEqual(inSet);
});

test("neither set nor zone where the spec says so; zones that a region lacks are refused", () => {
  const none = decided([undefined], sizes, { size: undefined, placement: "none" }, "westeurope");
  expect(none).toEqual({
    availabilitySet: false,
    missing: [0],
    machines: [[{ size: "Standard_D4as_v5" }, { size: "Standard_D4s_v5" }]],
  });
  const flat = [size("Standard_D4as_v5", { zones: [] })];
  expect(() => decided([undefined], flat, { size: undefined, placement: "zones" }, "germanynorth")).toThrow(
    "germanynorth has no availability zones for a size that fits",
  );
});

test("a machine that stands keeps its size and its zone, whatever the rule would choose today", () => {
  const { machines } = decided([standing, undefined], sizes, automatic, "westeurope");
  expect(machines[0]).toEqual([{ size: "Standard_D8s_v5", zone: "3" }]);
  expect(machines[1]?.[0]).toEqual({ size: "Standard_D4as_v5", zone: "2" });
  const inSet = { ...standing, zone: undefined, inSet: true };
  expect(decided([inSet, undefined], sizes, automatic, "westeurope")).toEqual({
    availabilitySet: true,
    missing: [1],
    machines: [[{ size: "Standard_D8s_v5" }], [{ size: "Standard_D4as_v5" }, { size: "Standard_D4s_v5" }]],
  });
});

test("another size is taken in place; another placement is shown as what it needs", () => {
  const resized = decided([standing], [size("Standard_D4s_v5")], { ...automatic, size: "Standard_D4s_v5" }, "westeurope");
  expect(resized.machines).toEqual([[{ size: "Standard_D4s_v5", zone: "3" }]]);
  const moved = decided([standing], sizes, { size: undefined, placement: "availabilitySet" }, "westeurope");
  expect(moved).toEqual({ availabilitySet: true, missing: [], machines: [[{ size: "Standard_D8s_v5" }]] });
});

test("a machine whose creation failed is tried again where it is, and then elsewhere", () => {
  const { machines } = decided([{ ...standing, failed: true }], sizes, automatic, "westeurope");
  expect(machines[0]?.[0]).toEqual({ size: "Standard_D8s_v5", zone: "3" });
  expect(machines[0]).toHaveLength(7);
});

const names = fc.tuple(
  fc.constantFrom(2, 4, 8, 16),
  fc.constantFrom("", "a"),
  fc.constantFrom("", "l"),
  fc.constantFrom("", "d"),
  fc.constantFrom(5, 6),
);
const anySizes = fc.array(
  fc
    .record({ name: names, zones: fc.subarray(["1", "2", "3"]), available: fc.boolean(), trustedLaunch: fc.boolean() })
    .map(({ name: [cpus, amd, lean, disk, version], ...given }) =>
      size(`Standard_D${cpus}${amd}${lean}${disk}s_v${version}`, {
        ...given,
        virtualCpus: cpus,
        memoryInGigabytes: lean ? cpus * 2 : cpus * 4,
      }),
    ),
  { maxLength: 20 },
);

test("whatever a region has, what is chosen fits, and nothing smaller would have", () => {
  fc.assert(
    fc.property(anySizes, (region) => {
      const fitting = region.filter((one) => fits(one, { minimum: GATEWAY_MINIMUM, premiumDisks: true }));
      const [first] = byPrice(fitting);
      expect(first === undefined).toBe(fitting.length === 0);
      if (first) expect(fitting.some(({ virtualCpus }) => virtualCpus < first.virtualCpus)).toBe(false);
      for (const one of fitting) expect(one).toMatchObject({ available: true, trustedLaunch: true });
    }),
  );
});

test("every machine has somewhere to go, for any mixture of what stands and what a region has", () => {
  const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
  const placements = tenantSpecSchema.parse(contoso).gateway.placement;
  expect(placements).toBe("automatic");
  const machine = fc.option(
    fc.record({
      size: fc.constant("Standard_D4s_v5"),
      zone: fc.option(fc.constantFrom("1", "2", "3"), { nil: undefined }),
      inSet: fc.boolean(),
      failed: fc.boolean(),
    }),
    { nil: undefined },
  );
  const closed = { name: "Standard_D2s_v5", family: "standardDASv5Family", virtualCpus: 2, memoryInGigabytes: 8 };
  const zonesClosed: Size = { ...closed, trustedLaunch: false, premiumDisks: true, zones: [], available: false };
  const stands = { size: "Standard_D4s_v5", zone: "1", inSet: false, failed: false } as const;
  fc.assert(
    fc.property(fc.array(machine, { minLength: 1, maxLength: 8 }), anySizes, (machines, region) => {
      fc.pre(region.length > 0);
      const placed = decided(machines, region, automatic, "westeurope");
      expect(placed.machines).toHaveLength(machines.length);
      for (const [index, candidates] of placed.machines.entries()) {
        expect(candidates.length).toBeGreaterThan(0);
        const stands = machines[index];
        if (stands && !stands.failed) expect(candidates.map(({ zone }) => zone)).toEqual([stands.zone]);
      }
    }),
    { examples: [[[undefined, stands], [zonesClosed]]] },
  );
});

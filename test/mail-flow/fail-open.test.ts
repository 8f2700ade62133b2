/** The policy that fails open, in virtual time: gateways that go down and up as they like, operations that fail, people who step in. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  bypassesOfDay,
  downSince,
  nextMove,
  type Standing,
  TRY_AGAIN_IN_MINUTES,
  type Watched,
} from "../../functions/mail-flow/fail-open.ts";
import type { GatewayState, Health } from "../../shared/api/gateway.ts";
import type { Outage } from "../../shared/stores/outages.ts";
import { outagePolicySchema } from "../../shared/tenants/spec.ts";

const MINUTE = 60_000;
const start = Date.UTC(2026, 10, 22, 8);
const at = (minutes: number): string => new Date(start + minutes * MINUTE).toISOString();
const policy = outagePolicySchema.parse({ mailFlow: "failOpen" });
const stateOf = (health: Health, since: number, reason = health): GatewayState => ({ health, reason, since: at(since) });
const gateway = (health: Health, since = 0, more: Partial<Watched> = {}): Watched => ({
  id: "contoso-gateway-1",
  state: stateOf(health, since),
  ...more,
});
const live: Standing = { stage: "live", facts: {}, spec: { outage: policy } };
const bypassed = (by: "call" | "policy"): Standing => ({
  ...live,
  stage: "bypassed",
  facts: { bypass: { by, reason: "down", stage: "live", since: at(0) } },
});
const none = { bypasses: [] };
const moveAt = (
  minutes: number,
  tenant: Standing,
  gateways: Watched[],
  outage: Pick<Outage, "bypasses" | "tried" | "heldSince"> = none,
) => nextMove(tenant, gateways, outage, start + minutes * MINUTE).to;

test("mail goes round gateways once all of them are down for as long as the spec allows, and only then", () => {
  expect(moveAt(29, live, [gateway("stopped")])).toBe("nothing");
  expect(moveAt(30, live, [gateway("stopped")])).toBe("bypass");
  expect(moveAt(30, { ...live, spec: {} }, [gateway("stopped")])).toBe("nothing");
  expect(moveAt(30, { ...live, spec: { outage: { ...policy, mailFlow: "failClosed" } } }, [gateway("stopped")])).toBe("nothing");
  expect(moveAt(30, live, [gateway("stopped"), gateway("healthy")])).toBe("nothing");
  expect(moveAt(40, live, [gateway("stopped"), gateway("failing", 15)])).toBe("nothing");
  expect(moveAt(45, live, [gateway("stopped"), gateway("failing", 15)])).toBe("bypass");
  for (const stage of ["registered", "onboarding", "offboarding", "gone"] as const)
    expect(moveAt(60, { ...live, stage }, [gateway("stopped")])).toBe("nothing");
  expect(moveAt(60, live, [])).toBe("nothing");
});

test("one kind of down after another is one outage; what nobody could tell is none", () => {
  const past = [
    { health: "healthy", since: at(0) },
    { health: "failing", since: at(10) },
    { health: "unavailable", since: at(20) },
  ] as const;
  expect(downSince(gateway("stopped", 35, { past: [...past] }))).toBe(start + 10 * MINUTE);
  expect(moveAt(40, live, [gateway("stopped", 35, { past: [...past] })])).toBe("bypass");
  for (const health of ["unknown", "degraded", "healthy"] as const) expect(moveAt(600, live, [gateway(health)])).toBe("nothing");
  const gone = { id: "contoso-gateway-1", state: stateOf("unknown", 0, "VirtualMachineMissing" as Health) };
  expect(moveAt(30, live, [gone])).toBe("bypass");
});

test("it comes back after all gateways were healthy for a while; what a person began only a person ends", () => {
  expect(moveAt(29, bypassed("policy"), [gateway("healthy")])).toBe("nothing");
  expect(moveAt(30, bypassed("policy"), [gateway("healthy")])).toBe("restore");
  for (const health of ["unknown", "degraded", "stopped"] as const)
    expect(moveAt(600, bypassed("policy"), [gateway("healthy"), gateway(health)])).toBe("nothing");
  expect(moveAt(600, bypassed("call"), [gateway("healthy")])).toBe("nothing");
  // Whose spec names no policy any more is not left behind.
  expect(moveAt(30, { ...bypassed("policy"), spec: {} }, [gateway("healthy")])).toBe("restore");
});

test("after as many bypasses in a day as the spec allows a person is asked, once", () => {
  const bypasses = [at(-600), at(-300), at(-60)];
  expect(moveAt(60, bypassed("policy"), [gateway("healthy")], { bypasses })).toBe("hold");
  expect(moveAt(60, bypassed("policy"), [gateway("healthy")], { bypasses, heldSince: at(50) })).toBe("nothing");
  expect(moveAt(60, bypassed("policy"), [gateway("healthy")], { bypasses: bypasses.slice(1) })).toBe("restore");
  expect(moveAt(24 * 60, bypassed("policy"), [gateway("healthy")], { bypasses })).toBe("restore");
});

interface Tick {
  /** Gateways' health from now on; undefined leaves it. */
  healths: (Health | undefined)[];
  /** Whether what is begun now ends well. */
  succeeds: boolean;
  person: "bypasses" | "restores" | undefined;
}

const healthArbitrary = fc.option(
  fc.constantFrom<Health>("healthy", "healthy", "healthy", "stopped", "stopped", "failing", "unavailable", "unknown", "degraded"),
  { nil: undefined, freq: 2 },
);
const tickArbitrary: fc.Arbitrary<Tick> = fc.record({
  healths: fc.tuple(healthArbitrary, healthArbitrary),
  succeeds: fc.boolean(),
  person: fc.option(fc.constantFrom("bypasses" as const, "restores" as const), { nil: undefined, freq: 30 }),
});

test("however gateways flap: mail comes back by itself only as often as is allowed, no bypass of a person ends, nothing begins on a guess", () => {
  fc.assert(
    fc.property(
      fc.record({
        ticks: fc.array(tickArbitrary, { minLength: 10, maxLength: 120 }),
        every: fc.integer({ min: 5, max: 45 }),
        afterInMinutes: fc.integer({ min: 0, max: 60 }),
        restoreAfterInMinutes: fc.integer({ min: 1, max: 60 }),
        bypassesADay: fc.integer({ min: 1, max: 4 }),
        machines: fc.integer({ min: 1, max: 2 }),
      }),
      ({ ticks, every, machines, ...rest }) => {
        const spec = { outage: { mailFlow: "failOpen" as const, ...rest } };
        let tenant: Standing = { ...live, spec };
        let gateways = Array.from({ length: machines }, (_, index) =>
          gateway("healthy", 0, { id: `contoso-gateway-${index + 1}`, past: [] }),
        );
        let outage: Pick<Outage, "bypasses" | "tried" | "heldSince"> = none;
        const stay = (stage: "live" | "bypassed", by?: "call" | "policy") => {
          const bypass = by && { by, reason: "down", stage: "live", since: at(0) };
          tenant = { ...tenant, stage, facts: { bypass } };
        };
        for (const [index, { healths, succeeds, person }] of ticks.entries()) {
          const minutes = (index + 1) * every;
          const now = start + minutes * MINUTE;
          gateways = gateways.map((one, machine) => {
            const next = healths[machine];
            if (next === undefined || next === one.state.health) return one;
            const { health, since } = one.state;
            return { ...one, state: stateOf(next, minutes), past: [...(one.past ?? []), { health, since }] };
          });
          if (person === "bypasses") stay("bypassed", "call");
          if (person === "restores" && tenant.stage === "bypassed") stay("live");
          // As the timer does it: what a person has led back counts anew.
          if (outage.heldSince !== undefined && tenant.stage !== "bypassed") outage = none;
          const held = outage.heldSince;
          const { to } = nextMove(tenant, gateways, outage, now);
          if (to === "nothing") continue;
          const by = (tenant.facts["bypass"] as { by: string } | undefined)?.by;
          if (to === "bypass") {
            expect(tenant.stage).toBe("live");
            expect(gateways.every(({ state }) => ["stopped", "failing", "unavailable"].includes(state.health))).toBe(true);
            expect(outage.tried?.to !== "bypass" || now - Date.parse(outage.tried.at) >= TRY_AGAIN_IN_MINUTES * MINUTE).toBe(
              true,
            );
            outage = {
              bypasses: succeeds ? [...bypassesOfDay(outage.bypasses, now), at(minutes)] : outage.bypasses,
              tried: { to, at: at(minutes), operationId: `o-${index}` },
            };
            if (succeeds) stay("bypassed", "policy");
          } else {
            expect([tenant.stage, by, held]).toEqual(["bypassed", "policy", undefined]);
            expect(
              gateways.every(
                ({ state }) => state.health === "healthy" && now - Date.parse(state.since) >= rest.restoreAfterInMinutes * MINUTE,
              ),
            ).toBe(true);
            const times = bypassesOfDay(outage.bypasses, now).length;
            expect(to).toBe(times >= rest.bypassesADay ? "hold" : "restore");
            if (to === "hold") outage = { ...outage, heldSince: at(minutes) };
            else {
              outage = { ...outage, tried: { to, at: at(minutes), operationId: `o-${index}` } };
              if (succeeds) stay("live");
            }
          }
        }
      },
    ),
    { numRuns: 150 },
  );
});

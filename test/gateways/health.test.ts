/** What power and availability mean, and when a change is worth saying. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { changeOf, conditionOf, judge, wellHeard } from "../../functions/gateways/health.ts";
import { type Levels, levelsOf, nextFindings, OLDEST_MAIL_IN_SECONDS } from "../../functions/gateways/report.ts";
import { type Aspect, aspects, type HeartbeatInput, type ReportFinding } from "../../shared/api/heartbeat.ts";
import { mailFlowMonitorSchema } from "../../shared/tenants/iq-suite.ts";
import type { GatewayRecord } from "../../shared/stores/gateways.ts";

test.each([
  ["running", "Available", "healthy", "Running"],
  ["running", "Degraded", "healthy", "Degraded"],
  ["running", "Unknown", "healthy", "Running"],
  ["running", undefined, "healthy", "Running"],
  ["running", "Unavailable", "unavailable", "PlatformUnavailable"],
  ["stopped", "Unavailable", "stopped", "Stopped"],
  ["deallocated", "Unavailable", "stopped", "Deallocated"],
  ["deallocating", "Available", "stopped", "Deallocated"],
  ["starting", "Unknown", "stopped", "Starting"],
  ["unknown", "Available", "unknown", "PowerStateMissing"],
])("power %s and availability %s is %s", (power, availability, health, reason) => {
  expect(judge({ power: `PowerState/${power}`, availability })).toMatchObject({ health, reason });
});

test("what nobody saw is unknown, and so is a machine without a power state", () => {
  expect(judge(undefined)).toEqual({ health: "unknown", reason: "NotInAnswer" });
  expect(judge({ power: undefined, availability: "Available" })).toMatchObject({
    health: "unknown",
    reason: "PowerStateMissing",
  });
});

const since = "2026-11-22T08:00:00.000Z";
const gateway = (more: Partial<GatewayRecord> = {}): GatewayRecord => ({
  partnerId: "northwind",
  tenantId: "contoso",
  id: "contoso-gateway-1",
  virtualMachineId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/gateway-1",
  entraTenantId: "c0ffee00-0000-4000-8000-000000000001",
  subscriptionId: "s",
  address: "203.0.113.10",
  fqdn: "contoso.westeurope.cloudapp.azure.example",
  region: "westeurope",
  state: { health: "healthy", power: "PowerState/running", reason: "Running", since },
  misses: 0,
  owed: [],
  updatedAt: since,
  ...more,
});

test("a change of detail is recorded and not told; a change of health is owed as an event", () => {
  const at = "2026-11-22T09:00:00.000Z";
  const degraded = judge({ power: "PowerState/running", availability: "Degraded" });
  expect(changeOf(gateway(), { found: "judged", judgement: degraded }, at, () => "1")).toEqual({
    state: { ...degraded, since },
    misses: 0,
    owed: [],
    past: [],
  });
  const stopped = judge({ power: "PowerState/stopped", availability: undefined });
  const before = gateway().state;
  expect(changeOf(gateway(), { found: "judged", judgement: stopped }, at, () => "1")).toEqual({
    state: { ...stopped, since: at },
    misses: 0,
    owed: [{ id: "1", at, before, after: { ...stopped, since: at } }],
    past: [{ health: "healthy", since }],
  });
});

test("a tenant is as well as the worst of its gateways", () => {
  const second = gateway({ id: "contoso-gateway-2", state: { health: "stopped", reason: "Stopped", since } });
  expect(conditionOf([gateway(), second])).toMatchObject({
    status: "False",
    message: expect.stringContaining("contoso-gateway-2"),
  });
  expect(conditionOf([gateway()])).toMatchObject({ status: "True" });
  expect(conditionOf([])).toBeUndefined();
});

const now = Date.parse(since);
const beat = (more: Partial<HeartbeatInput> = {}): HeartbeatInput => ({
  version: 1,
  sentAt: since,
  queue: { count: 0, oldestAgeInSeconds: null },
  badmail: { count: 0, oldestAgeInSeconds: null },
  services: [{ name: "SMTPSVC", state: "Running" }],
  certificate: { thumbprint: "A".repeat(40), notAfter: "2027-11-22T08:00:00Z", selfSigned: false },
  probe: { at: since, host: "contoso-example.mail.protection.outlook.com", stage: "RCPT", reply: "250 2.1.5 Recipient OK" },
  applied: { generation: 1, part: 1 },
  scanners: [],
  ...more,
});
const monitor = mailFlowMonitorSchema.parse({});
const folder = (count: number, oldestAgeInSeconds = 1) => ({ count, oldestAgeInSeconds });
const probe = (reply: string) => ({ at: since, host: "contoso-example.mail.protection.outlook.com", stage: "RCPT", reply });

test.each<[string, Partial<HeartbeatInput>, Levels]>([
  ["24 in the queue", { queue: folder(24) }, {}],
  ["25 in the queue", { queue: folder(25) }, { queue: "warning" }],
  ["49 in the queue", { queue: folder(49) }, { queue: "warning" }],
  ["50 in the queue", { queue: folder(50) }, { queue: "error" }],
  ["9 in badmail", { badmail: folder(9) }, {}],
  ["10 in badmail", { badmail: folder(10) }, { badmail: "warning" }],
  ["20 in badmail", { badmail: folder(20) }, { badmail: "error" }],
  ["one mail that waits half an hour", { queue: folder(1, OLDEST_MAIL_IN_SECONDS) }, {}],
  ["one mail that waits longer", { queue: folder(1, OLDEST_MAIL_IN_SECONDS + 1) }, { queue: "error" }],
  ["old badmail", { badmail: folder(1, 10 * OLDEST_MAIL_IN_SECONDS) }, {}],
  ["a stopped service", { services: [{ name: "smtpsvc", state: "Stopped" }] }, { service: "error" }],
  [
    "a service that is missing where there is no SMTP server",
    { queue: null, badmail: null, services: [{ name: "SMTPSVC", state: "Missing" }] },
    {},
  ],
  [
    "a certificate that ends now",
    { certificate: { thumbprint: "A".repeat(40), notAfter: since, selfSigned: true } },
    { certificate: "error" },
  ],
  [
    "one that ends in two weeks",
    { certificate: { thumbprint: "A".repeat(40), notAfter: "2026-12-06T08:00:00Z", selfSigned: true } },
    { certificate: "warning" },
  ],
  [
    "one that ends a second later",
    { certificate: { thumbprint: "A".repeat(40), notAfter: "2026-12-06T08:00:01Z", selfSigned: true } },
    {},
  ],
  ["nobody who answers", { probe: probe("") }, { smtp: "error" }],
  ["a refusal for a while", { probe: probe("451 4.7.500 Server busy") }, { smtp: "warning" }],
  ["a refusal for good", { probe: probe("550 5.7.606 Access denied") }, { smtp: "error" }],
  ["nothing to say", {}, {}],
])("%s is what it is by the manual's thresholds", (_what, more, levels) => {
  expect(levelsOf(beat(more), monitor, now)).toEqual(levels);
});

const levelsArbitrary: fc.Arbitrary<Levels> = fc.record(
  Object.fromEntries(aspects.map((about) => [about, fc.constantFrom("warning" as const, "error" as const)])) as Record<
    Aspect,
    fc.Arbitrary<"warning" | "error">
  >,
  { requiredKeys: [] },
);

test("an error opens only when the newest readings agree on it, and closes only when the newest three are below a warning", () => {
  fc.assert(
    fc.property(fc.array(levelsArbitrary, { maxLength: 40 }), (readings) => {
      let findings: ReportFinding[] = [];
      for (const index of readings.keys()) {
        const before = findings;
        findings = nextFindings(findings, readings.slice(Math.max(0, index - 2), index + 1));
        for (const about of aspects) {
          const needed = about === "smtp" ? 3 : 2;
          const recent = (count: number) => readings.slice(Math.max(0, index + 1 - count), index + 1).map((one) => one[about]);
          const isOpen = (found: ReportFinding[]) => found.some((one) => one.about === about && one.level === "error");
          const [was, is] = [isOpen(before), isOpen(findings)];
          const agreed = recent(needed).length === needed && recent(needed).every((level) => level === "error");
          const calm = recent(3).length === 3 && recent(3).every((level) => level === undefined);
          expect(is).toBe(was ? !calm : agreed);
          // What the newest reading says is never left out.
          if (readings[index]?.[about] !== undefined) expect(findings.map((one) => one.about)).toContain(about);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test("what nobody knows is never well, and no report makes a machine well that is off", () => {
  const seenArbitrary = fc.option(
    fc.record({
      power: fc.constantFrom(undefined, "PowerState/running", "PowerState/stopped", "PowerState/unknown"),
      availability: fc.constantFrom(undefined, "Available", "Unavailable", "Degraded", "Unknown"),
      agent: fc.constantFrom(undefined, "Ready", "Not Ready", "Missing"),
    }),
    { nil: undefined },
  );
  const heardArbitrary = fc.record({
    silent: fc.boolean(),
    findings: fc.array(
      fc.record({ about: fc.constantFrom(...aspects), level: fc.constantFrom("warning" as const, "error" as const) }),
    ),
  });
  fc.assert(
    fc.property(seenArbitrary, heardArbitrary, (seen, heard) => {
      const { health } = judge(seen, heard);
      const runs = seen?.power === "PowerState/running" && seen.availability !== "Unavailable";
      const well = runs && !heard.silent && heard.findings.every(({ level }) => level === "warning");
      expect(health === "healthy").toBe(well);
      if (!runs) expect(judge(seen, heard)).toEqual(judge(seen, wellHeard));
    }),
    { numRuns: 100 },
  );
});

test("what a gateway was is remembered for a quarter, and of one that flaps the last changes", () => {
  const states = ["healthy", "stopped"] as const;
  let one = gateway();
  for (let hour = 1; hour <= 24 * 120; hour += 1) {
    const at = new Date(now + hour * 3_600_000).toISOString();
    const power = states[hour % (hour < 24 * 60 ? 400 : 2) === 0 ? 1 : 0] === "stopped" ? "stopped" : "running";
    const change = changeOf(
      one,
      { found: "judged", judgement: judge({ power: `PowerState/${power}`, availability: undefined }) },
      at,
      () => "1",
    );
    one = { ...one, ...change, owed: [] };
    const past = one.past ?? [];
    expect(past.length).toBeLessThanOrEqual(64);
    expect(past.filter(({ since: began }) => Date.parse(began) < Date.parse(at) - 90 * 86_400_000).length).toBeLessThanOrEqual(1);
    expect(past.map(({ since: began }) => began)).toEqual(past.map(({ since: began }) => began).toSorted());
    expect(past.at(-1)?.health).not.toBe(one.state.health);
  }
});

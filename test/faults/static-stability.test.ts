/** What stands goes on without what is gone: an hour without any dependency, and then everything that waited. */
import { expect, test, vi } from "vitest";
import { headerValues, subjectOf } from "../../infra/local/clouds/mail/message.ts";
import { ended as over } from "../../shared/stores/operations.ts";
import { playOutage } from "../support/outage.ts";
import { rotate } from "../support/ways.ts";
import { type Life, startWorlds } from "../support/worlds.ts";

const MESSAGES = Number(process.env["OUTAGE_MESSAGES"] ?? 10_000);

test(`an hour without clouds, names and tables, and ${MESSAGES} messages that wait: nothing is called well, and all is caught up`, {
  timeout: 7_200_000,
}, async () => {
  const { before, during, after, waiting, left, rotations, told, events, busiest, throttled } = await playOutage(MESSAGES);
  console.log(`${waiting} messages waited; requests in the busiest minute: ${JSON.stringify(busiest)}`);
  expect(before).toMatchObject({ health: "stopped", listed: "listed" });
  expect(during).toHaveLength(12);
  expect(during.at(-1)).toBe("unavailable");
  for (const seen of during.slice(0, -1)) {
    expect(seen).toMatchObject({ listed: "listed", health: expect.stringMatching(/^(stopped|unknown)$/) as string });
    expect(seen).not.toMatchObject({ caseState: "closed" });
  }

  expect(waiting).toBeGreaterThanOrEqual(MESSAGES);
  expect(left).toEqual({ active: 0, scheduled: 0, dead: [] });
  expect(after).toEqual({ health: "healthy", listed: "clean", caseState: "closed" });
  // One of them made a secret, which is now looked at for a day before it counts as rotated.
  expect(rotations).toEqual(["Running"]);
  expect(events.size).toBeGreaterThan(4);
  expect([...events].filter((id) => !told.has(id))).toEqual([]);

  expect(throttled).toBe(0);
  for (const [cloud, count] of Object.entries(busiest.after))
    expect.soft({ cloud, tooMany: Math.max(0, count - 2 * (busiest.calm[cloud] ?? 0) - 20) }).toEqual({ cloud, tooMany: 0 });
});

const DAY = 24 * 3600 * 1000;

test("a month without Gatehouse: every mail takes its way, and no credential runs out", { timeout: 3_600_000 }, async () => {
  const worlds = await startWorlds();
  const { tenantId, spec, watched } = worlds.customer;
  try {
    await worlds.life(async (life) => {
      const { partner, clouds, ended } = life;
      const days = async (count: number): Promise<void> => {
        for (let day = 0; day < count; day += 1) await life.pass(DAY);
      };
      expect(await ended((await partner.startOnboarding({ tenantId, body: {} })).body)).toMatchObject({ status: "Succeeded" });
      expect(await ended((await partner.startPromotion({ tenantId, body: {} })).body)).toMatchObject({ status: "Succeeded" });
      expect(await ended(await rotate(life, tenantId))).toMatchObject({ status: "Succeeded" });

      // The last moment at which it may still be the old one: on the next day it would be replaced.
      const [made] = (await partner.listCredentials({ tenantId })).body.value;
      const lifetime = Date.parse(made?.expiresAt ?? "") - Date.now();
      await days(Math.floor((lifetime * 0.6) / DAY));
      const state = life.stateNow();
      await life.app.stop();
      const since = (await clouds.requests()).at(-1)?.seq ?? 0;

      const [pilot = ""] = spec.pilot.addresses;
      const { peers } = clouds.platform;
      for (let day = 1; day <= 30; day += 1) {
        await days(1);
        const subject = `day-${day}`;
        const lines = [`From: <${pilot}>`, `To: <${pilot}>`, `Subject: ${subject}`, `Message-ID: <${subject}@contoso.example>`];
        await peers.submitMail?.(watched.organization, {
          envelopeFrom: pilot,
          recipients: [pilot],
          mime: [...lines, "", "Hello.", ""].join("\r\n"),
        });
        await life.pass(DAY / 24);
        const arrived = (peers.messagesIn?.(watched.organization, pilot) ?? []).filter(({ mime }) => subjectOf(mime) === subject);
        expect(
          arrived.map(({ mime }) => headerValues(mime, "X-iqsuite-process").length),
          subject,
        ).toEqual([1]);
      }
      const record = await clouds.requests(undefined, since);
      expect(record.filter(({ cloud }) => cloud === "arm" || cloud === "graph" || cloud === "vault")).toEqual([]);
      expect(record.filter(({ method }) => method === "NDR")).toEqual([]);

      await life.goOnFrom(state);
      const [left] = (await life.partner.listCredentials({ tenantId })).body.value;
      expect(left?.generation).toBe(made?.generation);
      expect(Date.parse(left?.expiresAt ?? "") - Date.now()).toBeGreaterThan(0);
      await sweep(life);
      const told = async () => (await life.partner.listEvents({ maxpagesize: 100 })).body.value.map(({ type }) => type);
      await vi.waitUntil(async () => (await told()).includes("tenant.credential.expiring"), { timeout: 120_000, interval: 100 });
      const begun = async () =>
        (await life.partner.listOperations({ tenantId })).body.value.find(({ status }) => !over({ status }));
      const rotation = await vi.waitUntil(begun, { timeout: 120_000, interval: 100 });
      expect(await life.ended(rotation)).toMatchObject({ kind: "rotation", status: "Succeeded" });
    });
  } finally {
    await worlds.stop();
  }
});

async function sweep({ app }: Life): Promise<void> {
  const response = await fetch(`${app.managementUrl}admin/functions/sweepCredentials`, { method: "POST", body: "{}" });
  expect(response.status).toBe(202);
}

/** Whatever is lost, late, repeated or killed, each event arrives by mail; storms are stacked, and nights are quiet. The clock is the test's. */
import * as fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { urgent } from "../../functions/notifications/letter.ts";
import { awakeFrom } from "../../functions/notifications/quiet-hours.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { MOST_CODES_AN_ADDRESS_A_DAY, MOST_MAILS_A_MINUTE, MOST_MAILS_A_PARTNER_A_DAY } from "../../shared/stores/mail-budget.ts";
import { startMails } from "../support/mails.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Noon in Berlin. */
const NOON = Date.UTC(2026, 10, 20, 11);
const key = { partnerId: "northwind", id: "desk" };
const night = { from: "22:00", to: "07:00" };

let run: ReturnType<typeof startMails>;
beforeEach(() => {
  run = startMails(NOON);
});

const sentTimes = () => run.letters.map(({ at }) => (at - NOON) / MINUTE);
const waiting = async () => (await run.stores.mailOutbox.list(key)).length;

test("the first event comes at once, what follows comes together when the digest's minutes are over", async () => {
  await run.recipient();
  await run.happens({ subject: "first" });
  await run.until(NOON + MINUTE);
  for (const subject of ["second", "third"]) await run.happens({ subject });
  await run.until(NOON + HOUR);
  expect(sentTimes()).toEqual([0, 15]);
  expect(run.letters.map(({ subject }) => subject)).toEqual([
    "Gatehouse: delisting opened (first)",
    "Gatehouse: 2 changes at contoso",
  ]);
  expect([await waiting(), await run.stores.events.untold("northwind")]).toEqual([0, []]);
});

test("a storm of a thousand gives a few mails, which count all of them", async () => {
  await run.recipient();
  for (let number = 0; number < 1000; number += 1) {
    run.clock.time = NOON + number * 1000;
    await run.happens({ subject: `case-${number}`, at: new Date(run.clock.time).toISOString() });
    if (number % 100 === 0) await run.until(run.clock.time);
  }
  await run.until(NOON + 2 * HOUR);
  expect(run.letters.length).toBeLessThanOrEqual(4);
  const counted = run.letters.map(({ subject }) => Number(/: (\d+) changes/.exec(subject)?.[1] ?? 1));
  expect(counted.reduce((sum, count) => sum + count)).toBe(1000);
  expect(Math.max(...run.letters.map(({ text }) => text.split("\n").length))).toBeLessThan(70);
});

test("only who wants the type, is confirmed and is enabled gets mails; who has unsubscribed gets none of what waited", async () => {
  await run.recipient({ types: ["gateway.*"] });
  await run.recipient({ id: "unasked", state: "unconfirmed", address: "unasked@northwind.example" });
  await run.recipient({ id: "off", enabled: false, address: "off@northwind.example" });
  await run.recipient({ id: "left", address: "left@northwind.example", quietHours: { from: "00:00", to: "23:59" } });
  await run.happens();
  await run.until(NOON + MINUTE);
  await run.stores.mailRecipients.change({ ...key, id: "left" }, () => ({ state: "unsubscribed" }));
  await run.until(NOON + 24 * HOUR);
  expect(run.letters.map(({ to, subject }) => [to, subject])).toEqual([]);
  expect(await run.stores.mailOutbox.list({ ...key, id: "left" })).toEqual([]);
});

test("a code comes once, to the address that is to be confirmed, and to no address more than a few times a day", async () => {
  const at = new Date(NOON).toISOString();
  const confirmation = { number: 1, askedAt: at, expiresAt: new Date(NOON + 24 * HOUR).toISOString(), tries: 0 };
  await run.recipient({ state: "unconfirmed", confirmation });
  await run.sweep();
  await run.until(NOON + HOUR);
  await run.sweep();
  await run.until(NOON + 2 * HOUR);
  expect(run.letters.map(({ to, subject }) => [to, subject])).toEqual([
    ["desk@northwind.example", "Gatehouse: your code to confirm this address"],
  ]);
  for (let number = 2; number < 9; number += 1) {
    await run.stores.mailRecipients.change(key, () => ({ confirmation: { ...confirmation, number } }));
    await run.sweep();
    await run.until(run.clock.time + 10 * MINUTE);
  }
  expect(run.letters.length).toBe(MOST_CODES_AN_ADDRESS_A_DAY);
});

test("at night only what can't wait comes; the rest comes in one mail when the night is over", async () => {
  await run.recipient({ quietHours: night });
  await run.until(NOON + 11 * HOUR);
  for (const subject of ["one", "two", "three"]) await run.happens({ subject });
  await run.until(NOON + 12 * HOUR);
  expect(run.letters).toEqual([]);
  await run.happens({ type: "address.listed", subject: "203.0.113.7", data: { title: "Spamhaus ZEN" } });
  await run.until(NOON + 24 * HOUR);
  const [alarm, morning] = run.letters;
  expect(alarm?.subject).toBe("Gatehouse: address 203.0.113.7 is on the blocklist Spamhaus ZEN");
  expect(morning?.subject).toBe("Gatehouse: 3 changes at contoso");
  expect(sentTimes()).toEqual([12 * 60, 19 * 60]);
});

test("who asks for time gets it; failures are shown, and what waits is not lost", async () => {
  await run.recipient();
  run.graph.answer = () =>
    new ControlPlaneError("GraphBusy", "Microsoft Graph asks to wait", 503, true, { retryAfterInSeconds: 7200 });
  await run.happens();
  await run.until(NOON + MINUTE);
  expect(await run.stores.mailRecipients.mailOf(key)).toMatchObject({ failures: 1, lastFailure: { reason: "GraphBusy" } });
  run.graph.answer = () => "taken";
  await run.happens();
  await run.until(NOON + 2 * HOUR - 1);
  expect(run.letters).toEqual([]);
  await run.until(NOON + 3 * HOUR);
  expect(run.letters.map(({ subject }) => subject)).toEqual(["Gatehouse: 2 changes at contoso"]);
  expect(await run.stores.mailRecipients.mailOf(key)).toMatchObject({ failures: 0 });
});

test("a mailbox that fails for days costs few calls", async () => {
  await run.recipient();
  let calls = 0;
  run.graph.answer = () => {
    calls += 1;
    return new ControlPlaneError("GraphRefused", "no", 502);
  };
  for (let number = 0; number < 50; number += 1) await run.happens();
  await run.until(NOON + 48 * HOUR);
  expect(calls).toBeLessThan(60);
});

test("no minute has more mails than may be, whoever they are for, and no partner's day", async () => {
  for (let number = 0; number < 40; number += 1)
    await run.recipient({ id: `desk-${number}`, address: `desk-${number}@northwind.example`, digestInMinutes: 5 });
  await run.happens();
  await run.until(NOON + HOUR);
  const minutes = Map.groupBy(run.letters, ({ at }) => Math.floor(at / MINUTE));
  expect(run.letters.length).toBe(40);
  expect(Math.max(...[...minutes.values()].map(({ length }) => length))).toBeLessThanOrEqual(MOST_MAILS_A_MINUTE);
  for (let hour = 1; hour < 12; hour += 1) {
    await run.happens({ at: new Date(run.clock.time).toISOString() });
    await run.until(run.clock.time + HOUR);
  }
  const today = run.letters.filter(({ at }) => at < Date.UTC(2026, 10, 21));
  expect(today.length).toBeLessThanOrEqual(MOST_MAILS_A_PARTNER_A_DAY);
  await run.until(NOON + 36 * HOUR);
  expect(await run.stores.mailOutbox.list({ ...key, id: "desk-39" })).toEqual([]);
});

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("event" as const), hurry: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("time" as const), minutes: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("broker forgets" as const), all: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("dies" as const),
      call: fc.integer({ min: 1, max: 14 }),
      afterEffect: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("comes again" as const), which: fc.nat({ max: 50 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("graph" as const), answer: fc.constantFrom("taken", "busy", "lost", "refused") }),
  },
);

test("whatever dies, is lost or comes twice: each event arrives, nights are quiet but for what can't wait, and mails are few", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), fc.boolean(), async (steps, quiet) => {
      run = startMails(NOON);
      const recipient = await run.recipient(quiet ? { quietHours: night } : {});
      const hurried = new Set<string>();
      const subjects: string[] = [];
      let deaths = 0;
      const busy = new ControlPlaneError("GraphBusy", "busy", 503, true, { retryAfterInSeconds: 90 });
      const answers = {
        taken: "taken",
        busy,
        lost: { taken: new ControlPlaneError("GraphUnreachable", "no answer", 503, true) },
        refused: new ControlPlaneError("GraphRefused", "no", 502),
      } as const;
      for (const one of steps) {
        if (one.kind === "event") {
          const subject = `case-${subjects.length}-end`;
          const type = one.hurry ? "consent.withdrawn" : "delisting.opened";
          if (one.hurry) hurried.add(subject);
          subjects.push(subject);
          // The sentence of a withdrawn consent names no subject.
          await run.happens({ subject, type, tenantId: subject });
        } else if (one.kind === "time") await run.until(run.clock.time + one.minutes * MINUTE);
        else if (one.kind === "sweep") await run.sweep();
        else if (one.kind === "broker forgets") run.forget(one.all);
        else if (one.kind === "dies") {
          deaths += 1;
          Object.assign(run.life, { callsLeft: one.call, afterEffect: one.afterEffect });
        } else if (one.kind === "comes again") {
          const message = run.bus.sent[one.which % Math.max(1, run.bus.sent.length)];
          if (message) await run.handle(message);
        } else run.graph.answer = () => answers[one.answer];
      }
      run.graph.answer = () => "taken";
      Object.assign(run.life, { callsLeft: Number.POSITIVE_INFINITY });
      for (let hour = 0; hour < 36; hour += 1) {
        await run.until(run.clock.time + HOUR);
        run.forget(hour % 3 === 0);
        await run.sweep();
      }
      const texts = run.letters.map(({ text }) => text);
      expect(subjects.filter((subject) => !texts.some((text) => text.includes(`${subject}:`)))).toEqual([]);
      const calm = subjects.filter((subject) => !hurried.has(subject));
      for (const { at, text } of run.letters)
        if (awakeFrom(recipient, at) !== at) expect(calm.filter((subject) => text.includes(`${subject}:`))).toEqual([]);
      // Each mail but those of answers that were lost, or of a process that died after it, tells something new.
      const lost = steps.filter((one) => one.kind === "graph" && one.answer === "lost").length;
      if (lost === 0) expect(run.letters.length).toBeLessThanOrEqual(subjects.length + deaths);
      expect([await waiting(), await run.stores.events.untold("northwind")]).toEqual([0, []]);
    }),
    { numRuns: 25 },
  );
});

test("what can't wait is what stops mail or is about to", () => {
  const notice = { id: "1", subject: "s", at: new Date(NOON).toISOString(), data: {} };
  expect(urgent({ ...notice, type: "gateway.health.changed", data: { after: { health: "unavailable" } } })).toBe(true);
  expect(urgent({ ...notice, type: "gateway.health.changed", data: { after: { health: "healthy" } } })).toBe(false);
  expect(urgent({ ...notice, type: "delisting.opened" })).toBe(false);
});

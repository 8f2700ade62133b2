/** Proofs by mail, played in virtual time: which mails are looked for, and for how long. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Loop } from "../../shared/desired/state.ts";
import { proveBypass } from "../../shared/proof/around.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { play } from "../support/play.ts";

const { tenantId, ...body } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as { tenantId: string };
const spec = tenantSpecSchema.parse(body);
const work = { partnerId: "northwind", tenantId, operationId: "operation-1" };
const patience = { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 60 };
const pace = { patience, probeIntervalInSeconds: 30, settleInSeconds: 300 };
const MINUTE = 60;

type Found = "absent" | "around" | "through";

/** Mails answer in turn, the last answer for all that follow. */
async function around(answers: Found[], attempt?: number) {
  const sent: string[] = [];
  let settled: boolean | undefined;
  const clock = createVirtualClock();
  const deadline = clock.now() / 1000 + 60 * MINUTE;
  const { elapsedInMilliseconds } = await play({
    clock,
    start: proveBypass,
    input: { work: { ...work, ...(attempt && { attempt }) }, spec, pace, round: 1, deadline },
    activities: {
      sendBypassProbe: ({ subject }: { subject: string }) => void sent.push(subject),
      checkBypassProbe: () => ({ found: answers[Math.min(sent.length, answers.length) - 1] }),
      endBypass: (ended: { settled: boolean }) => void (settled = ended.settled),
    },
  });
  return { sent, settled, minutes: elapsedInMilliseconds / 1000 / MINUTE };
}

test("mail has to go round for as long as it settles; one that met the gateway begins the time anew", async () => {
  const straight = await around(["around"]);
  expect(straight).toMatchObject({ settled: true });
  expect(straight.minutes).toBeGreaterThanOrEqual(5);
  const relapsed = await around(["around", "around", "through", "around"]);
  expect(relapsed.minutes - straight.minutes).toBeGreaterThanOrEqual(1);
  expect(relapsed.settled).toBe(true);
});

test("mail that never goes round ends the proof at its deadline, unsettled", async () => {
  const { settled, minutes } = await around(["through"]);
  expect(settled).toBe(false);
  expect(minutes).toBeGreaterThanOrEqual(60);
});

test("another attempt believes no mail of an earlier one, in either direction", async () => {
  const [first] = (await around(["around"])).sent;
  const [second] = (await around(["around"], 2)).sent;
  expect(second).not.toBe(first);
  const through: string[] = [];
  for (const attempt of [1, 2])
    await play({
      start: proveLoop,
      input: {
        work: { ...work, attempt },
        pace,
        loop: {} as Loop,
        step: "probeMail" as const,
        round: 1,
        deadline: Number.MAX_SAFE_INTEGER,
      },
      activities: {
        sendProbe: ({ subject }: { subject: string }) => void through.push(subject),
        checkProbe: ({ subject }: { subject: string }) => ({ found: "looped", evidence: { subject, hops: [], at: "" } }),
      },
    });
  expect(new Set(through).size).toBe(2);
});

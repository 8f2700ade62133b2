/**
 * Over the real command, `kill -9` of the host in the middle of each operation of a tenant that stands, at a step by chance, and at every step
 * of a client secret's rotation: each comes to the end that it comes to undisturbed. Every checkpoint of every kind is in every-kill.test.ts,
 * in virtual time; kills of clouds and broker are in kills.test.ts. `KILL_SEED=… KILL_LIVES=…` repeats or goes on. With
 * `KILL_EVERY=onboarding,bypass`, or `KILL_EVERY=all`, there is no chance: the host is killed at each step of these chapters, once when it is
 * seen to have begun and once when it is seen to have ended; with `KILL_EACH=4` an operation meets four of its kills, which is faster.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeCustomer } from "../../infra/local/customer.ts";
import { adoptionSteps } from "../../functions/adoption/steps.ts";
import { type Chapter, customerOf, life, promotion, type Round, rounds } from "../support/chapters.ts";
import { startClouds } from "../support/clouds.ts";
import {
  endpointsOf,
  type NewCustomer,
  newCustomer,
  partnerOf,
  recordLeftIn,
  recordOf,
  startCommand,
  withFolder,
} from "../support/command.ts";
import { makeByHand } from "../support/hand-made.ts";
import { ownViolations, watchedOf } from "../support/invariants.ts";
import { onboard, seed, stopped, untilOneAddress } from "../support/kills.ts";
import { live, type Lived, living, type Living, type Moment, momentsOf, released } from "../support/lived-chapters.ts";
import { createRandom } from "../support/random.ts";

const LIVES = Number(process.env["KILL_LIVES"] ?? 3);
const { KILL_EVERY: EVERY } = process.env;

const HOURS = 3_600_000;

async function onboarded(folder: string, customer: NewCustomer): Promise<Living> {
  const endpoints = await endpointsOf(folder);
  expect((await onboard(endpoints, customer)).status).toBe("Succeeded");
  return living(folder, customer);
}

test.skipIf(EVERY !== undefined)(
  `${LIVES} tenants' operations outlive a kill of the host in the middle of each (KILL_SEED=${seed})`,
  { timeout: 2 * HOURS },
  () =>
    withFolder(async (folder) => {
      const random = createRandom(seed);
      const command = startCommand("--idle", "--port", "0", "--data", folder);
      try {
        await command.untilPrinted("Running");
        const undisturbed: Lived[] = [];
        const first = await onboarded(folder, newCustomer("undisturbed"));
        for (const chapter of life) undisturbed.push(await live(first, chapter));
        expect(undisturbed.map(({ chapter, status }) => `${chapter}: ${status}`)).toEqual(
          life.map(({ name }) => `${name}: Succeeded`),
        );
        for (let number = 1; number <= LIVES; number++) {
          const killed: string[] = [];
          const lived: Lived[] = [];
          const customer = newCustomer(`customer-${number}`);
          const next = await onboarded(folder, customer);
          for (const chapter of life)
            lived.push(
              await live(next, chapter, ({ steps }) => {
                const step = steps[Math.floor(random() * steps.length)]?.name;
                killed.push(`${chapter.name} at ${step}`);
                return step === undefined ? [] : [{ step, when: "begun" }];
              }),
            );
          process.stdout.write(`killed: ${killed.join(", ")}\n`);
          expect({ killed, lived }).toEqual({ killed, lived: undisturbed });
          expect(ownViolations(await recordOf(await endpointsOf(folder)), watchedOf(customer.spec))).toEqual([]);
        }
      } finally {
        await stopped(command);
      }
    }),
);

/** How often it is killed in the course of one operation. */
const EACH = Number(process.env["KILL_EACH"] ?? 1);
const names = (EVERY ?? "clientSecret").split(",");
const chosen = ({ name }: Chapter): boolean => names.includes("all") || names.includes(name);

/** Time in the clouds runs, and everybody's waits are short: what is looked at is the order of things. */
const brisk = [
  ["--tempo", "0.02"],
  ...[
    "CONSENT_CHECK_INTERVAL=PT0.5S",
    "PROBE_INTERVAL=PT0.5S",
    "BYPASS_SETTLE=PT1S",
    "ADDRESS_SETTLE=PT2S",
    "OFFBOARDING_SETTLE=PT1S",
    "ROTATION_OVERLAP=PT2S",
    "CERTIFICATE_OVERLAP=PT3S",
    "ROTATION_SCHEDULE=*/3 * * * * *",
    // They look at every machine.
    "GATEWAYS_SCHEDULE=*/20 * * * * *",
    "BLOCKLISTS_SCHEDULE=*/30 * * * * *",
  ].map((setting) => ["--set", setting]),
].flat();

test(`every step of ${names.join(", ")} outlives a kill of the host`, { timeout: 6 * HOURS }, () =>
  withFolder(async (folder) => {
    const played = rounds.filter(({ chapters }) => chapters.some(chosen));
    expect(played.flatMap(({ chapters }) => chapters.filter(chosen)).map(({ name }) => name)).toEqual(
      names.includes("all") ? expect.anything() : expect.arrayContaining(names),
    );
    const handMade = played.some(({ from }) => from === "hand-made") ? await madeByHand(folder) : [];
    const strangers = handMade.length > 0 ? (recordLeftIn(folder).at(-1)?.seq ?? 0) : 0;
    const command = startCommand("--idle", "--port", "0", "--data", folder, ...brisk);
    const customers: NewCustomer[] = [];
    const beginningOf = async (round: Round): Promise<Living> => {
      const customer = (round.from === "hand-made" && handMade.shift()) || customerOf(round, `customer-${customers.length + 1}`);
      customers.push(customer);
      return beginning(folder, round, customer);
    };
    const wrong: unknown[] = [];
    try {
      await command.untilPrinted("Running");
      for (const round of played) wrong.push(...(await everyStep(round, () => beginningOf(round))));
      for (const customer of customers) await untilOneAddress(folder, customer);
    } finally {
      await stopped(command);
    }
    const record = recordLeftIn(folder).filter(({ seq }) => seq > strangers);
    for (const { spec } of customers) wrong.push(...ownViolations(record, watchedOf(spec)));
    expect(wrong).toEqual([]);
  }),
);

/** A round is lived as often as its longest chapter has moments; whoever comes to another end is not lived on. */
async function everyStep({ chapters, anew = false }: Round, beginningOfIt: () => Promise<Living>): Promise<unknown[]> {
  const began = performance.now();
  const wrong: unknown[] = [];
  const moments = new Map<string, Moment[]>();
  const kills = new Map<string, number>();
  let one = await beginningOfIt();
  const undisturbed: Lived[] = [];
  for (const chapter of chapters)
    undisturbed.push(
      await live(one, chapter, (operation) => {
        if (chosen(chapter)) moments.set(chapter.name, momentsOf(operation));
        return [];
      }),
    );
  expect(undisturbed.map(({ status, error, outages }) => ({ status, error, outages }))).toEqual(
    undisturbed.map(() => ({ status: "Succeeded", error: undefined, outages: 0 })),
  );
  const most = Math.max(...[...moments.values()].map(({ length }) => length));
  const times = Math.ceil(most / EACH);
  for (let time = 0; time < times; time++) {
    if (anew) one = await beginningOfIt();
    const killed: string[] = [];
    const lived: Lived[] = [];
    for (const chapter of chapters)
      lived.push(
        await live(
          one,
          chapter,
          () => (moments.get(chapter.name) ?? []).filter((_, index) => index % times === time),
          ({ step, when }) => {
            killed.push(`${chapter.name} when ${step} had ${when}`);
            kills.set(chapter.name, (kills.get(chapter.name) ?? 0) + 1);
          },
        ),
      );
    const others = lived.flatMap((each, index) => {
      const expected = undisturbed[index];
      return JSON.stringify(each) === JSON.stringify(expected) ? [] : [{ killed, lived: each, expected }];
    });
    const seconds = Math.round((performance.now() - began) / 1000);
    process.stdout.write(`${seconds} s: killed ${killed.join(", ") || "nowhere"}\n`);
    if (others.length === 0) continue;
    process.stdout.write(`another end: ${JSON.stringify(others, null, 2)}\n`);
    wrong.push(...others);
    one = await beginningOfIt();
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  for (const [name, number] of kills)
    process.stdout.write(`${name}: killed ${number} times, at ${moments.get(name)?.length} moments; ${seconds} s\n`);
  return wrong;
}

/** One more than an adoption has moments, before the platform starts: what a person does on a machine's desktop has no door. */
async function madeByHand(folder: string): Promise<NewCustomer[]> {
  const clouds = await startClouds({ directory: join(folder, "clouds") });
  const made: NewCustomer[] = [];
  try {
    for (let number = 1; number <= 1 + 2 * adoptionSteps(newCustomer("any").spec).length; number++) {
      const customer = newCustomer(`handmade-${number}`);
      await makeCustomer(clouds.control, customer.spec);
      await clouds.consent(customer.spec.microsoft365.tenantId);
      await makeByHand(clouds, customer);
      made.push(customer);
    }
    return made;
  } finally {
    await clouds.stop();
  }
}

async function beginning(folder: string, { from }: Round, customer: NewCustomer): Promise<Living> {
  if (from === "nothing" || from === "hand-made") return living(folder, customer);
  const one = await onboarded(folder, customer);
  // The first client secret is replaced by the sweep.
  await released(partnerOf(await endpointsOf(folder)), customer.tenantId, 2);
  if (from === "live") expect(await live(one, promotion)).toMatchObject({ status: "Succeeded", stage: "live" });
  return one;
}

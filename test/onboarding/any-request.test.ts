/**
 * Twelve requests by chance, of all that four onboardings send to the clouds at once, are refused before they have an effect or cut off
 * after it. `npm run test:faults` does it to every request, in virtual time; here it is real time and a seed.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { documentedCodes } from "../support/error-codes.ts";
import { oneOfEach } from "../support/estate.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { createRandom } from "../support/random.ts";

/** `FAULT_SEED=… npx vitest run …` takes the same numbers again; which requests they are still depends on the machine. */
const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000);
const FAULTS = 6;
/** Four onboardings send some more than that. */
const AMONG_REQUESTS = 500;

let platform: OnboardingPlatform;
const customers = ["first", "second", "third", "fourth"].map((name) => customer("contoso", name));
beforeAll(async () => {
  platform = await startOnboarding();
  for (const one of customers) {
    await platform.organize(one);
    await platform.clouds.consent(one.spec.microsoft365.tenantId);
    await platform.register(one);
  }
});
afterAll(() => platform.stop());

/** How each call ended, until one succeeds: a fault may meet the next one too, but there are not more than so many. */
async function onboard(one: Customer): Promise<string[]> {
  const endings: string[] = [];
  while (endings.length <= FAULTS && endings.at(-1) !== "Succeeded") {
    const ended = await platform
      .start(one)
      .then((operation: Operation) => platform.untilEnded(operation, { consent: "never" }))
      .catch((error: unknown) => ({ status: "Refused", error: error as { code?: string } }));
    endings.push(ended.error?.code ?? ended.status);
  }
  return endings;
}

test(`onboardings with faults at ${FAULTS} requests complete, or say why not and complete when asked again (FAULT_SEED=${seed})`, async () => {
  const random = createRandom(seed);
  const planned = Array.from({ length: FAULTS }, () => ({
    after: Math.floor(random() * AMONG_REQUESTS),
    kind: random() < 0.5 ? "refuse" : "cut-after-effect",
  }));
  for (const { after, kind } of planned) await platform.clouds.fault(undefined, kind, {}, 1, after);
  const since = await platform.now();

  const endings = await Promise.all(customers.map(onboard));

  const known = documentedCodes();
  expect(endings.flat().filter((ending) => ending !== "Succeeded" && !known.has(ending))).toEqual([]);
  expect(endings.map((all) => all.at(-1))).toEqual(customers.map(() => "Succeeded"));
  const met = (await platform.record(since)).filter(({ fault }) => fault !== undefined);
  expect(met.length).toBeGreaterThan(0);
  for (const one of customers) {
    const estate = await platform.estate(one);
    expect(estate).toMatchObject(oneOfEach);
    const { vault, ...places } = estate.loopGuid;
    expect(places).toEqual({ registry: `X-iqsuite-process:${vault}`, approvalRule: [vault], forwardingRule: [vault] });
  }
});

/** Nothing acts for an operation that is to stop: whichever activity it is, it is asked at the one place where all are registered. */
import { expect, test } from "vitest";
import type { Attempts } from "../../shared/durable/admission.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { play } from "../support/play.ts";

const work = { partnerId: "northwind", tenantId: "contoso", operationId: "operation-1" };
const patience = { tries: 3, firstWaitInSeconds: 1, longestWaitInSeconds: 1 };

interface Steps {
  build(input: { work: typeof work & { attempt?: number } }): Promise<void>;
  fail(input: { work: typeof work; failure: unknown }): Promise<void>;
}

/** Builds three times; when it can't go on, says so. */
function* building(context: OrchestrationContext, input: { attempt?: number }): Routine<string> {
  const { build, fail } = stepsOf<Steps>(context, patience);
  try {
    for (let floor = 1; floor <= 3; floor++) yield* build({ work: { ...work, ...input } });
    return "built";
  } catch (error) {
    yield* fail({ work, failure: failureFrom(error) });
    return failureFrom(error).code;
  }
}

async function outcome(attempt: number | undefined, attemptsAt: (built: number) => Awaited<ReturnType<Attempts["attemptsOf"]>>) {
  const did: string[] = [];
  const { result } = await play({
    start: building,
    input: attempt === undefined ? {} : { attempt },
    attemptsOf: async () => attemptsAt(did.length),
    activities: { build: async () => void did.push("built"), fail: async () => void did.push("failed") },
  });
  return { result, did };
}

const status = "Running";
const cancel = { attempt: 1, by: "partner northwind", at: "2030-01-01T00:00:00.000Z" };

test("what is to go on goes on", async () => {
  expect(await outcome(undefined, () => ({ attempt: 1, status }))).toEqual({ result: "built", did: ["built", "built", "built"] });
  expect(await outcome(undefined, () => undefined)).toMatchObject({ result: "built" });
});

test("after the flag is set nothing more is done, at once and without another try; that it ended is recorded", async () => {
  const seen = await outcome(undefined, (built) => (built < 2 ? { attempt: 1, status } : { attempt: 1, status, cancel }));
  expect(seen).toEqual({ result: "OperationCanceled", did: ["built", "built", "failed"] });
});

test("a new attempt isn't stopped by the flag of the one before", async () => {
  expect(await outcome(2, () => ({ attempt: 2, status, cancel }))).toMatchObject({ result: "built" });
});

test("what an earlier attempt has left running does nothing, and can't even record its end", async () => {
  expect(await outcome(undefined, () => ({ attempt: 2, status }))).toEqual({ result: undefined, did: [] });
});

test("what has succeeded does not fail afterwards, though the answer of its last activity was lost", async () => {
  const { did } = await outcome(undefined, () => ({ attempt: 1, status: "Succeeded", cancel }));
  expect(did).toEqual([]);
});

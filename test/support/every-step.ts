/**
 * An operation that fails at one of its activities, before its effect or after all of it: another attempt completes it, and a roll-back
 * leaves the clouds as they were. Or its host is killed there, and another one goes on. In virtual time, each from the same moment.
 */
import type { Operation } from "../../shared/api/operation.ts";
import { credentialsHeld } from "./credentials-held.ts";
import { canonical } from "./estate.ts";
import { activitiesCalled, type FailAt, failAt, killAt } from "./failing.ts";
import { ownViolations } from "./invariants.ts";
import { serverAssigned } from "./server-assigned.ts";
import type { Way } from "./ways.ts";
import type { Life, Worlds } from "./worlds.ts";

/** How an operation goes when nothing fails: what it calls, and what it leaves. */
export const undisturbed = (worlds: Worlds, { from, start }: Way): Promise<{ activities: string[]; left: Left }> =>
  worlds.life(async (life) => {
    failAt(undefined);
    const { status, error } = await life.ended(await start(life));
    if (status !== "Succeeded") throw new Error(`undisturbed it ended as ${status}: ${JSON.stringify(error)}`);
    return { activities: activitiesCalled(), left: await leftIn(worlds, life) };
  }, from);

const AN_HOUR = 3_600_000;

export interface Left {
  /** What the clouds hold. */
  estate: string;
  /** What the API says of the tenant and its credentials, and who holds which of them; whoever doesn't know it doesn't expect it. */
  tenant?: string;
}

export interface Outcome {
  /** `done without`: it succeeded although that failed; `refused`: its kind says why it can't be taken back. */
  how: "retried" | "rolled back" | "refused" | "delivered again" | "done without" | "killed" | "not played";
  /** Sentences. */
  wrong: string[];
}

/**
 * Tries it before and after each activity that an undisturbed one calls, or those of them whose names have `ACTIVITIES`, and prints what
 * became of them, and at once what is wrong.
 * @returns sentences about what is wrong
 */
export async function atEachActivity(
  worlds: Worlds,
  way: Way,
  what: string,
  tried: (plan: FailAt, expected: Left) => Promise<Outcome[]>,
): Promise<string[]> {
  // Time is virtual here; how long it took is not.
  const began = performance.now();
  const { activities, left } = await undisturbed(worlds, way);
  const chosen = activities.filter((activity) => activity.includes(process.env["ACTIVITIES"] ?? ""));
  const wrong: string[] = [];
  const outcomes = new Map<string, number>();
  for (const activity of chosen)
    for (const when of ["before", "after"] as const)
      for (const { how, wrong: found } of await tried({ activity, when }, left).catch(thrown)) {
        outcomes.set(how, (outcomes.get(how) ?? 0) + 1);
        const sentences = found.map((sentence) => `${when} ${activity}, ${how}: ${sentence}`);
        // An hour may pass until all have been tried.
        for (const sentence of sentences) process.stdout.write(`${way.kind}, ${sentence}\n`);
        wrong.push(...sentences);
      }
  const outcome = [...outcomes].map(([how, times]) => `${times} ${how}`).join(", ");
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(`${way.kind}, ${what} before and after each of ${chosen.length} activities: ${outcome}; ${seconds} s\n`);
  return wrong;
}

/** What the test itself could not go on with must not keep the others from being tried. */
const thrown = (error: unknown): Outcome[] => [
  { how: "not played", wrong: [error instanceof Error ? (error.stack ?? error.message) : String(error)] },
];

/** It fails once, and then each way on is tried, or `only` that one; what can't be taken back is tried again after that was refused. */
export async function failedThere(
  worlds: Worlds,
  way: Way,
  plan: FailAt,
  expected: Left,
  only?: "retried" | "rolled back",
): Promise<Outcome[]> {
  const failed = (goOn: (life: Life, operation: Operation, before: unknown) => Promise<Outcome[]>): Promise<Outcome[]> =>
    worlds.life(async (life) => {
      const before = await everything(life);
      failAt(plan);
      const operation = await life.ended(await way.start(life));
      const called = activitiesCalled().includes(plan.activity);
      failAt(undefined);
      if (!called) return [{ how: "retried", wrong: [`${plan.activity} was not called`] }];
      if (operation.status === "Succeeded")
        return [{ how: "done without", wrong: await asUndisturbed(worlds, life, operation, expected) }];
      // Mail that was on its way arrives, and nothing is asked for so soon that it is refused.
      await life.pass(AN_HOUR);
      return goOn(life, operation, before);
    }, way.from);
  const triedAgain = async (life: Life, operation: Operation) => [await retried(worlds, life, operation, expected)];

  if (only === "retried") return failed(triedAgain);
  const outcomes = await failed(async (life, operation, before) => {
    const back = await rolledBack(worlds, life, way, operation, before);
    return back.how === "refused" && only === undefined ? [back, ...(await triedAgain(life, operation))] : [back];
  });
  if (only !== undefined || outcomes.some(({ how }) => how === "done without")) return outcomes;
  return [
    ...outcomes,
    ...(outcomes.some(({ how }) => how === "rolled back") ? await failed(triedAgain) : []),
    ...(way.kind === "rotation" ? await failed(async (life) => [await deliveredAgain(worlds, life, way, expected)]) : []),
  ];
}

async function retried(worlds: Worlds, life: Life, { id: operationId }: Operation, expected: Left): Promise<Outcome> {
  const asked = await life.partner.retryOperation({ operationId }).catch((error: unknown) => error as Error);
  if (asked instanceof Error) return { how: "retried", wrong: [`it was not tried again: ${asked.message}`] };
  const again = await life.ended(asked.body);
  const attempts = again.attempt === 2 ? [] : [`it has ${again.attempt} attempts`];
  return { how: "retried", wrong: [...attempts, ...(await asUndisturbed(worlds, life, again, expected))] };
}

/** The message that began it comes once more. */
async function deliveredAgain(worlds: Worlds, life: Life, way: Way, expected: Left): Promise<Outcome> {
  const another = await life.ended(await way.start(life));
  return { how: "delivered again", wrong: await asUndisturbed(worlds, life, another, expected) };
}

async function rolledBack(
  worlds: Worlds,
  life: Life,
  { standing }: Way,
  { id: operationId, kind, steps }: Operation,
  before: unknown,
): Promise<Outcome> {
  // Nobody's mail is in these worlds' machines, which say nothing of themselves.
  const body = { rollBack: true, abandonQueues: true };
  const asked = await life.partner.cancelOperation({ operationId, body }).catch((error: unknown) => error as Error);
  if (asked instanceof Error) {
    const right = "code" in asked && asked.code === "RollBackRefused" && (standing || mayRefuse(kind, steps));
    return { how: "refused", wrong: right ? [] : [`it was not taken back: ${asked.message}`] };
  }
  const ended = await life.ended(asked.body);
  return {
    how: "rolled back",
    wrong: [
      ...(ended.status === "Canceled" ? [] : [`its roll-back ended as ${ended.status}: ${JSON.stringify(ended.error)}`]),
      ...(ended.leftStanding?.length ? [`it left standing ${JSON.stringify(ended.leftStanding)}`] : []),
      ...differences("", before, await everything(life)),
      ...(await unsafe(worlds, life)),
    ],
  };
}

/** Its host is killed there, and the next one goes on with what the first had noted. */
export const killedThere = (worlds: Worlds, { from, start }: Way, plan: FailAt, expected: Left): Promise<Outcome> =>
  worlds.life(async (life) => {
    const killed = Promise.withResolvers<string>();
    killAt(plan, () => killed.resolve(life.stateNow()));
    const begun = await start(life);
    const end = life.app.engine.whenFinished(`northwind_${begun.id}_1`);
    const noted = await life.until(Promise.race([killed.promise, end]));
    if (typeof noted !== "string") return { how: "killed", wrong: [`${plan.activity} was not called`] };
    await life.goOnFrom(noted);
    const operation = await life.ended(begun);
    return { how: "killed", wrong: await asUndisturbed(worlds, life, operation, expected) };
  }, from);

async function asUndisturbed(worlds: Worlds, life: Life, { status, error }: Operation, expected: Left): Promise<string[]> {
  const left = await leftIn(worlds, life);
  const { estate, tenant = left.tenant } = expected;
  return [
    ...(status === "Succeeded" ? [] : [`it ended as ${status}: ${JSON.stringify(error)}`]),
    ...(left.estate === estate ? [] : [`it left ${left.estate} instead of ${estate}`]),
    ...(left.tenant === tenant ? [] : [`it left ${left.tenant} instead of ${tenant}`]),
    ...(await unsafe(worlds, life)),
  ];
}

async function leftIn({ customer: { tenantId, spec } }: Worlds, life: Life): Promise<Left> {
  const { stage, conditions } = (await life.partner.getTenant({ tenantId })).body;
  const { azure, microsoft365 } = spec;
  const held = credentialsHeld(life.clouds, { subscription: azure.subscriptionId, organization: microsoft365.tenantId });
  const said = conditions.map(({ type, status, reason }) => `${type} ${status}: ${reason}`).toSorted();
  const credentials = (await life.partner.listCredentials({ tenantId })).body.value
    .map(({ name, state, generation }) => `${name} ${generation}: ${state}`)
    .toSorted();
  return { estate: canonical(await life.estate()), tenant: JSON.stringify({ stage, said, credentials, held }) };
}

/** Where a refusal is right: what the kinds of operations say of themselves, seen from outside. */
function mayRefuse(kind: Operation["kind"], steps: Operation["steps"]): boolean {
  switch (kind) {
    case "addressReplacement":
    case "adoption":
    case "rotation":
    case "renewal":
    case "smtpRestart":
    case "repair":
    case "bypass":
    case "restore":
      return true;
    case "offboarding":
      return steps.some(({ name, change }) => change === "removed" && !name.endsWith("orwardingRule"));
    default:
      return false;
  }
}

async function unsafe({ customer: { watched } }: Worlds, life: Life): Promise<string[]> {
  return ownViolations(await life.record(), watched).map((violation) => JSON.stringify(violation));
}

/** Every cloud but what it assigns by itself; the secrets of a deleted vault go with it once Azure forgets it. */
async function everything(life: Life): Promise<unknown> {
  const arm = (await life.state("arm")) as { resources: { id: string; type: string }[] };
  const vaults = new Set(
    arm.resources.filter(({ type }) => type === "Microsoft.KeyVault/vaults").map(({ id }) => id.split("/").at(-1)),
  );
  const secrets = Object.entries((await life.state("vault")) as Record<string, unknown>).filter(([path]) =>
    vaults.has(path.split("/")[0]),
  );
  const [exchange, graph, entra] = [await life.state("exchange"), await life.state("graph"), await life.state("entra")];
  const clouds = { arm, secrets: Object.fromEntries(secrets), exchange, graph, entra };
  return JSON.parse(JSON.stringify(clouds, (key, value: unknown) => (key in serverAssigned ? undefined : value)));
}

/** Paths at which they differ, with what stands there. */
function differences(path: string, before: unknown, after: unknown): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const [one, other] = [entriesOf(before), entriesOf(after)];
  if (one === undefined || other === undefined) return [`${path} was ${JSON.stringify(before)} and is ${JSON.stringify(after)}`];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].flatMap((key) =>
    differences(`${path}/${key}`, one[key], other[key]),
  );
}

const entriesOf = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;

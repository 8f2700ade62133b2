/**
 * An operation that fails at one of its activities, before its effect or after all of it: another attempt completes it, and a roll-back
 * leaves the clouds as they were. In virtual time, each from the same moment.
 */
import type { Operation, OperationKind } from "../../shared/api/operation.ts";
import { canonical } from "./estate.ts";
import { activitiesCalled, type FailAt, failAt } from "./failing.ts";
import { violations } from "./invariants.ts";
import type { Beginning, Life, Worlds } from "./worlds.ts";

export interface Way {
  kind: OperationKind;
  from: Beginning | undefined;
  start(life: Life): Promise<Operation>;
}

/** What the same request does from the moments that it needs. */
export async function waysIn(worlds: Worlds): Promise<Way[]> {
  const { tenantId } = worlds.customer;
  const begin = {
    onboarding: async ({ partner }: Life) => (await partner.startOnboarding({ tenantId })).body,
    promotion: async ({ partner }: Life) => (await partner.startPromotion({ tenantId })).body,
    demotion: async ({ partner }: Life) => (await partner.startDemotion({ tenantId })).body,
    offboarding: async ({ partner }: Life) =>
      (await partner.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } })).body,
  };
  const through = (start: Way["start"]) => async (life: Life) => {
    failAt(undefined);
    const { status, error } = await life.ended(await start(life));
    if (status !== "Succeeded") throw new Error(`the moment to begin from did not come: ${JSON.stringify(error)}`);
  };
  const pilot = await worlds.after(through(begin.onboarding));
  const live = await worlds.after(through(begin.promotion), pilot);
  const from = { onboarding: undefined, promotion: pilot, demotion: live, offboarding: live };
  return (["onboarding", "promotion", "demotion", "offboarding"] as const).map((kind) => ({
    kind,
    from: from[kind],
    start: begin[kind],
  }));
}

/** How an operation goes when nothing fails: what it calls, and what it leaves. */
export const undisturbed = (worlds: Worlds, { from, start }: Way): Promise<{ activities: string[]; left: string }> =>
  worlds.life(async (life) => {
    failAt(undefined);
    await life.ended(await start(life));
    return { activities: activitiesCalled(), left: canonical(await life.estate()) };
  }, from);

/** Sentences about what is wrong. */
export const failThenRetry = (worlds: Worlds, { from, start }: Way, plan: FailAt, expected: string): Promise<string[]> =>
  worlds.life(async (life) => {
    const { failed, operation } = await failedAt(life, start, plan);
    if (!failed) return [`${plan.activity} was not called`];
    if (operation.status === "Succeeded") return []; // what it failed at is done without
    const { id: operationId } = operation;
    const again = await life.ended((await life.partner.retryOperation({ operationId })).body);
    const left = canonical(await life.estate());
    return [
      ...(again.status === "Succeeded" ? [] : [`tried again it ended as ${again.status}: ${JSON.stringify(again.error)}`]),
      ...(again.attempt === 2 ? [] : [`it has ${again.attempt} attempts`]),
      ...(left === expected ? [] : [`it left ${left} instead of ${expected}`]),
      ...(await unsafe(worlds, life)),
    ];
  }, from);

/** Sentences about what is wrong; `refused` counts as right where the kind says that it can't be taken back. */
export const failThenRollBack = (worlds: Worlds, { kind, from, start }: Way, plan: FailAt): Promise<string[]> =>
  worlds.life(async (life) => {
    const before = await everything(life);
    const { failed, operation } = await failedAt(life, start, plan);
    if (!failed) return [`${plan.activity} was not called`];
    if (operation.status === "Succeeded") return [];
    const { id: operationId } = operation;
    // Nobody's mail is in these worlds' machines, which say nothing of themselves.
    const body = { rollBack: true, abandonQueues: true };
    const asked = await life.partner.cancelOperation({ operationId, body }).catch((error: unknown) => error as Error);
    if (asked instanceof Error)
      return (kind === "offboarding" || stands(plan)) && "code" in asked && asked.code === "RollBackRefused"
        ? []
        : [`it was not taken back: ${asked.message}`];
    const rolledBack = await life.ended(asked.body);
    const after = await everything(life);
    return [
      ...(rolledBack.status === "Canceled"
        ? []
        : [`its roll-back ended as ${rolledBack.status}: ${JSON.stringify(rolledBack.error)}`]),
      ...(rolledBack.leftStanding?.length ? [`it left standing ${JSON.stringify(rolledBack.leftStanding)}`] : []),
      ...differences("", before, after),
      ...(await unsafe(worlds, life)),
    ];
  }, from);

/** A gateway that stands, with mail through it, is not taken away by taking an onboarding back. */
const stands = ({ activity, when }: FailAt): boolean => activity === "finishOnboarding" && when === "after";

async function failedAt(life: Life, start: Way["start"], plan: FailAt): Promise<{ failed: boolean; operation: Operation }> {
  failAt(plan);
  const operation = await life.ended(await start(life));
  return { failed: activitiesCalled().includes(plan.activity), operation };
}

async function unsafe({ customer: { watched } }: Worlds, life: Life): Promise<string[]> {
  return violations(await life.record(), watched).map((violation) => JSON.stringify(violation));
}

/** What a roll-back can't or needn't bring back: it was sent, or the cloud gives it to every new object by itself, or keeps it for a while. */
const SERVER_ASSIGNED = new Set([
  // Exchange Online
  "guid",
  "whenChanged",
  "whenCreated",
  "messages",
  "effectiveRules",
  "rulesPropagated",
  "immutableId",
  // Azure Resource Manager
  "operations",
  "deletedVaults",
  // When a machine's agent was last heard of.
  "time",
]);

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
  return JSON.parse(JSON.stringify(clouds, (key, value: unknown) => (SERVER_ASSIGNED.has(key) ? undefined : value)));
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

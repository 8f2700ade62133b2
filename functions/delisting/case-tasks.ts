/** A case's task among all that only people can do, and how to see that it is done: a list's form leaves no trace but the person's word. */
import type { Versioned } from "../../shared/stores/table.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import type { Sight, TaskCheck, TaskKey } from "../../shared/stores/tasks.ts";
import { ACKNOWLEDGED } from "./orchestrator.ts";
import { findingsOf } from "./task.ts";
import { reverseOf } from "./reverse.ts";
import type { DelistingWorld } from "./world.ts";

type World = Pick<DelistingWorld, "stores" | "clock" | "resolver">;

const keyOf = ({ partnerId, tenantId, id }: CaseRecord): TaskKey => ({ partnerId, tenantId, kind: "delisting", subject: id });

/** Opens the task that the case has, and closes the one that it had. */
export async function followCase({ stores: { tasks } }: Pick<World, "stores">, one: CaseRecord): Promise<void> {
  const { id, state, task, acknowledged, outcome, history } = one;
  const told = history.at(-1)?.message ?? state;
  if (state === "closed") await tasks.end(keyOf(one), outcome === "released" ? "canceled" : "done", told);
  else if (acknowledged) await tasks.end(keyOf(one), "done", told);
  else if (task) {
    const { title, text, link, note, fields } = task;
    const waiting = { instanceId: id, event: ACKNOWLEDGED };
    await tasks.open({ ...keyOf(one), title, instructions: note, text, link, fields, about: { asked: task.kind }, waiting });
  }
}

/** The first word counts; a ticket may be added later. */
export async function acknowledge(
  world: Pick<World, "stores" | "clock">,
  { partnerId, caseId }: { partnerId: string; caseId: string },
  { by, ticket }: { by: "Partner" | "Operator"; ticket?: string | undefined },
): Promise<Versioned<CaseRecord>> {
  const changed = await world.stores.cases.change(partnerId, caseId, (known) => {
    const { acknowledged, state, listTitle } = known;
    if (acknowledged && (ticket === undefined || acknowledged.ticket === ticket)) return undefined;
    const first = acknowledged ?? { at: new Date(world.clock.now()).toISOString(), by };
    return {
      acknowledged: { ...first, ...(ticket === undefined ? {} : { ticket }) },
      ...(acknowledged ? {} : { message: `${listTitle} was asked for the removal` }),
      ...(state === "opened" || state === "ready" || state === "remediation" ? { state: "waiting" as const } : {}),
    };
  });
  await followCase(world, changed);
  return changed;
}

export const delistingCheck = (world: World): TaskCheck => ({
  async accept({ partnerId, subject, about }, by) {
    if (about["asked"] === "askForRemoval") await acknowledge(world, { partnerId, caseId: subject }, { by });
  },
  async look({ partnerId, subject, about }) {
    const one = await world.stores.cases.find(partnerId, subject);
    if (one === undefined || one.outcome === "released") return { found: "needless", message: `case ${subject} is over` };
    if (one.state === "closed" || one.acknowledged)
      return { found: "done", message: one.history.at(-1)?.message ?? "the list was asked for the removal" };
    if (about["asked"] === "putRight") return putRight(world, one);
    if (about["asked"] === "replaceAddress") return replaced(world, one);
    return { found: "missing", message: `nobody has said yet that ${one.listTitle} was asked` };
  },
});

/** What keeps a list from removing an address is its name in DNS, which is asked for again. */
async function putRight({ resolver }: World, one: CaseRecord): Promise<Sight> {
  const { evidence } = one;
  if (evidence === undefined) return { found: "unknown", message: "evidence is still being gathered" };
  const now = findingsOf({ ...one, evidence: { ...evidence, ...(await reverseOf(resolver, one.address)) } });
  const blocking = now.filter(({ severity }) => severity === "error");
  if (blocking.length > 0)
    return { found: "missing", message: blocking.map(({ message, remedy }) => `${message}. ${remedy}`).join(" ") };
  const unread = now.find(({ code }) => code === "ReverseNameUnknown");
  return unread
    ? { found: "unknown", message: unread.message }
    : { found: "done", message: `the reverse name of ${one.address} leads back to it` };
}

async function replaced({ stores: { gateways } }: World, { partnerId, address }: CaseRecord): Promise<Sight> {
  const gateway = (await gateways.of(partnerId)).find((one) => one.address === address);
  return gateway
    ? { found: "missing", message: `gateway ${gateway.id} still has ${address}` }
    : { found: "done", message: `no gateway has ${address} any more` };
}

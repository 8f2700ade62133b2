/** A case's task among all that only people can do, and how to see that it is done: a list's form leaves no trace but the person's word. */
import { refusal } from "../../shared/api/error-codes.ts";
import type { CaseChange, CaseRecord } from "../../shared/stores/cases.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { Sight, TaskCheck, TaskKey } from "../../shared/stores/tasks.ts";
import { evidenceOf } from "./evidence.ts";
import { findingsOf } from "./findings.ts";
import { contactOf } from "./contact.ts";
import { ACKNOWLEDGED } from "./orchestrator.ts";
import type { DelistingWorld } from "./world.ts";

type World = Pick<DelistingWorld, "stores" | "clock" | "resolver" | "blocklists">;

const keyOf = ({ partnerId, tenantId, id }: CaseRecord): TaskKey => ({ partnerId, tenantId, kind: "delisting", subject: id });

/** Opens the task that the case has, and closes the one that it had. */
export async function followCase({ stores: { tasks } }: Pick<World, "stores">, one: CaseRecord): Promise<void> {
  const { id, state, task, acknowledged, outcome, history } = one;
  const told = history.at(-1)?.message ?? state;
  if (state === "closed") return tasks.end(keyOf(one), outcome === "released" ? "canceled" : "done", told);
  if (acknowledged) return tasks.end(keyOf(one), "done", told);
  if (!task) return tasks.end(keyOf(one), "canceled", told);
  const { title, text, link, note, steps, fields } = task;
  const instructions = [note, ...steps.map((step, index) => `${index + 1}. ${step}`)].filter((line) => line !== "").join("\n");
  const waiting = { instanceId: id, event: ACKNOWLEDGED };
  await tasks.open({ ...keyOf(one), title, instructions, text, link, fields, about: { asked: task.kind }, waiting });
}

/** The first word counts; a ticket may be added later. Throws DelistingNotReady where the list must not be asked. */
export async function acknowledge(
  world: Pick<World, "stores" | "clock">,
  { partnerId, caseId }: { partnerId: string; caseId: string },
  { by, ticket }: { by: "Partner" | "Operator"; ticket?: string | undefined },
): Promise<Versioned<CaseRecord>> {
  const changed = await world.stores.cases.change(partnerId, caseId, (known) => {
    const { acknowledged, owed = [] } = known;
    const given = ticket === undefined ? {} : { ticket };
    if (acknowledged && (ticket === undefined || acknowledged.ticket === ticket)) return undefined;
    if (acknowledged) return { acknowledged: { ...acknowledged, ...given } };
    const at = new Date(world.clock.now()).toISOString();
    return { ...accepted(known, { at, by }), acknowledged: { at, by, ...given }, owed };
  });
  await followCase(world, changed);
  return changed;
}

/** What a person's word changes. */
function accepted(known: CaseRecord, submission: CaseRecord["submissions"][number]): CaseChange {
  const { id, state, task, listTitle, submissions } = known;
  const asked = { submissions: [...submissions, submission], message: `${listTitle} was asked for the removal` };
  switch (task?.kind) {
    case "askForRemoval":
      if (state === "ready") return { ...asked, state: "waiting" };
      return state === "verifying" ? { ...asked, resumes: { state: "waiting", stateSince: submission.at } } : asked;
    case "approveRequest":
      if (state !== "verifying")
        return { ...asked, state: "submitted", message: `that ${listTitle} is asked was approved`, acknowledged: undefined };
      break;
    case "stepIn":
      return { message: "somebody has stepped in" };
    default:
  }
  throw refusal("DelistingNotReady", `nobody is asked to ask a list in ${id}: it is ${state}`);
}

export const delistingCheck = (world: World): TaskCheck => ({
  async accept({ partnerId, subject, about }, by) {
    if (byWord.has(String(about["asked"]))) await acknowledge(world, { partnerId, caseId: subject }, { by });
  },
  async look({ partnerId, subject, about }) {
    const one = await world.stores.cases.find(partnerId, subject);
    if (one === undefined || one.outcome === "released") return { found: "needless", message: `case ${subject} is over` };
    if (one.state === "closed" || one.acknowledged)
      return { found: "done", message: one.history.at(-1)?.message ?? "the list was asked for the removal" };
    if (about["asked"] === "putRight") return putRight(world, one);
    if (about["asked"] === "replaceAddress") return replaced(world, one);
    return { found: "missing", message: `nobody has said yet that this was done: ${one.task?.title ?? one.listTitle}` };
  },
});

/** Tasks that a person's word ends; what else is done shows. */
const byWord = new Set(["askForRemoval", "approveRequest", "stepIn"]);

/** What keeps a list from removing an address is looked at again. */
async function putRight(world: World, one: CaseRecord): Promise<Sight> {
  if (one.evidence === undefined) return { found: "unknown", message: "evidence is still being gathered" };
  const tenant = await world.stores.tenants.find(one.partnerId, one.tenantId);
  const evidence = await evidenceOf(world, one, one.evidence.verdict);
  const now = findingsOf({ ...one, evidence }, contactOf(tenant?.spec.microsoft365.domains ?? []));
  const blocking = now.filter(({ severity }) => severity === "error");
  const unclear = now.some(({ code }) => code === "ReverseNameUnknown");
  const message = blocking.map((finding) => finding.message).join("; ");
  if (blocking.length > 0) return { found: "missing", message };
  return unclear
    ? { found: "unknown", message: "DNS gave no answer" }
    : { found: "done", message: "nothing keeps the list from it" };
}

async function replaced({ stores: { gateways } }: World, { partnerId, address }: CaseRecord): Promise<Sight> {
  const gateway = (await gateways.of(partnerId)).find((one) => one.address === address);
  return gateway
    ? { found: "missing", message: `gateway ${gateway.id} still has ${address}` }
    : { found: "done", message: `no gateway has ${address} any more` };
}

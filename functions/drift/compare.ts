/** What a look shows as drift, and what becomes of a tenant's record by it. Pure: from what was read to what is kept and told. */
import type { Difference, Unread } from "../../shared/api/drift.ts";
import type { Finding } from "../../shared/api/plan.ts";
import type { Condition } from "../../shared/api/tenant.ts";
import { forwardingKinds } from "../../shared/exchange/rule-kinds.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Look, Seen } from "../../shared/runbook/looking.ts";
import type { StepTitle } from "../../shared/runbook/steps.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import type { EventRecord } from "../../shared/stores/events.ts";
import { isInVault, type SecretReference } from "../../shared/vault/reference.ts";
import { culpritOf } from "./culprits.ts";

export const sendsMail: ReadonlySet<string> = new Set(forwardingKinds);

/** As one look shows it: nobody knows yet since when. */
export type Differing = Omit<Difference, "since" | "changes"> & { changes: Omit<Difference["changes"][number], "since">[] };

export interface Comparison {
  differences: Differing[];
  unread: Unread[];
  findings: Finding[];
}

/** What carries mail, data or an identity: making it anew takes an onboarding, which proves the loop again. */
const madeByOnboarding = new Set<string>([
  "resourceGroup",
  "vmIdentity",
  "vault",
  "tlsCertificate",
  "publicIpAddress",
  "gatewayVm",
  "sqlServer",
  "sqlDatabase",
  "webClientApplication",
  "powerShellApplication",
  "exchangeWebServicesApplication",
] satisfies (keyof Resources)[]);

export function compared(look: Look, steps: StepTitle[]): Comparison {
  const { standing, around } = look;
  const places = new Map(steps.map(({ name, title }, place) => [name, { place, title }]));
  const seen = look.seen.toSorted((one, other) => placeIn(places, one) - placeIn(places, other));
  const named = ({ step, kind }: Seen) => ({ step, kind, title: places.get(step)?.title ?? step });
  return {
    differences: seen
      .filter((one) => one.unmade !== true && one.action !== "none" && one.action !== "unknown")
      .map((one): Differing => {
        const action = one.action as Differing["action"];
        const culprit = culpritOf(one, look);
        const byHand = ofPersonsLoopGuid(one);
        return {
          ...named(one),
          action,
          repair: byHand || action === "blocked" ? "person" : standing || needsOnboarding(one) ? "onboard" : "repair",
          changes: one.changes.map(({ path, from, to }) => ({ path, expected: to, actual: from })),
          ...(byHand ? { reason: BY_HAND } : one.reason === undefined ? {} : { reason: one.reason }),
          ...(culprit ? { culprit } : {}),
        };
      }),
    unread: seen
      .filter(({ unmade, action }) => unmade === true || action === "unknown")
      .map((one) => ({
        ...named(one),
        reason: one.unmade === true ? "it can be compared once what it stands on is there" : (one.reason ?? ""),
      })),
    findings: around?.findings ?? [],
  };
}

const placeIn = (places: Map<string, { place: number }>, { step }: Seen): number =>
  places.get(step)?.place ?? Number.MAX_SAFE_INTEGER;

const needsOnboarding = ({ kind, action }: Seen): boolean =>
  action === "replace" || action === "remove" || (action === "create" && madeByOnboarding.has(kind));

/** Of the loop GUID that a person has made we know a fingerprint: what writes it, or rests on it as mail does that is sent there, we can't bring back. */
function ofPersonsLoopGuid({ kind, action, wanted, changes }: Seen): boolean {
  const { loopGuid } = (wanted ?? {}) as { loopGuid?: SecretReference };
  if (loopGuid === undefined || isInVault(loopGuid)) return false;
  return action === "create" || sendsMail.has(kind) || changes.some(({ path }) => withTheLoopGuid.has(path));
}

const BY_HAND = "a person has made this rule's loop GUID, which is in no vault: put it back by hand";
/** Exchange Online takes a header and its words together. */
const withTheLoopGuid = new Set(["loopGuid", "loopHeader", "exceptLoopHeader"]);

/** Nothing could be looked at. What was known to differ stays known. */
export const unreadable = (reason: string, known: DriftRecord | undefined): Comparison => ({
  differences: [],
  unread: [{ step: "all", kind: "tenant", title: "Everything", reason }],
  findings: known?.findings ?? [],
});

export interface Judging {
  partnerId: string;
  tenantId: string;
  /** When the look began. */
  at: string;
  /** How often a day a property is brought back by policy, Infinity without one; undefined in a repair's own look. */
  mostRepairs: number | undefined;
}

/** An older look than the one that is known says nothing. What can't be read stays as it was known. */
export function judged(
  known: DriftRecord | undefined,
  comparison: Comparison,
  { partnerId, tenantId, at, mostRepairs }: Judging,
): DriftRecord | undefined {
  if (known && known.lookedAt > at) return undefined;
  const before = new Map(known?.differences.map((one) => [one.step, one]));
  const repairs = recentRepairs(known?.repairs ?? {}, at);
  const unseen = new Set(comparison.unread.map(({ step }) => step));
  const kept = [...before.values()].filter(({ step }) => unseen.has(step) || unseen.has("all"));
  const differences = comparison.differences.map((one) => since(one, before.get(one.step), at, repairs, mostRepairs));
  const all = [...differences, ...kept];
  const found = differences.filter((one) => {
    const earlier = before.get(one.step);
    const paths = new Set(earlier?.changes.map(({ path }) => path));
    return earlier?.action !== one.action || one.changes.some(({ path }) => !paths.has(path));
  });
  const contested = differences.filter((one) => one.contested === true && before.get(one.step)?.contested !== true);
  const repaired = [...before.values()].filter(({ step }) => !all.some((one) => one.step === step));
  const tell = (type: string, resources: Difference[]): EventRecord[] =>
    resources.length === 0
      ? []
      : [
          {
            partnerId,
            tenantId,
            id: `${tenantId}-${type.replaceAll(".", "-")}-${Date.parse(at)}`,
            type,
            subject: tenantId,
            at,
            data: { resources: resources.map(told) },
          },
        ];
  const changed = known === undefined || outcomeOf(all, comparison.unread) !== outcomeOf(known.differences, known.unread);
  return {
    partnerId,
    tenantId,
    lookedAt: at,
    changedAt: changed ? at : known.changedAt,
    differences: all,
    unread: comparison.unread,
    findings: comparison.findings,
    repairs,
    owed: [
      ...(known?.owed ?? []),
      ...tell("tenant.drift.found", found),
      ...tell("tenant.drift.contested", contested),
      ...tell("tenant.drift.repaired", repaired),
    ],
  };
}

const told = ({ step, kind, title, action, changes, culprit }: Difference) => ({
  step,
  kind,
  title,
  action,
  changes: changes.map(({ path, expected, actual }) => ({ path, expected, actual })),
  ...(culprit ? { culprit } : {}),
});

const outcomeOf = (differences: Difference[], unread: Unread[]): string =>
  JSON.stringify([differences.map(({ step, action, changes }) => [step, action, changes]), unread.map(({ step }) => step)]);

/** Evidence keeps the time when it was first seen, for as long as it is the same property. */
function since(
  one: Differing,
  earlier: Difference | undefined,
  at: string,
  repairs: Record<string, string[]>,
  mostRepairs: number | undefined,
): Difference {
  const known = new Map(earlier?.changes.map((change) => [change.path, change.since]));
  // A repair's own look leaves it as the last one outside of it has judged.
  const contested =
    mostRepairs === undefined
      ? earlier?.contested === true
      : propertiesOf(one).some((name) => (repairs[name]?.length ?? 0) >= mostRepairs);
  return {
    ...one,
    since: earlier?.since ?? at,
    changes: one.changes.map((change) => ({ ...change, since: known.get(change.path) ?? at })),
    ...(contested ? { contested } : {}),
  };
}

/** What repairs are counted by; what is missing is one property. */
export const propertiesOf = ({ step, changes }: Pick<Differing, "step" | "changes">): string[] =>
  changes.length === 0 ? [`${step} `] : changes.map(({ path }) => `${step} ${path}`);

const DAY_IN_MILLISECONDS = 24 * 3600 * 1000;

const recentRepairs = (repairs: Record<string, string[]>, at: string): Record<string, string[]> => {
  const oldest = Date.parse(at) - DAY_IN_MILLISECONDS;
  const recent = Object.entries(repairs).map(
    ([name, times]) => [name, times.filter((time) => Date.parse(time) > oldest)] as const,
  );
  return Object.fromEntries(recent.filter(([, times]) => times.length > 0));
};

export function conditionOf({ differences, unread }: Pick<DriftRecord, "differences" | "unread">): Omit<Condition, "since"> {
  const type = "InSync";
  const contested = differences.filter((one) => one.contested === true);
  if (contested.length > 0)
    return {
      type,
      status: "False",
      reason: "DriftContested",
      message: `something else changes it again and again: ${described(contested)}`,
    };
  if (differences.length > 0) return { type, status: "False", reason: "Drifted", message: described(differences) };
  const [first] = unread;
  if (first) {
    const others = unread.length === 1 ? "" : `, and ${unread.length - 1} more`;
    return { type, status: "Unknown", reason: "NotRead", message: `${first.title}: ${first.reason}${others}` };
  }
  return { type, status: "True", reason: "AsWanted", message: "everything is as the spec wants it" };
}

const described = (differences: Difference[]): string =>
  differences.map(({ title, action, changes }) => `${title}: ${what(action, changes)}`).join(" · ");

const what = (action: Difference["action"], changes: Difference["changes"]): string => {
  if (action === "create") return "missing";
  if (action === "remove") return "not wanted any more";
  if (action === "blocked") return "somebody else's object has its name";
  return changes.map(({ path }) => path).join(", ");
};

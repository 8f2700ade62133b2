/** What taking an installation over would do: it is found and compared with what we would make; nothing is written. */
import { createHash } from "node:crypto";
import type { AdoptedResource, Adoption, AdoptionChoices } from "../../shared/api/adoption.ts";
import type { Finding } from "../../shared/api/plan.ts";
import type { AsFound } from "../../shared/desired/adopted.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { PropertyChange } from "../../shared/resources/resource.ts";
import type { ForwardingRuleActual } from "../../shared/resources/forwarding-rule.ts";
import { type Found, OWNER } from "../../shared/resources/adoptable.ts";
import { type Access, checkAccess } from "../../shared/runbook/access.ts";
import type { NotManaged } from "../../shared/runbook/adopted-hands.ts";
import { lookAt, type Seen } from "../../shared/runbook/looking.ts";
import { spfStep } from "../../shared/runbook/runbook.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { IN_NO_VAULT } from "../../shared/vault/reference.ts";
import { type Discovered, discover, type Discovery } from "./discover.ts";
import { UNREAD } from "./judge.ts";
import type { AdoptionWorld } from "./world.ts";

/** An adoption as it would be begun now. */
export interface Sighted {
  shown: Adoption;
  /** Where it is possible. */
  asFound?: AsFound;
  /** What is taken over, in the walk's order. */
  taken: Seen[];
}

/** What can't be read is said to be unread; nothing is taken over then. */
export async function lookForAdoption(world: AdoptionWorld, tenant: TenantRecord, choices: AdoptionChoices): Promise<Sighted> {
  try {
    return await looked(world, tenant, choices);
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    const message = `${error.code}: ${error.message}`;
    const unread: Finding = { code: UNREAD, severity: "error", message, remedy: "look again" };
    return { shown: shownOf(tenant, choices, { objects: {}, findings: [unread] }), taken: [] };
  }
}

async function looked(world: AdoptionWorld, tenant: TenantRecord, choices: AdoptionChoices): Promise<Sighted> {
  const { spec } = tenant;
  const access = await Promise.all([checkAccess(world, spec, "consent"), checkAccess(world, spec, "azureAccess")]);
  const locked = access.flatMap((one, index) => accessFindings(one, index === 0 ? "consent" : "azureAccess"));
  if (locked.length > 0) return { shown: shownOf(tenant, choices, { objects: {}, findings: locked }), taken: [] };

  const discovery = await discover(world, tenant, choices);
  const { names, size, objects, stage, misplaced } = discovery;
  if (names === undefined) return { shown: shownOf(tenant, choices, discovery), taken: [] };

  const ids = Object.fromEntries(Object.entries(objects).flatMap(([step, { id }]) => (id === undefined ? [] : [[step, id]])));
  const entries = ["connectionFilter", ...spec.microsoft365.domains.map((_, index) => spfStep(index, "stay"))];
  const nothingYet = Object.fromEntries([...Object.keys(ids), ...entries].map((step): [string, Found] => [step, {}]));
  const asIf: TenantRecord = { ...tenant, stage: stage ?? "pilot", facts: { ...tenant.facts, names } };
  const { seen, ...look } = await lookAt(world, asIf, { asFound: { names, size, found: nothingYet, adopting: ids } });

  // An entry in what is the customer's own carries no mark: it is there as it should be, or it is not managed yet.
  const taken = seen.filter(({ step, action }) => ids[step] !== undefined || action === "none");
  const notManaged = [...look.notManaged, ...seen.filter((one) => !taken.includes(one))];
  const findings = [...discovery.findings, ...ofWhatIsThere(objects, taken)];
  const around = look.around?.findings ?? [];
  const shown = shownOf(tenant, choices, { ...discovery, findings, around }, taken, notManaged);
  if (!shown.possible) return { shown, taken };
  const found = taken.map(({ step, changes, actual }): [string, Found] => [
    step,
    {
      ...foundOf(changes),
      ...(misplaced.includes(step) ? { order: "broken" } : {}),
      // Whatever a spec says later, an onboarding moves nobody else's mail before it has proven the gateway.
      ...(step === "forwardingRule" ? { scope: (actual as ForwardingRuleActual).scope } : {}),
    },
  ]);
  return { shown, asFound: { names, size, found: Object.fromEntries(found), adopting: ids }, taken };
}

/** Beside the missing mark. */
const differencesOf = (changes: PropertyChange[]): PropertyChange[] => changes.filter(({ path }) => path !== OWNER);

const foundOf = (changes: PropertyChange[]): Found =>
  Object.fromEntries(differencesOf(changes).map(({ path, from }) => [path, from ?? null]));

interface Shown extends Pick<Discovery, "objects" | "findings" | "stage"> {
  /** What meets the mail flow, and keeps nobody from taking it over. */
  around?: Finding[];
}

function shownOf(
  tenant: TenantRecord,
  choices: AdoptionChoices,
  { objects, findings, stage, around = [] }: Shown,
  taken: Seen[] = [],
  notManaged: NotManaged[] = [],
): Adoption {
  const places = new Map(onboardingSteps(tenant.spec, undefined, true).map(({ name, title }, place) => [name, { place, title }]));
  const placed = <One extends { step: string }>(ones: One[]): One[] =>
    ones.toSorted((one, other) => (places.get(one.step)?.place ?? places.size) - (places.get(other.step)?.place ?? places.size));
  const titleOf = (step: string): string => places.get(step)?.title ?? step;
  const unseen = Object.entries(objects).filter(([step]) => !taken.some((one) => one.step === step));
  const resources = placed([
    ...taken.map((one) => resourceOf(one, titleOf(one.step), objects[one.step])),
    ...unseen.map(([step, object]) => unseenOf(step, titleOf(step), object)),
  ]);
  const blocked = resources.flatMap((one) => blockedBy(one));
  const judged = [...findings, ...blocked];
  const possible = judged.every(({ severity }) => severity !== "error") && taken.length > 0;
  const left = placed(notManaged).map(({ step, kind }) => ({ step, kind, title: titleOf(step) }));
  const told = { possible, ...(stage ? { stage } : {}), resources, notManaged: left, findings: [...judged, ...around] };
  const hash = createHash("sha256")
    .update(JSON.stringify({ spec: tenant.spec, choices, told }))
    .digest("hex");
  return { tenantId: tenant.id, hash, ...told };
}

function resourceOf({ step, kind, action, changes, reason }: Seen, title: string, object: Discovered = {}): AdoptedResource {
  const state = action === "blocked" ? "foreign" : action === "unknown" ? "unknown" : action === "create" ? "missing" : "found";
  return {
    step,
    kind,
    title,
    state,
    ...(object.name === undefined ? {} : { name: object.name }),
    marks: changes.some(({ path }) => path === OWNER),
    differences: differencesOf(changes).map(({ path, from, to }) => ({ path, found: from, ours: shownAs(to) })),
    // What replacing it would interrupt is not asked: it stays.
    ...(reason === undefined || state === "found" ? {} : { reason }),
  };
}

/** A secret that an onboarding would make is in no vault yet. */
const shownAs = (wanted: unknown): unknown =>
  (wanted as { vaultUrl?: string } | null)?.vaultUrl === IN_NO_VAULT.vaultUrl ? "a secret of the tenant's own vault" : wanted;

/** Kind and step are the same where there is one machine in one region. */
const unseenOf = (step: string, title: string, { id, name, candidates = [] }: Discovered): AdoptedResource => ({
  step,
  kind: step,
  title,
  state: id !== undefined ? "unknown" : candidates.length > 1 ? "ambiguous" : "missing",
  ...(name === undefined ? {} : { name }),
  marks: false,
  differences: [],
  ...(candidates.length > 1 ? { candidates } : {}),
  ...(id === undefined ? {} : { reason: "it is compared once the machine is found" }),
});

/** Without an approval rule mail is judged once more, which harms nobody; without the others there is no gateway. */
function blockedBy({ step, title, state, reason, candidates = [] }: AdoptedResource): Finding[] {
  const error = (code: string, message: string, remedy: string): Finding[] => [{ code, severity: "error", message, remedy }];
  const unapproved: Finding = {
    code: "ApprovalRuleMissing",
    severity: "warning",
    message: "no rule spares the gateway's mail a second look for spam",
    remedy: "an onboarding makes one",
  };
  const said: Record<AdoptedResource["state"], Finding[]> = {
    found: [],
    missing:
      step === "approvalRule"
        ? [unapproved]
        : error("NothingToAdopt", `"${title}" was not found`, "make it by the manual, or onboard a gateway of our own"),
    ambiguous: error("AdoptionAmbiguous", `"${title}" could be any of: ${candidates.join(", ")}`, `choose one: ${step}`),
    foreign: error("ForeignObject", `"${title}": ${reason ?? "it is another tenant's"}`, "a person has to decide whose it is"),
    unknown: error(UNREAD, `"${title}" could not be read: ${reason ?? ""}`, "look again"),
  };
  return said[state];
}

/** What a person should know of it, though it is taken over as it is. */
function ofWhatIsThere(objects: Discovery["objects"], taken: Seen[]): Finding[] {
  const valueIn = (step: string, path: string): unknown =>
    taken.find((one) => one.step === step)?.changes.find((one) => one.path === path)?.from;
  const findings: Finding[] = [];
  const [forwarded, approved] = ["forwardingRule", "approvalRule"].map((step) => valueIn(step, "loopGuid"));
  if (objects["approvalRule"]?.id !== undefined && JSON.stringify(forwarded) !== JSON.stringify(approved))
    findings.push({
      code: "LoopGuidsDiffer",
      severity: "warning",
      message: "the two rules look for different values of the loop header, and the gateway writes one",
      remedy: "compare both with the Guid in configuration.xml on the machine",
    });
  const remoteDesktop = valueIn("networkSecurityGroup", "rules/RDP") as
    | { sources?: string[]; access?: string }
    | null
    | undefined;
  if (remoteDesktop?.access === "Allow" && remoteDesktop.sources?.includes("*"))
    findings.push({
      code: "RemoteDesktopOpen",
      severity: "warning",
      message: "the network security group lets anybody reach Remote Desktop",
      remedy: "name the addresses that may (manual, chapter 2.1), before it is taken over or after",
    });
  return findings;
}

function accessFindings(access: Access, wanted: "consent" | "azureAccess"): Finding[] {
  if (access.state === "granted") return [];
  if (access.state === "refused") {
    const { code, message } = access.failure;
    return [{ code, severity: "error", message, remedy: "correct the spec" }];
  }
  return wanted === "consent"
    ? [
        {
          code: "ConsentRequired",
          severity: "error",
          message: access.message,
          remedy: "open the link of GET /api/tenants/{tenantId}/consent as an administrator of the customer's Microsoft 365",
        },
      ]
    : [
        {
          code: "AzureAccessMissing",
          severity: "error",
          message: access.message,
          remedy: "grant our application the named roles on the subscription: az role assignment create",
        },
      ];
}

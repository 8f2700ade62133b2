/** Keeps what stands of a tenant before it is taken away, found out by the look that compares it. What can't be read ends it: half of it is none. */
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { TenantExport } from "../../shared/api/export.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { adoptedOf } from "../../shared/desired/adopted.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import { standingOf } from "../../shared/desired/target.ts";
import { isSpf } from "../../shared/dns/spf-record.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { lookAt, type Seen } from "../../shared/runbook/looking.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { OffboardingWorld } from "./world.ts";

/** The tenant's fact `export`: which offboarding's counts. */
interface Kept {
  operationId: string;
}

/** GET …/export */
export const getExport =
  ({ stores }: ApiWorld): Handler<"getExport"> =>
  async ({ caller, params, query }) => {
    const { partnerId, id: tenantId, facts } = await stores.tenants.get(partnerInScope(caller, query.partnerId), params.tenantId);
    const kept = keptOf(facts);
    const document = kept && (await stores.exports.get({ partnerId, tenantId, operationId: kept.operationId }));
    if (document === undefined) throw refusal("ExportNotFound", `nothing was kept of tenant ${tenantId}`);
    return { body: document };
  };

const keptOf = (facts: TenantRecord["facts"]): Kept | undefined => facts["export"] as Kept | undefined;

/** A tenant that came back begins to leave without what was kept when it left before. */
export function withoutOlderExport({ facts }: Pick<TenantRecord, "facts">, { operationId }: Work): TenantRecord["facts"] {
  const { export: _, ...others } = facts;
  return keptOf(facts)?.operationId === operationId ? facts : others;
}

/** One that was kept before anything was taken away stays: afterwards there is less. */
export async function keepExport(world: OffboardingWorld, { partnerId, tenantId, operationId }: Work): Promise<void> {
  const { tenants, exports } = world.stores;
  const tenant = await tenants.get(partnerId, tenantId);
  if (tenant.stage === "offboarding" && keptOf(tenant.facts) !== undefined) return;
  const kept: Kept = { operationId };
  await exports.keep({ partnerId, tenantId, operationId }, await exportOf(world, tenant, operationId));
  await tenants.change(partnerId, tenantId, ({ facts }) => ({ facts: { ...facts, export: kept } }));
}

async function exportOf(world: OffboardingWorld, tenant: TenantRecord, operationId: string): Promise<TenantExport> {
  const { id: tenantId, spec, stage } = tenant;
  const { seen, target, around } = await lookAt(world, tenant, { asFound: adoptedOf(tenant) });
  const unread = seen.find(({ action }) => action === "unknown");
  if (unread) throw unreadable(unread.step, unread.reason);
  const live = settledStage(tenant) === "live";
  const steps = onboardingSteps(spec, standingOf(tenant), live);
  const places = new Map(steps.map(({ name, title }, place) => [name, { title, place }]));
  const placed = ({ step }: Seen) => places.get(step) ?? { title: step, place: places.size };
  return {
    tenantId,
    operationId,
    at: new Date(world.clock.now()).toISOString(),
    stage,
    spec,
    names: target.names,
    objects: seen
      .toSorted((one, other) => placed(one).place - placed(other).place)
      .map((one) => {
        const { kind, step, wanted, actual, reason } = one;
        return { kind, step, title: placed(one).title, wanted, actual, ...(reason !== undefined && { reason }) };
      }),
    byHand: byHand(tenant),
    findings: around?.findings ?? [],
    spf: await Promise.all(spec.microsoft365.domains.map((domain) => spfOf(world, domain))),
    audit: await wholeLog(world, tenant),
  };
}

const byHand = ({ spec: { pilot, microsoft365 } }: TenantRecord): string[] => [
  "make the objects in their order; rules send mail through the gateway only when its loop was seen to work",
  "make a loop GUID and an administrator's password anew, and put them into the vault: secrets are not kept",
  "give Windows the SMTP server, the loop header and the firewall that the guest's document has",
  `send a mail of ${microsoft365.probeMailbox} around the loop before mail of ${[...pilot.addresses, ...(pilot.groups ?? [])].join(", ")} goes there`,
  "put the gateways' new addresses into the SPF records before mail comes from them",
];

async function spfOf({ authorities }: OffboardingWorld, domain: string): Promise<TenantExport["spf"][number]> {
  const texts = await authorities.texts(domain);
  if (texts.state === "unknown") throw unreadable(`SPF record of ${domain}`, texts.reason.message);
  return { domain, records: texts.state === "present" ? texts.actual.filter(isSpf) : [] };
}

async function wholeLog({ stores }: OffboardingWorld, { partnerId, id: tenantId }: TenantRecord): Promise<TenantExport["audit"]> {
  const entries: TenantExport["audit"] = [];
  for (let after: string | undefined; ; ) {
    const { items, next } = await stores.audit.list({ partnerId, tenantId }, {}, PAGE_SIZE, after);
    entries.push(...items);
    if (next === undefined) return entries;
    after = next;
  }
}

const PAGE_SIZE = 200;

const unreadable = (what: string, why = ""): ControlPlaneError =>
  new ControlPlaneError("ExportIncomplete", `nothing was taken away, since ${what} could not be read: ${why}`, 503, true);

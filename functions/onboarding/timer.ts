/** Mission D6: a consent that is withdrawn later is noticed by a daily look, and so is one that comes back. */
import type { Condition } from "../../shared/api/tenant.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { EventRecord } from "../../shared/stores/events.ts";
import { pages } from "../../shared/stores/pages.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { type Access, checkAccess } from "../../shared/runbook/access.ts";
import type { OnboardingWorld } from "./world.ts";

export interface ConsentWatch extends Pick<OnboardingWorld, "checkConsent" | "azureAccess" | "clock" | "log"> {
  stores: Pick<Stores, "partners" | "tenants" | "events">;
}

const PAGE_SIZE = 100;
/** How many organisations are asked at a time: nobody waits for this look. */
const AT_A_TIME = 16;
/** Before them an onboarding looks for itself; after them nobody works there any more. */
const watched = new Set<TenantRecord["stage"]>(["onboarding", "pilot", "live", "bypassed"]);

export const pollConsents = (world: ConsentWatch) => async (): Promise<void> => {
  let tenants = 0;
  let withdrawn = 0;
  for await (const some of watchedTenants(world)) {
    const seen = await Promise.all(some.map((tenant) => look(world, tenant)));
    tenants += seen.length;
    withdrawn += seen.filter((condition) => condition?.reason === WITHDRAWN).length;
  }
  world.log.information("consents looked at", { tenants, withdrawn });
};

/** Some at a time, of all partners. */
export async function* watchedTenants({
  stores,
}: {
  stores: Pick<Stores, "partners" | "tenants">;
}): AsyncGenerator<TenantRecord[]> {
  for await (const partners of pages((after) => stores.partners.list(PAGE_SIZE, after)))
    for (const { id } of partners)
      for await (const tenants of pages((after) => stores.tenants.list(id, PAGE_SIZE, after))) {
        const some = tenants.filter(({ stage }) => watched.has(stage));
        for (let first = 0; first < some.length; first += AT_A_TIME) yield some.slice(first, first + AT_A_TIME);
      }
}

const WITHDRAWN = "Withdrawn";
const RESTORED = "Restored";

/** An organisation that can't be asked says nothing about its consent, and must not end the look for all others. */
async function look(world: ConsentWatch, tenant: TenantRecord): Promise<Condition | undefined> {
  const { partnerId, id: tenantId } = tenant;
  try {
    const found = await checkAccess(world, tenant.spec, "consent");
    const { conditions } = await world.stores.tenants.change(partnerId, tenantId, (current) => {
      const next = becoming(consentOf(current), found, new Date(world.clock.now()).toISOString());
      return next && { conditions: current.conditions.map((one) => (one.type === next.type ? next : one)) };
    });
    const condition = consentOf({ conditions });
    // Said of the condition as it stands, under an id and a time that follow from it: whoever died before saying it is made up for.
    const event = condition && eventOf(tenant, condition);
    if (event) await world.stores.events.add(event);
    return condition;
  } catch (error) {
    const gone = error instanceof ControlPlaneError && error.code === "TenantNotFound";
    if (!gone) world.log.warning("a consent could not be looked at", { partnerId, tenantId, error });
    return undefined;
  }
}

const consentOf = ({ conditions }: Pick<TenantRecord, "conditions">): Condition | undefined =>
  conditions.find(({ type }) => type === "ConsentGranted");

/** A consent that an onboarding still waits for is that onboarding's matter. */
function becoming(known: Condition | undefined, found: Access, at: string): Condition | undefined {
  if (!known) return undefined;
  if (found.state === "granted")
    return known.status === "False" && known.reason === WITHDRAWN
      ? { ...known, status: "True", reason: RESTORED, message: found.message, since: at }
      : undefined;
  if (known.status !== "True") return undefined;
  const message = found.state === "refused" ? `${found.failure.code}: ${found.failure.message}` : found.message;
  return { ...known, status: "False", reason: WITHDRAWN, message, since: at };
}

const events: Record<string, string> = { [WITHDRAWN]: "consent.withdrawn", [RESTORED]: "consent.restored" };

function eventOf({ partnerId, id: tenantId }: TenantRecord, { reason, message, since }: Condition): EventRecord | undefined {
  const type = events[reason];
  if (type === undefined) return undefined;
  const id = `${tenantId}-${type.replace(".", "-")}-${Date.parse(since)}`;
  return { partnerId, tenantId, id, type, subject: tenantId, at: since, data: { reason, message } };
}

/** How SPF stands at the domains' own name servers, and the record that a person still has to publish. None of it holds up a pilot. */
import type { Condition } from "../../shared/api/tenant.ts";
import { egressIps, type Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import { widenedSpf } from "../../shared/dns/spf-limits.ts";
import { characterStrings, isSpf } from "../../shared/dns/spf-record.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { TaskCheck } from "../../shared/stores/tasks.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { watchedTenants } from "./timer.ts";
import type { OnboardingWorld } from "./world.ts";

type World = Pick<OnboardingWorld, "authorities" | "resolver" | "environment">;
type Stores = Pick<OnboardingWorld["stores"], "tenants" | "tasks">;

export interface SpfState {
  domain: string;
  /** `refused`: publishing it would break the domain's SPF; a person puts that right first. */
  state: "published" | "toPublish" | "refused" | "unknown";
  /** Why, as a code for programs. */
  reason: string;
  message: string;
  task?: SpfTask;
}

/** What a person publishes, letter by letter. */
export interface SpfTask {
  kind: "publishSpf";
  title: string;
  name: string;
  type: "TXT";
  ttl: number;
  value: string;
  /** The same as a zone file has it: strings of 255 bytes at most. */
  strings: string[];
  /** The record that it takes the place of; a second one would make both void. */
  replaces?: string;
}

const TTL_IN_SECONDS = 3600;

export const spfStates = (world: World, { spec }: Pick<Target, "spec">, addresses: string[]): Promise<SpfState[]> =>
  Promise.all(spec.microsoft365.domains.map((domain) => spfState(world, domain, addresses)));

/** Without addresses: whether the record could be widened at all. */
export async function spfState(world: World, domain: string, addresses: string[]): Promise<SpfState> {
  const texts = await world.authorities.texts(domain);
  if (texts.state === "unknown") {
    const { code, message } = texts.reason;
    return { domain, state: "unknown", reason: code, message };
  }
  const records = texts.state === "present" ? texts.actual.filter(isSpf) : [];
  try {
    const include = world.environment.exchange.spfHost;
    const { record, added } = await widenedSpf(world.resolver, domain, records, { addresses, include });
    if (added.length === 0)
      return { domain, state: "published", reason: "Published", message: `the SPF record of ${domain} lists the gateways` };
    return {
      domain,
      state: "toPublish",
      reason: "RecordToPublish",
      message: `the SPF record of ${domain} has to be: ${record}`,
      task: {
        kind: "publishSpf",
        title: records.length === 0 ? `Publish an SPF record for ${domain}` : `Change the SPF record of ${domain}`,
        name: domain,
        type: "TXT",
        ttl: TTL_IN_SECONDS,
        value: record,
        strings: characterStrings(record),
        ...(records[0] === undefined ? {} : { replaces: records[0] }),
      },
    };
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    const { code, message, transient } = error;
    return { domain, state: transient ? "unknown" : "refused", reason: code, message };
  }
}

/**
 * The condition follows what was seen, and so do the tasks: one for each domain that needs a person, closed when its record is right. Name
 * servers that say nothing change nothing that is known.
 */
export async function followSpf({ tenants, tasks }: Stores, of: Tenant, states: SpfState[]): Promise<void> {
  const { partnerId, tenantId } = of;
  const condition = spfCondition(states);
  const { conditions } = await tenants.get(partnerId, tenantId);
  if (condition.status !== "Unknown" || !conditions.some(({ type }) => type === condition.type))
    await tenants.setConditions(partnerId, tenantId, [condition]);
  for (const { domain, state, message, task } of states) {
    const key = { partnerId, tenantId, kind: "publishSpf" as const, subject: domain };
    if (state === "published") await tasks.end(key, "done", message);
    else if (state === "toPublish" && task) await tasks.open({ ...key, ...askingTo(task) });
    else if (state === "refused")
      await tasks.open({ ...key, title: `Put right the SPF record of ${domain}`, instructions: message, fields: [] });
  }
}

const askingTo = ({ title, name, type, ttl, value, strings, replaces }: SpfTask) => ({
  title,
  instructions:
    replaces === undefined
      ? `Add this record where ${name} has its DNS. It is looked for at the domain's own name servers, by itself.`
      : `Put this record where ${name} has its DNS in the place of the one that is there: two would make both void. It is looked for at the domain's own name servers, by itself.`,
  fields: [
    { label: "Name", value: name },
    { label: "Type", value: type },
    { label: "Value", value },
  ],
  record: { name, type, ttl, value, strings, ...(replaces === undefined ? {} : { replaces }) },
});

interface Tenant {
  partnerId: string;
  tenantId: string;
}

async function lookAtSpf(world: World & { stores: Stores }, tenant: TenantRecord, ground: Ground): Promise<SpfState[]> {
  const states = await spfStates(world, tenant, egressIps(ground));
  await followSpf(world.stores, { partnerId: tenant.partnerId, tenantId: tenant.id }, states);
  return states;
}

export type SpfWatch = World &
  Pick<OnboardingWorld, "log"> & { stores: Pick<OnboardingWorld["stores"], "partners" | "tenants" | "tasks"> };

/** A record that was right is looked at again: somebody else's change of it is noticed the next day, and becomes a task. */
export const pollSpf = (world: SpfWatch) => async (): Promise<void> => {
  let tenants = 0;
  for await (const some of watchedTenants(world))
    for (const tenant of some) {
      const ground = tenant.facts["ground"] as Ground | undefined;
      if (tenant.spec.spf === undefined || ground === undefined) continue;
      tenants += 1;
      await lookAtSpf(world, tenant, ground).catch((error: unknown) =>
        world.log.warning("SPF records could not be looked at", { tenantId: tenant.id, error }),
      );
    }
  world.log.information("SPF records looked at", { tenants });
};

/** How to see that a person has published a domain's record; the condition is as fresh as the look. */
export const spfCheck = (world: World & { stores: Stores }): TaskCheck => ({
  async look({ partnerId, tenantId, subject }) {
    const tenant = await world.stores.tenants.find(partnerId, tenantId);
    const ground = tenant?.facts["ground"] as Ground | undefined;
    if (tenant?.spec.spf === undefined || ground === undefined || !tenant.spec.microsoft365.domains.includes(subject))
      return { found: "needless", message: `nobody wants an SPF record of ${subject} kept any more` };
    const states = await lookAtSpf(world, tenant, ground);
    const own = states.find(({ domain }) => domain === subject);
    if (own?.state === "published") return { found: "done", message: own.message };
    if (own === undefined || own.state === "unknown") return { found: "unknown", message: own?.message ?? "nobody looked" };
    const there = own.task && `; its name servers have ${own.task.replaces ?? "no SPF record"}`;
    return { found: "missing", message: `${own.message}${there ?? ""}` };
  },
});

/** The worst of them. */
export function spfCondition(states: SpfState[]): Omit<Condition, "since"> {
  const order = ["refused", "toPublish", "unknown", "published"] as const;
  const [worst] = states.toSorted((one, other) => order.indexOf(one.state) - order.indexOf(other.state));
  const { state, reason, message } = worst ?? { state: "published", reason: "Published", message: "no domain needs a record" };
  const status = state === "published" ? "True" : state === "unknown" ? "Unknown" : "False";
  return { type: "SpfPublished", status, reason, message };
}

/** Mission C6, on the way out: a released address is somebody else's tomorrow, so a domain's SPF record must not name it any longer. */
import { characterStrings, isSpf, namingAddresses, withoutTerms } from "../../shared/dns/spf-record.ts";
import type { DnsRecord } from "../../shared/api/task.ts";
import type { Authorities } from "../../shared/dns/authorities.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Sight, TaskCheck, TaskStore } from "../../shared/stores/tasks.ts";

interface World {
  authorities: Pick<Authorities, "texts">;
}

interface Left {
  partnerId: string;
  tenantId: string;
  domains: string[];
  /** That are no longer the tenant's. */
  addresses: string[];
  /** Whether we were asked to keep the record: then one that can't be read is taken for one that names them. */
  kept: boolean;
}

/** A task for each domain whose own name servers still name an address; gives the domains. */
export async function askToWithdraw(
  world: World & { stores: { tasks: TaskStore } },
  { partnerId, tenantId, domains, addresses, kept }: Left,
): Promise<string[]> {
  const asked: string[] = [];
  for (const domain of addresses.length === 0 ? [] : domains) {
    const { sight, record } = await look(world, domain, addresses);
    if (sight.found === "done" || (sight.found === "unknown" && !kept)) continue;
    const task = await world.stores.tasks.open({
      partnerId,
      tenantId,
      kind: "withdrawSpf",
      subject: domain,
      title: `Take the gateways' addresses out of the SPF record of ${domain}`,
      instructions:
        "These addresses are no longer the tenant's: whoever gets them next could send in its name. Put this record in the place of the one that is there, or take the addresses out of it. The domain's own name servers are looked at by themselves.",
      fields: [
        { label: "Name", value: domain },
        { label: "Type", value: "TXT" },
        { label: "Addresses to take out", value: addresses.join(", ") },
      ],
      record,
      about: { addresses },
    });
    await world.stores.tasks.keepSight(task, sight);
    asked.push(domain);
  }
  return asked;
}

export const withdrawSpfCheck = (world: World): TaskCheck => ({
  look: async ({ subject, about }) => (await look(world, subject, about["addresses"] as string[])).sight,
});

async function look({ authorities }: World, domain: string, addresses: string[]): Promise<{ sight: Sight; record?: DnsRecord }> {
  const texts = await authorities.texts(domain);
  if (texts.state === "unknown")
    return { sight: { found: "unknown", message: `the name servers of ${domain} did not say: ${texts.reason.message}` } };
  const records = texts.state === "present" ? texts.actual.filter(isSpf) : [];
  const naming = records.find((record) => namingAddresses(record, addresses).length > 0);
  if (naming === undefined) return { sight: { found: "done", message: `no SPF record of ${domain} names the addresses` } };
  const terms = namingAddresses(naming, addresses);
  const sight: Sight = { found: "missing", message: `the SPF record of ${domain} still has ${terms.join(" ")}: ${naming}` };
  const left = without(naming, terms);
  return left === "unreadable"
    ? { sight }
    : { sight, record: { name: domain, type: "TXT", ttl: TTL_IN_SECONDS, ...left, replaces: naming } };
}

/** Empty where nothing is left of it. */
function without(record: string, terms: string[]): Pick<DnsRecord, "value" | "strings"> | "unreadable" {
  try {
    const value = withoutTerms(record, terms);
    return value === undefined ? {} : { value, strings: characterStrings(value) };
  } catch (error) {
    if (error instanceof ControlPlaneError) return "unreadable";
    throw error;
  }
}

const TTL_IN_SECONDS = 3600;

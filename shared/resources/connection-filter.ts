/**
 * Mission C7 (manual, chapter 4.7): the gateway's addresses are on the connection filter's allow list. The list is the customer's: only our
 * own entries are added, seen and removed.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface ConnectionFilter {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  egressIps: string[];
}

export interface ConnectionFilterActual {
  /** Those of ours that are on the list. */
  allowed: string[];
}

/** Every organisation has this one policy. */
const POLICY = "Default";

export const connectionFilter = ({ exchange }: { exchange: Exchange }): Resource<ConnectionFilter, ConnectionFilterActual> => {
  async function allowed({ organization, egressIps }: ConnectionFilter): Promise<string[]> {
    const [policy] = await exchange.list(organization, "Get-HostedConnectionFilterPolicy", { Identity: POLICY });
    if (!policy)
      throw new ControlPlaneError(
        "ConnectionFilterMissing",
        `the organisation ${organization} shows no connection filter policy`,
        502,
        true,
      );
    const listed = canonicalAddresses(policy.IPAllowList);
    return canonicalAddresses(egressIps).filter((address) => listed.includes(address));
  }

  // Only by Add and Remove: a plain list would replace the customer's.
  const add = async (desired: ConnectionFilter): Promise<void> => {
    publicAddresses(desired.egressIps);
    const there = await allowed(desired);
    const missing = canonicalAddresses(desired.egressIps).filter((address) => !there.includes(address));
    if (missing.length > 0)
      await exchange.run(desired.organization, "Set-HostedConnectionFilterPolicy", {
        Identity: POLICY,
        IPAllowList: { Add: missing },
      });
  };

  return {
    kind: "connectionFilter",
    observe: (desired) =>
      observing(async () => {
        const ours = await allowed(desired);
        return ours.length === 0 ? undefined : { allowed: ours };
      }),
    diff: ({ egressIps }, actual) => changesBetween({ allowed: canonicalAddresses(egressIps) }, actual),
    async create(desired) {
      await add(desired);
      return done;
    },
    async update(desired) {
      await add(desired);
      return done;
    },
    earlier: (desired, { allowed: before }) => ({
      remove: { ...desired, egressIps: canonicalAddresses(desired.egressIps).filter((address) => !before.includes(address)) },
    }),
    async remove(desired) {
      const there = await allowed(desired);
      if (there.length > 0)
        await exchange.run(desired.organization, "Set-HostedConnectionFilterPolicy", {
          Identity: POLICY,
          IPAllowList: { Remove: there },
        });
      return done;
    },
  };
};

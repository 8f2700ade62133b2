/**
 * Mission D3: the organisation lets the gateways' application use Exchange Web Services. Since October 2026 only those on its list may, and
 * only while they are switched on at all. The list is the customer's: only our own entry is added, seen and removed.
 */
import type { Exchange } from "../exchange/client.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface ExchangeWebServicesPolicy {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Client id of the application. */
  appId: string;
}

export interface ExchangeWebServicesPolicyActual {
  listed: boolean;
  enabled: boolean;
}

export const exchangeWebServicesPolicy = ({
  exchange,
}: {
  exchange: Exchange;
}): Resource<ExchangeWebServicesPolicy, ExchangeWebServicesPolicyActual> => {
  /** Without the parameter Exchange leaves the list out, which looks like an empty one. */
  async function read({ organization }: ExchangeWebServicesPolicy): Promise<{ enabled: boolean; ids: string[] }> {
    const [config] = await exchange.list(organization, "Get-OrganizationConfig", { RetrieveEwsOperationAccessPolicy: true });
    return { enabled: config?.EwsEnabled === true, ids: idsIn(config?.EwsAllowedAppIDs) };
  }

  const has = (ids: string[], appId: string): boolean => ids.some((id) => id.toLowerCase() === appId.toLowerCase());

  /** One string that replaces the whole list; and before the switch, since nobody gets in by an empty list. */
  async function allow(desired: ExchangeWebServicesPolicy): Promise<void> {
    const { organization, appId } = desired;
    const { enabled, ids } = await read(desired);
    if (!has(ids, appId))
      await exchange.run(organization, "Set-OrganizationConfig", { EwsAllowedAppIDs: [...ids, appId].join(",") });
    if (!enabled) await exchange.run(organization, "Set-OrganizationConfig", { EwsEnabled: true });
  }

  return {
    kind: "exchangeWebServicesPolicy",
    observe: (desired) =>
      observing(async () => {
        const { enabled, ids } = await read(desired);
        return has(ids, desired.appId) ? { listed: true, enabled } : undefined;
      }),
    diff: (_desired, actual) => changesBetween({ listed: true, enabled: true } satisfies ExchangeWebServicesPolicyActual, actual),
    async create(desired) {
      await allow(desired);
      return done;
    },
    async update(desired) {
      await allow(desired);
      return done;
    },
    /** Whether they are switched on at all is the customer's: others may be on the list. */
    async remove(desired) {
      const { ids } = await read(desired);
      if (has(ids, desired.appId)) {
        const others = ids.filter((id) => !has([id], desired.appId));
        await exchange.run(desired.organization, "Set-OrganizationConfig", { EwsAllowedAppIDs: others.join(",") || null });
      }
      return done;
    },
  };
};

const idsIn = (list: string | string[] | null | undefined): string[] =>
  (Array.isArray(list) ? list : (list ?? "").split(",")).map((id) => id.trim()).filter((id) => id !== "");

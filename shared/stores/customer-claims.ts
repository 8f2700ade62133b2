/** A customer belongs to one tenant of one partner: the consent that one of them was given serves nobody else. */
import { refusal } from "../api/error-codes.ts";
import type { Stores } from "./stores.ts";
import type { TenantRecord } from "./tenants.ts";

interface Wanted {
  kind: "organization" | "subscription";
  id: string;
  claimant: { partnerId: string; tenantId: string };
  target: string;
}

const wantedBy = ({ partnerId, id: tenantId, spec }: TenantRecord): Wanted[] => [
  {
    kind: "organization",
    id: spec.microsoft365.tenantId,
    claimant: { partnerId, tenantId },
    target: "spec.microsoft365.tenantId",
  },
  // A partner may build many customers' gateways in one subscription of its own.
  {
    kind: "subscription",
    id: spec.azure.subscriptionId,
    claimant: { partnerId, tenantId: "" },
    target: "spec.azure.subscriptionId",
  },
];

/** Throws CustomerTaken; says neither whose it is nor since when. */
export async function claimCustomer({ claims }: Stores, tenant: TenantRecord): Promise<void> {
  for (const { kind, id, claimant, target } of wantedBy(tenant))
    if (!(await claims.claim(kind, id, claimant))) throw taken(kind, target);
}

/** For readers, which claim nothing themselves. */
export async function refuseOthersCustomer({ claims }: Stores, tenant: TenantRecord): Promise<void> {
  for (const { kind, id, claimant, target } of wantedBy(tenant)) {
    const holder = await claims.holder(kind, id);
    if (holder && (holder.partnerId !== claimant.partnerId || holder.tenantId !== claimant.tenantId)) throw taken(kind, target);
  }
}

const taken = (kind: Wanted["kind"], target: string) =>
  refusal(
    "CustomerTaken",
    kind === "organization"
      ? "this Microsoft 365 organisation is another registered tenant's"
      : "this Azure subscription is another partner's",
    { target },
  );

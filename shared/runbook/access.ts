/** Whether we may work for a tenant: proven by what the clouds let us do, never by what somebody says. */
import { type Failure, failureFrom } from "../durable/steps.ts";
import { ControlPlaneError } from "../errors.ts";
import { refusalOf } from "../graph/consent.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { RunbookWorld } from "./world.ts";

export type Access =
  | { state: "granted"; message: string }
  | { state: "pending"; message: string; missing: string[] }
  | { state: "refused"; failure: Failure };

type World = Pick<RunbookWorld, "checkConsent" | "azureAccess">;

export const checkAccess = (world: World, spec: TenantSpec, wanted: "consent" | "azureAccess"): Promise<Access> =>
  wanted === "consent" ? checkConsent(world, spec) : checkAzure(world, spec);

/** What onboarding does in Microsoft 365 takes these app roles and no more. */
export const expectedRoles = {
  graph: [
    "Application.ReadWrite.OwnedBy",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Domain.Read.All",
    "Mail.Read",
    "Mail.Send",
    "Organization.Read.All",
  ],
  exchange: ["Exchange.ManageAsApp"],
};

/** Mission D6: the token's tenant and roles, and every declared domain verified there, so that nobody onboards somebody else's customer. */
async function checkConsent(world: World, { microsoft365 }: TenantSpec): Promise<Access> {
  const { tenantId: organization, domains } = microsoft365;
  const consent = await world.checkConsent({ organization, domains, expectedRoles });
  if (consent.granted)
    return { state: "granted", message: `consented in ${organization}; verified there: ${domains.join(", ")}` };
  const refused = refusalOf(consent);
  if (refused) return { state: "refused", failure: failureFrom(refused) };
  const missing = consent.missing.map(({ name }) => name);
  const message = `an administrator of ${organization} must grant admin consent; missing: ${missing.join(", ")}`;
  return { state: "pending", message, missing };
}

async function checkAzure({ azureAccess }: World, { azure }: TenantSpec): Promise<Access> {
  const { tenantId: entraTenantId, subscriptionId } = azure;
  const { granted, missing, subscriptionState, reason } = await azureAccess({ entraTenantId, subscriptionId });
  if (granted) return { state: "granted", message: `allowed to build in subscription ${subscriptionId}` };
  if (subscriptionState !== undefined && subscriptionState !== "Enabled") {
    const message = `subscription ${subscriptionId} is ${subscriptionState}; it must be Enabled`;
    return { state: "refused", failure: failureFrom(new ControlPlaneError("SubscriptionUnusable", message, 409)) };
  }
  const why = reason ? ` (${reason.code}: ${reason.message})` : "";
  return {
    state: "pending",
    message: `an owner of subscription ${subscriptionId} must grant our application there: ${missing.join(", ")}${why}`,
    missing,
  };
}

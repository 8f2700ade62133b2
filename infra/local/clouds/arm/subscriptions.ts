/** Subscriptions and the registration of resource providers in them. */
import type { Claims, Organization, SimulatedResponse } from "../simulator.ts";
import type { Access } from "./access.ts";
import { regions } from "./catalog.ts";
import { ArmError, page, versionsKnown, type Json } from "./envelope.ts";
import type { Estate } from "./estate.ts";

/** Offers as `quotaId` names them. Source: Microsoft's "Azure subscription types and quotaIds". */
const quotaIds: Record<Organization["offer"], string> = {
  EnterpriseAgreement: "EnterpriseAgreement_2014-09-01",
  PayAsYouGo: "PayAsYouGo_2014-09-01",
  CSP: "CSP_2015-05-01",
};

const body = ({ subscriptionId, tenantId, displayName, offer }: Organization & { subscriptionId: string }): Json => ({
  id: `/subscriptions/${subscriptionId}`,
  subscriptionId,
  tenantId,
  displayName,
  state: "Enabled",
  authorizationSource: "RoleBased",
  managedByTenants: [],
  subscriptionPolicies: { locationPlacementId: "Public_2014-09-01", quotaId: quotaIds[offer], spendingLimit: "Off" },
});

export function getSubscription(estate: Estate, subscriptionId: string): SimulatedResponse {
  const subscription = estate.subscription(subscriptionId);
  if (subscription === undefined)
    throw new ArmError(404, "SubscriptionNotFound", `The subscription '${subscriptionId}' could not be found.`);
  return { status: 200, body: body(subscription) };
}

/** Those of the token's tenant where the caller holds any role; an empty list otherwise, never a refusal. */
export function listSubscriptions(
  estate: Estate,
  access: Access,
  call: { endpoint: string; path: string; query: URLSearchParams; claims: Claims },
): SimulatedResponse {
  const visible = estate.platform.organizations
    .values()
    .map(({ subscriptionId }) => (subscriptionId === undefined ? undefined : estate.subscription(subscriptionId)))
    .filter((subscription) => subscription !== undefined)
    .filter(
      ({ tenantId, subscriptionId }) =>
        tenantId.toLowerCase() === call.claims.tid.toLowerCase() &&
        access.rolesOf(call.claims.oid, `/subscriptions/${subscriptionId}`).length > 0,
    );
  return page(call, visible.map(body));
}

export function listLocations(subscriptionId: string): SimulatedResponse {
  const value = Object.entries(regions).map(([name, { displayName }]) => ({
    id: `/subscriptions/${subscriptionId}/locations/${name}`,
    name,
    type: "Region",
    displayName,
    regionalDisplayName: displayName,
    metadata: { regionType: "Physical", regionCategory: "Recommended" },
  }));
  return { status: 200, body: { value } };
}

/** Everything is registered from the start; registering again changes nothing. */
export function provider(subscriptionId: string, namespace: string, types: string[]): SimulatedResponse {
  const ours = types.filter((type) => type.toLowerCase().startsWith(`${namespace.toLowerCase()}/`));
  const spelled = ours[0]?.split("/")[0];
  if (spelled === undefined)
    throw new ArmError(404, "InvalidResourceNamespace", `The resource namespace '${namespace}' is invalid.`);
  return {
    status: 200,
    body: {
      id: `/subscriptions/${subscriptionId}/providers/${spelled}`,
      namespace: spelled,
      registrationPolicy: "RegistrationRequired",
      registrationState: "Registered",
      resourceTypes: ours.map((type) => ({
        resourceType: type.slice(spelled.length + 1),
        locations: Object.values(regions).map(({ displayName }) => displayName),
        apiVersions: versionsKnown(spelled, type.slice(spelled.length + 1)),
      })),
    },
  };
}

/** Who may do what: role assignments, those of our application's service principal included, and the refusals of ARM's front end. */
import type { Claims, SimulatedRequest } from "../simulator.ts";
import { ArmError } from "./envelope.ts";
import type { Estate } from "./estate.ts";
import { allows, roleById, roles, type RoleDefinition } from "./roles.ts";

/** A role assignment is not effective at once. Source: Microsoft's "Troubleshoot Azure RBAC": up to ten minutes; here the usual few seconds. */
const PROPAGATION_IN_SECONDS = 5;

export interface Access {
  /** The caller, or 401. */
  authenticate(request: SimulatedRequest): Promise<Claims>;
  /** 403 unless a role of the caller on the scope or above it allows the action. */
  authorize(claims: Claims, action: string, scope: string): void;
  /** Roles a principal holds on a scope or above it. */
  rolesOf(principalId: string, scope: string): RoleDefinition[];
  holdsRole(principalId: string, roleDefinitionId: string, scope: string): boolean;
}

export function createAccess(estate: Estate): Access {
  const { platform } = estate;

  /** What `POST /organizations` promised: computed at each look, since access may be given and taken there. */
  const granted = (principalId: string, scope: string): RoleDefinition[] => {
    const organization = estate.subscription(scope.split("/")[2] ?? "");
    if (!organization?.azureAccess) return [];
    const ours = platform.peers.servicePrincipal?.(organization.tenantId, platform.identity.applicationId);
    return ours?.objectId === principalId ? [roles.contributor, roles.roleBasedAccessControlAdministrator] : [];
  };

  const assigned = (principalId: string, scope: string): RoleDefinition[] =>
    estate.roleAssignments
      .values()
      .filter(
        (assignment) => assignment.principalId.toLowerCase() === principalId.toLowerCase() && covers(assignment.scope, scope),
      )
      .filter(({ createdAt }) => createdAt + estate.duration(PROPAGATION_IN_SECONDS) <= platform.now())
      .map(({ roleDefinitionId }) => roleById(roleDefinitionId.split("/").at(-1) ?? ""))
      .filter((definition) => definition !== undefined);

  const rolesOf = (principalId: string, scope: string): RoleDefinition[] => [
    ...granted(principalId, scope),
    ...assigned(principalId, scope),
  ];

  return {
    rolesOf,
    holdsRole: (principalId, roleDefinitionId, scope) =>
      rolesOf(principalId, scope).some(({ id }) => id === roleDefinitionId.toLowerCase()),
    authenticate: async (request) => {
      const claims = await platform.verify(request, platform.environment.resourceManager.audience);
      if (claims !== undefined) return claims;
      const given = request.headers["authorization"];
      const code = given === undefined ? "AuthenticationFailed" : "InvalidAuthenticationToken";
      const message =
        given === undefined ? "Authentication failed. The 'Authorization' header is missing." : "The access token is invalid.";
      throw new ArmError(401, code, message, {
        headers: {
          "www-authenticate": `Bearer authorization_uri="${platform.environment.authorityHost}/common", error="invalid_token", error_description="The authentication failed because of missing 'Authorization' header."`,
        },
      });
    },
    authorize: (claims, action, scope) => {
      requireTenant(estate, claims, scope);
      if (rolesOf(claims.oid, scope).some((definition) => allows(definition, action))) return;
      throw new ArmError(
        403,
        "AuthorizationFailed",
        `The client '${claims.appid ?? claims.azp ?? claims.oid}' with object id '${claims.oid}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
      );
    },
  };
}

const covers = (assignmentScope: string, scope: string): boolean => {
  const above = assignmentScope.toLowerCase().replace(/\/$/, "");
  const asked = scope.toLowerCase();
  return asked === above || asked.startsWith(`${above}/`);
};

/** A subscription trusts one tenant; a token of another one is refused before any role is looked at. */
function requireTenant(estate: Estate, claims: Claims, scope: string): void {
  const subscriptionId = /^\/subscriptions\/([^/]+)/i.exec(scope)?.[1];
  if (subscriptionId === undefined) return;
  const subscription = estate.subscription(subscriptionId);
  if (subscription === undefined)
    throw new ArmError(404, "SubscriptionNotFound", `The subscription '${subscriptionId}' could not be found.`);
  if (subscription.tenantId.toLowerCase() === claims.tid.toLowerCase()) return;
  const issuer = `${estate.platform.environment.authorityHost}/${subscription.tenantId}`;
  throw new ArmError(
    401,
    "InvalidAuthenticationTokenTenant",
    `The access token is from the wrong issuer '${claims.iss}'. It must match the tenant '${issuer}' associated with this subscription. Please use the authority (URL) '${issuer}' to get the token.`,
    {
      headers: {
        "www-authenticate": `Bearer authorization_uri="${issuer}", error="invalid_token", error_description="The access token is from the wrong issuer. It must match the tenant associated with this subscription."`,
      },
    },
  );
}

/** Simulated Entra: tokens, keys, metadata and admin consent for every tenant. */
import type { Platform, SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import { answerConsentRequest } from "./consent.ts";
import { createDirectory } from "./directory.ts";
import { entraErrors, refused } from "./errors.ts";
import { answerTokenRequest, type Entra, findOrganization } from "./token-endpoint.ts";
import type { Tokens } from "./tokens.ts";

export function createEntra(platform: Platform, tokens: Tokens): { simulator: Simulator; entra: Entra } {
  const directory = createDirectory(platform);
  const entra: Entra = { platform, directory, tokens };
  platform.peers.servicePrincipal = (tenantId, applicationId) => {
    const principal = directory.ensureServicePrincipal(tenantId, applicationId);
    return principal && { objectId: principal.id };
  };
  platform.peers.tokenForIdentity = async (clientId, audience) => {
    const identity = platform.peers.identities?.().find((one) => one.clientId === clientId);
    if (!identity) return undefined;
    const { tenantId, principalId, resourceId } = identity;
    const { token } = await tokens.issue({
      tenantId,
      audience,
      objectId: principalId,
      clientId,
      authenticationClass: "2",
      roles: [],
      lifetimeInSeconds: 24 * 60 * 60,
      claims: { xms_mirid: resourceId },
    });
    return token;
  };

  function handle(request: SimulatedRequest): SimulatedResponse | Promise<SimulatedResponse> {
    const [, tenant = "", ...rest] = request.url.pathname.split("/").map(decodeURIComponent);
    const route = `${request.method} ${rest.join("/")}`;
    switch (route) {
      case "POST oauth2/v2.0/token":
        return answerTokenRequest(entra, tenant, request);
      case "GET discovery/v2.0/keys":
        return { status: 200, headers: { "cache-control": "max-age=86400, private" }, body: tokens.keySet() };
      case "GET v2.0/.well-known/openid-configuration":
        return metadata(entra, tenant);
      case "GET v2.0/adminconsent":
      case "POST v2.0/adminconsent":
        return answerConsentRequest(entra, tenant, request);
      default:
        return { status: 404, body: { error: "not_found", error_description: `${route} is not part of the simulated Entra` } };
    }
  }

  const state = (): unknown =>
    Object.fromEntries(
      platform.organizations.values().map((organization) => {
        const { tenantId } = organization;
        const applications = directory.applications(tenantId).map((application) => ({
          ...application,
          passwordCredentials: application.passwordCredentials.map(
            ({ keyId, displayName, hint, startDateTime, endDateTime }) => ({
              keyId,
              displayName,
              hint,
              startDateTime,
              endDateTime,
            }),
          ),
        }));
        return [
          tenantId,
          {
            ...organization,
            applications,
            servicePrincipals: directory.servicePrincipals(tenantId),
            appRoleAssignments: directory.appRoleAssignments(tenantId),
            oauth2PermissionGrants: directory.oauth2PermissionGrants(tenantId),
            directoryRoleAssignments: directory.directoryRoleAssignments(tenantId),
          },
        ];
      }),
    );

  return { simulator: { name: "entra", handle, state }, entra };
}

/** OpenID Connect discovery. For `common` and `organizations` the issuer has a placeholder, as Entra's has. */
function metadata({ platform, tokens }: Entra, tenant: string): SimulatedResponse {
  const several = tenant === "common" || tenant === "organizations";
  const tenantId = several ? "{tenantid}" : findOrganization(platform, tenant)?.tenantId;
  if (tenantId === undefined) return refused(entraErrors.tenantNotFound(tenant), platform.now());
  const base = `${platform.environment.authorityHost}/${several ? tenant : tenantId}`;
  return {
    status: 200,
    headers: { "cache-control": "max-age=86400, private" },
    body: {
      token_endpoint: `${base}/oauth2/v2.0/token`,
      token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
      jwks_uri: `${base}/discovery/v2.0/keys`,
      response_modes_supported: ["query", "fragment", "form_post"],
      subject_types_supported: ["pairwise"],
      id_token_signing_alg_values_supported: ["RS256"],
      response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
      scopes_supported: ["openid", "profile", "email", "offline_access"],
      issuer: tokens.issuer(tenantId),
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
      claims_supported: ["sub", "iss", "aud", "exp", "iat", "nbf", "tid", "oid", "ver"],
    },
  };
}

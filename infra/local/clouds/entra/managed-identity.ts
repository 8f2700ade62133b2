/** The managed identity endpoint of App Service and Functions: `IDENTITY_ENDPOINT`, guarded by the header `X-IDENTITY-HEADER`. */
import { randomUUID } from "node:crypto";
import type { SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import type { Entra } from "./token-endpoint.ts";

const lifetimeInSeconds = 24 * 60 * 60;

/** Source: "How to use managed identities for App Service and Azure Functions", REST endpoint reference, api-version 2019-08-01. */
export function createManagedIdentityEndpoint({ platform, tokens }: Entra, header: string): Simulator {
  const { homeTenantId, managedIdentity } = platform.identity;

  async function handle({ method, url, headers }: SimulatedRequest): Promise<SimulatedResponse> {
    if (method !== "GET" || url.pathname !== "/msi/token") return refusal(404, "No such endpoint.");
    if (headers["x-identity-header"] !== header) return refusal(401, "The X-IDENTITY-HEADER header is missing or wrong.");
    if (url.searchParams.get("api-version") !== "2019-08-01") return refusal(400, "The api-version is missing or unsupported.");
    const resource = url.searchParams.get("resource");
    if (!resource) return refusal(400, "The parameter resource is required.");
    // Without client_id App Service takes the system-assigned identity, which this app has not.
    if (url.searchParams.get("client_id") !== managedIdentity.clientId) {
      return refusal(400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.");
    }
    const { token, expiresAt, issuedAt } = await tokens.issue({
      tenantId: homeTenantId,
      audience: resource,
      objectId: managedIdentity.principalId,
      clientId: managedIdentity.clientId,
      authenticationClass: "2",
      roles: [],
      lifetimeInSeconds,
    });
    return {
      status: 200,
      body: {
        access_token: token,
        client_id: managedIdentity.clientId,
        expires_on: String(expiresAt),
        not_before: String(issuedAt),
        resource,
        token_type: "Bearer",
      },
    };
  }

  return { name: "identity", handle, state: () => ({ tenantId: homeTenantId, ...managedIdentity }) };
}

const refusal = (statusCode: number, message: string): SimulatedResponse => ({
  status: statusCode,
  body: { statusCode, message, correlationId: randomUUID() },
});

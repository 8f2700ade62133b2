/**
 * Entra's errors: number, OAuth error and HTTP status together. Source: "Microsoft Entra authentication and authorization error codes";
 * texts of the federated ones as users report them to Azure/login and azure-workload-identity.
 */
import { randomUUID } from "node:crypto";
import type { SimulatedResponse } from "../simulator.ts";

export interface EntraError {
  number: number;
  error: string;
  status: number;
  text: string;
}

const because = (number: number, error: string, status: number, text: string): EntraError => ({ number, error, status, text });
const federation =
  "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

export const entraErrors = {
  tenantNotFound: (tenant: string) =>
    because(
      90002,
      "invalid_request",
      400,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.`,
    ),
  applicationNotFound: (application: string, directory: string) =>
    because(
      700016,
      "unauthorized_client",
      400,
      `Application with identifier '${application}' was not found in the directory '${directory}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.`,
    ),
  applicationDisabled: (application: string) =>
    because(7000112, "unauthorized_client", 400, `Application '${application}' is disabled.`),
  parameterMissing: (name: string) =>
    because(900144, "invalid_request", 400, `The request body must contain the following parameter: '${name}'.`),
  grantUnsupported: (grant: string) =>
    because(70003, "unsupported_grant_type", 400, `The app requested an unsupported grant type '${grant}'.`),
  credentialMissing: () =>
    because(
      7000218,
      "invalid_client",
      401,
      "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
  secretInvalid: (application: string) =>
    because(
      7000215,
      "invalid_client",
      401,
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${application}'.`,
    ),
  secretExpired: (application: string) =>
    because(
      7000222,
      "invalid_client",
      401,
      `The provided client secret keys for app '${application}' are expired. Visit the Azure portal to create new keys for your app.`,
    ),
  assertionMalformed: () => because(50027, "invalid_request", 400, "JWT token is invalid or malformed."),
  issuerUnknown: (issuer: string) =>
    because(
      700211,
      "invalid_client",
      401,
      `No matching federated identity record found for presented assertion issuer '${issuer}'. ${federation}`,
    ),
  subjectUnknown: (subject: string) =>
    because(
      700213,
      "invalid_client",
      401,
      `No matching federated identity record found for presented assertion subject '${subject}'. ${federation}`,
    ),
  audienceUnknown: (audience: string) =>
    because(
      700212,
      "invalid_client",
      401,
      `No matching federated identity record found for presented assertion audience '${audience}'. ${federation}`,
    ),
  assertionOutOfTime: () => because(700024, "invalid_client", 401, "Client assertion is not within its valid time range."),
  assertionForged: () => because(700027, "invalid_client", 401, "Client assertion failed signature validation."),
  scopeInvalid: (scope: string) =>
    because(
      1002012,
      "invalid_scope",
      400,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    ),
  resourceNotFound: (resource: string, directory: string) =>
    because(
      500011,
      "invalid_resource",
      400,
      `The resource principal named ${resource} was not found in the tenant named ${directory}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.`,
    ),
  roleRequired: (application: string, resource: string) =>
    because(
      501051,
      "invalid_grant",
      400,
      `Application '${application}' is not assigned to a role for the application '${resource}'.`,
    ),
  redirectUnknown: (redirect: string, application: string) =>
    because(
      50011,
      "invalid_request",
      400,
      `The redirect URI '${redirect}' specified in the request does not match the redirect URIs configured for the application '${application}'.`,
    ),
  accountForeign: (account: string, directory: string) =>
    because(
      50020,
      "invalid_request",
      400,
      `User account '${account}' does not exist in tenant '${directory}' and cannot access the application in that tenant.`,
    ),
  accountUnknown: (account: string) =>
    because(50034, "invalid_request", 400, `The user account ${account} does not exist in any directory.`),
  administratorNeeded: () =>
    because(
      90094,
      "access_denied",
      403,
      "An administrator of your organization has set a policy that prevents you from granting this application the permissions it is requesting.",
    ),
  consentDeclined: (application: string) =>
    because(65004, "access_denied", 400, `User declined to consent to access the app '${application}'.`),
};

/** The JSON that MSAL reads: RFC 6749's two fields and Entra's own. */
export function refused(
  { number, error, status, text }: EntraError,
  now: number,
  correlationId: string = randomUUID(),
): SimulatedResponse {
  const traceId = randomUUID();
  const timestamp = `${new Date(now).toISOString().slice(0, 19).replace("T", " ")}Z`;
  return {
    status,
    headers: { "cache-control": "no-store, no-cache", pragma: "no-cache", "x-ms-request-id": traceId },
    body: {
      error,
      error_description: `AADSTS${number}: ${text} Trace ID: ${traceId} Correlation ID: ${correlationId} Timestamp: ${timestamp}`,
      error_codes: [number],
      timestamp,
      trace_id: traceId,
      correlation_id: correlationId,
      error_uri: `https://login.microsoftonline.com/error?code=${number}`,
    },
  };
}

/** `POST /{tenant}/oauth2/v2.0/token`: tokens for applications that prove themselves by a secret or by a federated assertion. */
import { decodeJwt, type JWTPayload } from "jose";
import type { Organization, Platform, SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import { type Application, type Directory, hashOf } from "./directory.ts";
import { type EntraError, entraErrors, refused } from "./errors.ts";
import { firstPartyApplications } from "./first-party.ts";
import { createSettling } from "../settling.ts";
import type { Tokens } from "./tokens.ts";

export interface Entra {
  platform: Platform;
  directory: Directory;
  tokens: Tokens;
}

/** What was granted in a resource and isn't in tokens yet. */
export const consentKey = (tenantId: string, principalId: string, resourceAppId: string): string =>
  `consent/${tenantId}/${principalId}/${resourceAppId}`;

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

class Refusal extends Error {
  readonly reason: EntraError;
  constructor(reason: EntraError) {
    super(reason.text);
    this.reason = reason;
  }
}

/** In Entra's order: the tenant, the client in it, the client's proof, and only then the resource. */
export async function answerTokenRequest(entra: Entra, tenant: string, request: SimulatedRequest): Promise<SimulatedResponse> {
  const { platform, directory, tokens } = entra;
  const correlationId = request.headers["client-request-id"];
  try {
    const field = formFields(request.body);
    const organization = findOrganization(platform, tenant);
    if (!organization) throw new Refusal(entraErrors.tenantNotFound(tenant));
    const { tenantId } = organization;
    const grant = required(field, "grant_type");
    if (grant !== "client_credentials") throw new Refusal(entraErrors.grantUnsupported(grant));
    const clientId = required(field, "client_id");
    const client = directory.servicePrincipal(tenantId, { appId: clientId });
    const application = directory.registeredApplication(clientId)?.application;
    if (!client || !application) throw new Refusal(entraErrors.applicationNotFound(clientId, organization.displayName));
    const authenticationClass = await proveClient(entra, application, field);
    if (!client.accountEnabled) throw new Refusal(entraErrors.applicationDisabled(clientId));

    const { audience, appId } = findResource(entra, tenantId, required(field, "scope"));
    const resource = appId && directory.servicePrincipal(tenantId, { appId });
    if (!resource) throw new Refusal(entraErrors.resourceNotFound(audience, organization.displayName));
    const granted = directory.rolesOf(tenantId, client.id, resource.appId);
    const roles = createSettling(platform).unseen(consentKey(tenantId, client.id, resource.appId)) ? [] : granted;
    if (resource.appRoleAssignmentRequired && roles.length === 0)
      throw new Refusal(entraErrors.roleRequired(clientId, resource.appId));
    const lifetimeInSeconds = 3599;
    const { token } = await tokens.issue({
      tenantId,
      audience,
      objectId: client.id,
      clientId,
      authenticationClass,
      roles,
      lifetimeInSeconds,
    });
    return {
      status: 200,
      headers: { "cache-control": "no-store, no-cache", pragma: "no-cache" },
      body: { token_type: "Bearer", expires_in: lifetimeInSeconds, ext_expires_in: lifetimeInSeconds, access_token: token },
    };
  } catch (error) {
    if (error instanceof Refusal) return refused(error.reason, platform.now(), correlationId);
    throw error;
  }
}

/** A tenant by its id or by one of its verified domains. */
export function findOrganization({ organizations }: Platform, tenant: string): Organization | undefined {
  const name = tenant.toLowerCase();
  return (
    organizations.get(name) ??
    organizations.values().find(({ domains }) => domains.some((domain) => domain.verified && domain.name === name))
  );
}

function formFields(body: unknown): (name: string) => string | undefined {
  return (name) => {
    const value: unknown = typeof body === "object" && body !== null ? Reflect.get(body, name) : undefined;
    return typeof value === "string" && value !== "" ? value : undefined;
  };
}

function required(field: (name: string) => string | undefined, name: string): string {
  const value = field(name);
  if (value === undefined) throw new Refusal(entraErrors.parameterMissing(name));
  return value;
}

async function proveClient(
  entra: Entra,
  application: Application,
  field: (name: string) => string | undefined,
): Promise<"1" | "2"> {
  const assertion = field("client_assertion");
  if (assertion !== undefined) {
    if (required(field, "client_assertion_type") !== jwtBearer) throw new Refusal(entraErrors.assertionMalformed());
    await checkAssertion(entra, application, assertion);
    return "2";
  }
  const secret = field("client_secret");
  if (secret === undefined) throw new Refusal(entraErrors.credentialMissing());
  const known = application.passwordCredentials.find(({ hash }) => hash === hashOf(secret));
  if (!known) throw new Refusal(entraErrors.secretInvalid(application.appId));
  if (Date.parse(known.endDateTime) <= entra.platform.now()) throw new Refusal(entraErrors.secretExpired(application.appId));
  return "1";
}

/** Issuer, subject and audience must be one federated credential's, compared letter by letter; then the time, then the signature. */
async function checkAssertion({ platform, tokens }: Entra, application: Application, assertion: string): Promise<void> {
  let claims: JWTPayload;
  try {
    claims = decodeJwt(assertion);
  } catch {
    throw new Refusal(entraErrors.assertionMalformed());
  }
  const { iss = "", sub = "", aud = "", exp = 0, nbf = 0 } = claims;
  const audience = Array.isArray(aud) ? (aud[0] ?? "") : aud;
  const ofIssuer = application.federatedIdentityCredentials.filter(({ issuer }) => issuer === iss);
  if (ofIssuer.length === 0) throw new Refusal(entraErrors.issuerUnknown(iss));
  const ofSubject = ofIssuer.filter(({ subject }) => subject === sub);
  if (ofSubject.length === 0) throw new Refusal(entraErrors.subjectUnknown(sub));
  if (!ofSubject.some(({ audiences }) => audiences.includes(audience))) throw new Refusal(entraErrors.audienceUnknown(audience));
  const now = platform.now() / 1000;
  if (exp <= now || nbf > now + 300) throw new Refusal(entraErrors.assertionOutOfTime());
  if (!(await tokens.signed(assertion))) throw new Refusal(entraErrors.assertionForged());
}

/** `{resource}/.default`, one only: the resource is a first-party audience, an application id, or an application's identifier URI. */
function findResource(
  { platform, directory }: Entra,
  tenantId: string,
  scope: string,
): { audience: string; appId: string | undefined } {
  const audience = /^(\S+)\/\.default$/.exec(scope.trim())?.[1];
  if (audience === undefined) throw new Refusal(entraErrors.scopeInvalid(scope));
  const firstParty = firstPartyApplications.find(
    (one) => one.audience(platform.environment) === audience || one.appId === audience,
  );
  if (firstParty) return { audience, appId: firstParty.appId };
  if (directory.servicePrincipal(tenantId, { appId: audience })) return { audience, appId: audience };
  const byUri = directory.servicePrincipals(tenantId).find(({ appId }) => {
    const application = directory.registeredApplication(appId)?.application;
    return application?.identifierUris.includes(audience) === true;
  });
  // A version 2 token names the application by its id, whatever URI was asked for.
  return byUri ? { audience: byUri.appId, appId: byUri.appId } : { audience, appId: undefined };
}

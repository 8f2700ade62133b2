/** Who calls: Entra's access token, verified here and nowhere else, gives the caller; nothing else in a request does. */
import { hash } from "node:crypto";
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Clock } from "../clock.ts";
import type { CloudEnvironment } from "../environment.ts";
import type { PartnerStore } from "../stores/partners.ts";
import { refusal } from "./error-codes.ts";

interface TokenIdentity {
  /** `tid`, lower case. */
  entraTenantId: string;
  /** `azp`, lower case. */
  clientId: string;
}

export interface PartnerCaller extends TokenIdentity {
  role: "Partner";
  partnerId: string;
  displayName: string;
}

export interface OperatorCaller extends TokenIdentity {
  role: "Operator";
}

export type Caller = PartnerCaller | OperatorCaller;

/** A managed identity of a machine, which is what it says it is; whose machine that is, the route finds out. */
export interface MachineCaller extends TokenIdentity {
  role: "Machine";
  /** Azure's resource id of the machine that asked for the token, where Entra says it. */
  virtualMachineId: string | undefined;
}

/** Reads the Authorization header; throws TokenInvalid, PartnerUnknown or RoleRequired. */
export type Authenticate = (authorization: string | null, as?: "Machine") => Promise<Caller | MachineCaller>;

export interface AuthenticationOptions {
  environment: Pick<CloudEnvironment, "authorityHost">;
  /** Our application's client id: the audience of the tokens. */
  applicationId: string;
  /** Our own Entra tenant: the only one whose Operator role is believed. */
  homeTenantId: string;
  partners: Pick<PartnerStore, "findByClient">;
  clock: Clock;
}

const CLOCK_TOLERANCE_IN_SECONDS = 60;
const KEYS_KEPT_IN_MILLISECONDS = 24 * 60 * 60 * 1000;
/** How long a token is believed without another look at its signature and at Entra's keys. */
const TOKENS_KEPT_FOR_MILLISECONDS = 5 * 60 * 1000;
const TOKENS_KEPT = 1000;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function createAuthentication({
  environment,
  applicationId,
  homeTenantId,
  partners,
  clock,
}: AuthenticationOptions): Authenticate {
  const keys = entraKeys(environment.authorityHost);
  const accepted = acceptedTokens(clock);

  async function verify(token: string): Promise<JWTPayload> {
    const { payload, protectedHeader } = await jwtVerify(token, keys.find, {
      algorithms: ["RS256"],
      audience: applicationId,
      clockTolerance: CLOCK_TOLERANCE_IN_SECONDS,
      requiredClaims: ["iss", "tid", "azp", "exp", "nbf"],
      currentDate: new Date(clock.now()),
    }).catch(refused);
    // The key set is that of all tenants, so the issuer has to be pinned to the token's own tenant (claims validation, Microsoft identity platform).
    const issuer = `${environment.authorityHost}/${String(payload.tid)}/v2.0`;
    if (typeof payload.tid !== "string" || !GUID.test(payload.tid) || payload.iss !== issuer)
      throw invalid("its issuer is not its own tenant's");
    if (!keys.mayIssue(protectedHeader.kid, payload.tid, issuer)) throw invalid("its key belongs to another issuer");
    if (payload.idtyp !== "app") throw invalid("it is not an application's token (idtyp app)");
    if (typeof payload.azp !== "string" || !GUID.test(payload.azp)) throw invalid("it names no client (azp)");
    return payload;
  }

  return async (authorization, as) => {
    const token = /^Bearer ([^\s]+)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined) throw refusal("TokenInvalid", "the request has no bearer token");
    const claims = accepted.find(token) ?? accepted.keep(token, await verify(token));
    const identity = { entraTenantId: String(claims.tid).toLowerCase(), clientId: String(claims.azp).toLowerCase() };
    if (as === "Machine") return machineOf(claims, identity);
    const roles: unknown[] = Array.isArray(claims.roles) ? claims.roles : [];
    if (identity.entraTenantId === homeTenantId.toLowerCase() && roles.includes("Operator"))
      return { role: "Operator", ...identity };
    const partner = await partners.findByClient(identity.entraTenantId, identity.clientId);
    if (!partner) {
      throw refusal(
        "PartnerUnknown",
        `no partner is registered with tenant (tid) ${identity.entraTenantId} and client (azp) ${identity.clientId}`,
      );
    }
    if (!roles.includes("Partner")) throw refusal("RoleRequired", "the token has not the app role Partner");
    return { role: "Partner", partnerId: partner.partnerId, displayName: partner.displayName, ...identity };
  };
}

/** A caller sends its token with every request for an hour, and to verify it costs as much as all the rest of a request. */
function acceptedTokens(clock: Clock) {
  const known = new Map<string, { claims: JWTPayload; until: number }>();
  // Not the token itself: whoever reads this memory can't use it.
  const keyOf = (token: string): string => hash("sha256", token, "base64");
  return {
    find: (token: string): JWTPayload | undefined => {
      const key = keyOf(token);
      const found = known.get(key);
      if (found === undefined || clock.now() < found.until) return found?.claims;
      known.delete(key);
      return undefined;
    },
    keep: (token: string, claims: JWTPayload): JWTPayload => {
      const [oldest] = known.keys();
      if (known.size >= TOKENS_KEPT && oldest !== undefined) known.delete(oldest);
      const now = clock.now();
      known.set(keyOf(token), { claims, until: Math.min((claims.exp ?? 0) * 1000, now + TOKENS_KEPT_FOR_MILLISECONDS) });
      return claims;
    },
  };
}

/** Entra puts a managed identity's resource id into its tokens, and into nobody else's ("Access token claims reference", xms_mirid). */
function machineOf({ xms_mirid: identityId, xms_az_rid: resourceId }: JWTPayload, identity: TokenIdentity): MachineCaller {
  if (typeof identityId !== "string" || !/\/providers\/Microsoft\.(ManagedIdentity|Compute)\//i.test(identityId))
    throw refusal("RoleRequired", "this call is for a machine's managed identity");
  return { role: "Machine", ...identity, virtualMachineId: typeof resourceId === "string" ? resourceId : undefined };
}

/** Entra's signing keys; when Entra doesn't answer, the last ones that it gave stay good. */
function entraKeys(authorityHost: string): {
  find: JWTVerifyGetKey;
  mayIssue(kid: string | undefined, tid: string, issuer: string): boolean;
} {
  const remote = createRemoteJWKSet(new URL(`${authorityHost}/common/discovery/v2.0/keys`), {
    cacheMaxAge: KEYS_KEPT_IN_MILLISECONDS,
  });
  return {
    find: async (header, token) => {
      try {
        return await remote(header, token);
      } catch (error) {
        const last = remote.jwks();
        if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
        if (last === undefined) {
          throw refusal("ServiceUnavailable", "the issuer's keys can't be read at the moment", {
            retryAfterInSeconds: 5,
            cause: error,
          });
        }
        return createLocalJWKSet(last)(header, token);
      }
    },
    // Entra marks a key with its issuer where that isn't every tenant: `{tenantid}` stands for any.
    mayIssue: (kid, tid, issuer) => {
      const key = remote.jwks()?.keys.find((key) => key.kid === kid);
      const marked: unknown = key && "issuer" in key ? key.issuer : undefined;
      return typeof marked !== "string" || marked.replace("{tenantid}", tid) === issuer;
    },
  };
}

const invalid = (why: string, cause?: unknown) => refusal("TokenInvalid", `the bearer token is refused: ${why}`, { cause });

function refused(error: unknown): never {
  if (error instanceof errors.JWTExpired) throw invalid("it has expired", error);
  if (error instanceof errors.JWTClaimValidationFailed) throw invalid(`its claim ${error.claim} is missing or wrong`, error);
  if (error instanceof errors.JOSEAlgNotAllowed) throw invalid("its algorithm is not RS256", error);
  if (error instanceof errors.JOSEError) throw invalid("it is malformed or not signed by the issuer", error);
  if (error instanceof TypeError) throw invalid("it is malformed or not signed by the issuer", error);
  throw error;
}

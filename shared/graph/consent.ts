/** Whether a customer's administrator has let us in, proven by tokens and by the domains that are verified there. */
import { type AccessTokenClaims, parseAccessToken } from "../entra/access-token.ts";
import type { Credentials } from "../entra/credentials.ts";
import { entraError } from "../entra/errors.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Graph } from "./client.ts";
import { createOrganizations } from "./organization.ts";

export interface ConsentQuestion {
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Domains that the partner declared: each must be verified there, so that nobody onboards somebody else's customer. */
  domains: string[];
  expectedRoles: ExpectedRoles;
}

/** App roles by the API that they belong to. */
export interface ExpectedRoles {
  graph: string[];
  exchange: string[];
}

export interface MissingAccess {
  kind: "token" | "role" | "domain";
  /** The API, the role or the domain. */
  name: string;
  /** Code and phrase that say why and what to do. */
  reason: { code: string; message: string };
}

export interface ConsentState {
  /** `pending`: wait for the administrator. `refused`: what was granted doesn't fit what was declared; waiting won't help. */
  state: "pending" | "granted" | "refused";
  granted: boolean;
  missing: MissingAccess[];
  /** The tenant that issued the token, from the token. */
  tokenTenant?: string;
}

/** Throws when it can't be told: Entra or Graph don't answer. */
export const checkConsent =
  ({ environment, credentials, graph }: { environment: CloudEnvironment; credentials: Credentials; graph: Graph }) =>
  async ({ organization, domains, expectedRoles }: ConsentQuestion): Promise<ConsentState> => {
    // A cached token would still tell the roles of before.
    credentials.forget(organization);
    const missing: MissingAccess[] = [];
    let tokenTenant: string | undefined;
    for (const [api, audience, roles] of [
      ["Microsoft Graph", environment.graph.audience, expectedRoles.graph],
      ["Exchange Online", environment.exchange.audience, expectedRoles.exchange],
    ] as const) {
      const claims = await claimsFor(credentials, organization, audience);
      if (claims instanceof ControlPlaneError) {
        missing.push({ kind: "token", name: api, reason: { code: claims.code, message: claims.message } });
        continue;
      }
      tokenTenant = claims.tenantId;
      if (claims.tenantId !== organization.toLowerCase()) return refusedTenant(organization, claims.tenantId);
      for (const role of roles.filter((role) => !claims.roles.includes(role)))
        missing.push({
          kind: "role",
          name: role,
          reason: {
            code: "ConsentRequired",
            message: `the permission ${role} of ${api} was not granted: open the consent link again`,
          },
        });
    }
    const told = tokenTenant === undefined ? {} : { tokenTenant };
    if (missing.length > 0) return { state: "pending", granted: false, missing, ...told };

    const verified = await createOrganizations(graph).verifiedDomains(organization);
    const foreign = domains.filter((domain) => !verified.includes(domain.toLowerCase()));
    if (foreign.length > 0)
      return { state: "refused", granted: false, missing: foreign.map((domain) => unverified(domain, organization)), ...told };
    return { state: "granted", granted: true, missing: [], ...told };
  };

/** `undefined` while the consent is pending or granted; the error to end with when it was refused. */
export function refusalOf({ state, missing: [first, ...rest] }: ConsentState): ControlPlaneError | undefined {
  if (state !== "refused" || !first) return undefined;
  return new ControlPlaneError(first.reason.code, first.reason.message, 409, false, {
    target: "spec.microsoft365.domains",
    details: [first, ...rest].map(({ name, reason }) => ({ ...reason, target: name })),
  });
}

/** Claims, or the refusal that a missing consent gives; other failures are thrown. */
async function claimsFor(
  credentials: Credentials,
  organization: string,
  audience: string,
): Promise<AccessTokenClaims | ControlPlaneError> {
  try {
    const token = await credentials.inTenant(organization).getToken(`${audience}/.default`);
    if (!token) throw new Error("the credential gave no token");
    return parseAccessToken(token.token);
  } catch (error) {
    const refusal = entraError(error, organization);
    if (refusal.code === "ConsentRequired" || refusal.code === "EntraSettling") return refusal;
    throw refusal;
  }
}

const unverified = (domain: string, organization: string): MissingAccess => ({
  kind: "domain",
  name: domain,
  reason: {
    code: "DomainNotVerified",
    message: `the domain ${domain} is not verified in the organisation ${organization}: verify it in the Microsoft 365 admin centre, or take it out of the spec`,
  },
});

const refusedTenant = (organization: string, tokenTenant: string): ConsentState => ({
  state: "refused",
  granted: false,
  tokenTenant,
  missing: [
    {
      kind: "token",
      name: organization,
      reason: {
        code: "TokenTenantMismatch",
        message: `the token for the organisation ${organization} was issued by another Entra tenant`,
      },
    },
  ],
});

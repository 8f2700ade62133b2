/**
 * Who we are: one multi-tenant application whose credential is a federated identity credential of the function app's user-assigned
 * managed identity. No secret of our own anywhere.
 */
import type { TokenCredential } from "@azure/identity";
import type { CloudEnvironment } from "../environment.ts";

export interface Identity {
  /** Client id of the multi-tenant application. */
  applicationId: string;
  /** Client id of the function app's user-assigned managed identity. */
  managedIdentityClientId: string;
}

export interface Credentials {
  /** The function app's own identity, for its own storage and vault. */
  readonly own: TokenCredential;
  /** Our application in one Entra tenant; the same object for the same tenant, so that tokens are cached. */
  inTenant(entraTenantId: string): TokenCredential;
  /** Forgets cached tokens of a tenant: after consent or a role change the old token still carries the old roles. */
  forget(entraTenantId: string): void;
}

export function createCredentials(
  environment: CloudEnvironment,
  { applicationId, managedIdentityClientId }: Identity,
): Credentials {
  const own = lazily(async () => {
    const { ManagedIdentityCredential } = await import("@azure/identity");
    return new ManagedIdentityCredential({ clientId: managedIdentityClientId, retryOptions: { maxRetries: 1 } });
  });
  const assertion = async (): Promise<string> => {
    const token = await own.getToken(`${environment.tokenExchangeAudience}/.default`);
    if (!token) throw new Error("the managed identity endpoint gave no token");
    return token.token;
  };
  const inTenants = new Map<string, TokenCredential>();
  return {
    own,
    inTenant: (entraTenantId) => {
      const known = inTenants.get(entraTenantId);
      if (known) return known;
      const credential = lazily(async () => {
        const { ClientAssertionCredential } = await import("@azure/identity");
        return new ClientAssertionCredential(entraTenantId, applicationId, assertion, {
          authorityHost: environment.authorityHost,
          disableInstanceDiscovery: !environment.instanceDiscovery,
          retryOptions: { maxRetries: 1 },
        });
      });
      inTenants.set(entraTenantId, credential);
      return credential;
    },
    forget: (entraTenantId) => void inTenants.delete(entraTenantId),
  };
}

/** The identity library takes a sixth of a second to load: not before the first token. */
function lazily(make: () => Promise<TokenCredential>): TokenCredential {
  let made: Promise<TokenCredential> | undefined;
  return { getToken: async (scopes, options) => (await (made ??= make())).getToken(scopes, options) };
}

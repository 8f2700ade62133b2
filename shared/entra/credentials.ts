/**
 * Who we are: one multi-tenant application whose credential is a federated identity credential of the function app's user-assigned
 * managed identity. No secret of our own anywhere.
 */
import { ClientAssertionCredential, ManagedIdentityCredential, type TokenCredential } from "@azure/identity";
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
  const own = new ManagedIdentityCredential({ clientId: managedIdentityClientId, retryOptions: { maxRetries: 1 } });
  const assertion = async (): Promise<string> => (await own.getToken(`${environment.tokenExchangeAudience}/.default`)).token;
  const inTenants = new Map<string, TokenCredential>();
  return {
    own,
    inTenant: (entraTenantId) => {
      const known = inTenants.get(entraTenantId);
      if (known) return known;
      const credential = new ClientAssertionCredential(entraTenantId, applicationId, assertion, {
        authorityHost: environment.authorityHost,
        disableInstanceDiscovery: !environment.instanceDiscovery,
        retryOptions: { maxRetries: 1 },
      });
      inTenants.set(entraTenantId, credential);
      return credential;
    },
    forget: (entraTenantId) => void inTenants.delete(entraTenantId),
  };
}

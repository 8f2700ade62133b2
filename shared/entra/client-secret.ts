/** Whether Entra takes a client secret: proven by asking for a token with it, never by looking at what is stored. */
import type { CloudEnvironment } from "../environment.ts";
import { entraError } from "./errors.ts";

/** Wrong, removed, expired: AADSTS7000215, 7000222. */
const REFUSED = /AADSTS(7000215|7000222)\b/;

/** `true` accepted, `false` refused; anything else is thrown. A credential of its own each time, so that no cached token answers. */
export const checkClientSecret =
  (environment: CloudEnvironment) =>
  async ({
    entraTenantId,
    clientId,
    clientSecret,
  }: {
    entraTenantId: string;
    clientId: string;
    clientSecret: string;
  }): Promise<boolean> => {
    const { ClientSecretCredential } = await import("@azure/identity");
    const credential = new ClientSecretCredential(entraTenantId, clientId, clientSecret, {
      authorityHost: environment.authorityHost,
      disableInstanceDiscovery: !environment.instanceDiscovery,
      retryOptions: { maxRetries: 1 },
    });
    try {
      await credential.getToken(`${environment.graph.audience}/.default`);
      return true;
    } catch (cause) {
      if (cause instanceof Error && REFUSED.test(cause.message)) return false;
      throw entraError(cause, entraTenantId);
    }
  };

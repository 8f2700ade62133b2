/** The gateway's client secret as it is, and Entra's list of its application's, by their hashes: looked up where no door redacts. */
import { type Application, hashOf } from "../../infra/local/clouds/entra/directory.ts";
import type { OpenClouds } from "./estate.ts";

export interface ClientSecrets {
  held: string | undefined;
  valid: { keyId: string; hash: string; displayName: string | null }[];
}

interface Guest {
  registry: Record<string, Record<string, { data: unknown }>>;
}

export function clientSecretsIn(
  { platform }: Pick<OpenClouds, "platform">,
  { subscription, organization }: { subscription: string; organization: string },
): ClientSecrets {
  const guest = platform
    .collection<Guest>("arm.guests")
    .entries()
    .find(([id]) => id.toLowerCase().includes(subscription))?.[1];
  const value = guest?.registry["hklm\\software\\gbs\\iq.suite\\ewsscan"]?.["OAuthClientSecret"]?.data;
  const own = platform
    .collection<Application>("entra.applications")
    .entries()
    .find(([id]) => id.startsWith(`${organization}/`))?.[1];
  return { held: typeof value === "string" ? hashOf(value) : undefined, valid: own?.passwordCredentials ?? [] };
}

/** Access tokens for the partner API, as a partner's own program gets them: client credentials at Entra, kept until shortly before they expire. */
import type { ApiCredentials } from "./platform.ts";

const EARLY_IN_MILLISECONDS = 60_000;

export function tokenSource({
  tokenEndpoint,
  clientId,
  clientSecret,
  scope,
}: Pick<ApiCredentials, "tokenEndpoint" | "clientId" | "clientSecret" | "scope">): () => Promise<string> {
  let known: { token: string; until: number } | undefined;
  return async () => {
    if (known && known.until > Date.now()) return known.token;
    const response = await fetch(tokenEndpoint, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope }),
    });
    const answer = (await response.json()) as { access_token?: string; expires_in?: number; error_description?: string };
    if (!response.ok || !answer.access_token)
      throw new Error(`asking Entra for a token for ${clientId}: ${answer.error_description ?? response.status}`);
    known = { token: answer.access_token, until: Date.now() + (answer.expires_in ?? 0) * 1000 - EARLY_IN_MILLISECONDS };
    return known.token;
  };
}

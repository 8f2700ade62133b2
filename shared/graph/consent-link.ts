/** The link that a customer's administrator opens to let our application in. */
import type { CloudEnvironment } from "../environment.ts";

export interface ConsentLink {
  environment: CloudEnvironment;
  /** Entra tenant id: never `common`, where anybody's administrator could consent. */
  organization: string;
  applicationId: string;
  redirectUri: string;
  /** Signed, single-use and short-lived; the callback believes nothing else. */
  state: string;
}

/**
 * `.default` asks for all permissions that the application's registration lists, of every API in that list, whichever API it is asked of;
 * so one link does for Graph and Exchange Online. What was granted is proven by tokens: the answer's `scope` and `tenant` prove nothing.
 * Source: "Admin consent on the Microsoft identity platform", "Scopes and permissions: the .default scope".
 */
export function adminConsentUrl({ environment, organization, applicationId, redirectUri, state }: ConsentLink): string {
  const url = new URL(`${environment.authorityHost}/${encodeURIComponent(organization)}/v2.0/adminconsent`);
  url.search = new URLSearchParams({
    client_id: applicationId,
    scope: `${environment.graph.audience}/.default`,
    redirect_uri: redirectUri,
    state,
  }).toString();
  return url.href;
}

/** The simulated clouds for tests: real doors over HTTPS in this process, trusted by this process, on ports of their own. */
import { setTimeout as wait } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { type Clouds, type CloudsOptions, createClouds } from "../../infra/local/clouds/clouds.ts";
import type { NewOrganization } from "../../infra/local/clouds/organizations.ts";
import type { CloudName, Organization } from "../../infra/local/clouds/simulator.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";

export interface TestClouds extends Clouds {
  /** For child processes and for ManagedIdentityCredential; this process's environment has them too. */
  readonly variables: { IDENTITY_ENDPOINT: string; IDENTITY_HEADER: string; NODE_EXTRA_CA_CERTS: string };
  /** `POST /organizations`. */
  organize(organization: NewOrganization): Promise<Organization>;
  /** Plays the customer's administrator, who accepts what the consent page asks; answers where the browser is sent. */
  consent(tenantId: string, state?: string): Promise<URL>;
  /** Access token of a client for the partner API. */
  tokenOf(role: "partner" | "operator", index?: number): Promise<string>;
  /** `POST /faults`: meets the next requests that match, `after` others have passed. A cloud that isn't given means every cloud. */
  fault(
    cloud: CloudName | undefined,
    fault: unknown,
    match?: { method?: string; path?: string; cmdlet?: string },
    times?: number,
    after?: number,
  ): Promise<void>;
  /** `DELETE /faults`: what was planned and not used up. */
  clearFaults(): Promise<void>;
  /** `GET /requests`. */
  requests(cloud?: CloudName, since?: number): Promise<Exchange[]>;
  /** `GET /state/<cloud>`. */
  state(cloud: CloudName): Promise<unknown>;
}

/**
 * Durations are modelled as nothing unless `tempo` says otherwise, and what was written is seen at once unless `lag` does. Sets IDENTITY_ENDPOINT and IDENTITY_HEADER of this process. One
 * platform a process, that is a test file (or several in turn over one directory): MSAL remembers the first managed identity endpoint
 * it found, and the tokens that it gave.
 */
export async function startClouds(options: CloudsOptions = {}): Promise<TestClouds> {
  const clouds = await createClouds({ tempo: 0, lag: 0, ...options });
  setDefaultCACertificates([...getCACertificates("default"), clouds.platform.certificates.authority]);
  const variables = {
    IDENTITY_ENDPOINT: clouds.identity.endpoint,
    IDENTITY_HEADER: clouds.identity.header,
    NODE_EXTRA_CA_CERTS: clouds.ca,
  };
  process.env["IDENTITY_ENDPOINT"] = variables.IDENTITY_ENDPOINT;
  process.env["IDENTITY_HEADER"] = variables.IDENTITY_HEADER;

  const get = async <T>(path: string): Promise<T> => answer<T>(await fetch(`${clouds.control}${path}`));
  const post = async <T>(path: string, body: unknown): Promise<T> =>
    answer<T>(
      await fetch(`${clouds.control}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    );

  return {
    ...clouds,
    variables,
    stop: async () => {
      await clouds.stop();
      // This process's own kept connections hear of their end a turn of the event loop later; another start may use the same ports.
      await wait(20);
    },
    organize: (organization) => post("/organizations", organization),
    consent: async (tenantId, state = "state") => {
      const { organizations, identity } = clouds.platform;
      const domain = organizations.get(tenantId)?.domains.find(({ initial }) => initial)?.name ?? "";
      const form = {
        client_id: identity.applicationId,
        scope: `${clouds.environment.graph.audience}/.default`,
        redirect_uri: "http://localhost/api/consent/callback",
        state,
        account: `admin@${domain}`,
        action: "accept",
      };
      const response = await fetch(`${clouds.entra}/${tenantId}/v2.0/adminconsent`, {
        method: "POST",
        body: new URLSearchParams(form),
        redirect: "manual",
      });
      const location = response.headers.get("location");
      if (location === null) throw new Error(`consent was not given: ${await response.text()}`);
      return new URL(location);
    },
    tokenOf: async (role, index = 0) => {
      const client = clouds.clients.filter((one) => one.role === role)[index];
      if (!client) throw new Error(`there is no ${role} ${index}`);
      const { tokenEndpoint, clientId, clientSecret, scope } = client;
      const form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope };
      const { access_token } = await answer<{ access_token: string }>(
        await fetch(tokenEndpoint, { method: "POST", body: new URLSearchParams(form) }),
      );
      return access_token;
    },
    fault: async (cloud, fault, match = {}, times = 1, after = 0) => {
      await post("/faults", { cloud, match, fault, times, after });
    },
    clearFaults: async () => {
      await fetch(`${clouds.control}/faults`, { method: "DELETE" });
    },
    requests: async (cloud, since = 0) =>
      (await get<{ value: Exchange[] }>(`/requests?since=${since}${cloud === undefined ? "" : `&cloud=${cloud}`}`)).value,
    state: (cloud) => get(`/state/${cloud}`),
  };
}

async function answer<T>(response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

/** Azure Resource Manager through Microsoft's SDKs: loaded when first needed, one attempt a call, long-running work begun and never waited for. */
import type { AuthorizationManagementClient } from "@azure/arm-authorization";
import type { ComputeManagementClient } from "@azure/arm-compute";
import type { DnsManagementClient } from "@azure/arm-dns";
import type { KeyVaultManagementClient } from "@azure/arm-keyvault";
import type { MarketplaceOrderingAgreements } from "@azure/arm-marketplaceordering";
import type { MonitorClient } from "@azure/arm-monitor";
import type { ManagedServiceIdentityClient } from "@azure/arm-msi";
import type { NetworkManagementClient } from "@azure/arm-network";
import type { ResourceManagementClient } from "@azure/arm-resources";
import type { SqlManagementClient } from "@azure/arm-sql";
import type { StorageManagementClient } from "@azure/arm-storage";
import type { TokenCredential } from "@azure/identity";
import type { Pipeline, PipelinePolicy, PipelineResponse, RestError } from "@azure/core-rest-pipeline";
import type { Credentials } from "../entra/credentials.ts";
import { noteRequest } from "../cloud-requests.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import { type Begun, type Done, done, type Observed, present } from "../resources/resource.ts";
import { armFailureOf, azureError, isGone, retryAfterOf, unreadable } from "./errors.ts";
import { type Governor, isQuotaUsed } from "./governor.ts";
import type { Subscription } from "./place.ts";

/** The SDK clients of one subscription, each loaded and made at its first use. */
export interface AzureClients {
  resources(): Promise<ResourceManagementClient>;
  network(): Promise<NetworkManagementClient>;
  compute(): Promise<ComputeManagementClient>;
  keyVault(): Promise<KeyVaultManagementClient>;
  identities(): Promise<ManagedServiceIdentityClient>;
  authorization(): Promise<AuthorizationManagementClient>;
  sql(): Promise<SqlManagementClient>;
  storage(): Promise<StorageManagementClient>;
  marketplace(): Promise<MarketplaceOrderingAgreements>;
  monitor(): Promise<MonitorClient>;
  dns(): Promise<DnsManagementClient>;
}

/** The part of an SDK's raw response that tells whether work goes on. */
export interface FirstReply {
  status: number;
  headers: { get(name: string): string | undefined };
  request: { url: string };
  bodyAsText?: string | null;
}

export type Polled =
  | { status: "running"; retryAfterInSeconds: number }
  | { status: "succeeded" }
  | { status: "failed"; error: { code: string; message: string } };

export interface Azure {
  readonly environment: CloudEnvironment;
  clients(subscription: Subscription): AzureClients;
  /** Absent only when ARM says that the thing or its group is not there; any other failure is unknown. Throws `AzureQuotaUsed` when it may not ask yet. */
  read<Found>(subscription: Subscription, get: (clients: AzureClients) => Promise<Found>): Promise<Observed<Found>>;
  /** Sends one write and reads from its first reply whether the cloud goes on working. `action` is part of the error's message. */
  begin(
    action: string,
    subscription: Subscription,
    send: (clients: AzureClients, onResponse: (reply: FirstReply) => void) => Promise<unknown>,
  ): Promise<Done | Begun>;
  /** As `begin`, for a removal: gone already counts as done. */
  beginRemoval(
    action: string,
    subscription: Subscription,
    send: (clients: AzureClients, onResponse: (reply: FirstReply) => void) => Promise<unknown>,
  ): Promise<Done | Begun>;
  /** One GET with our token, only to the environment's own ARM endpoint; throws transient errors when ARM itself can't answer. */
  pollOperation(operation: { entraTenantId: string; operationUrl: string }): Promise<Polled>;
  /** One GET of a path that no installed SDK covers, for example `/subscriptions/{id}?api-version=2022-12-01`. */
  get(entraTenantId: string, path: string): Promise<Observed<unknown>>;
}

/** What ARM's own guidance says to wait when a reply names no Retry-After. Source: "Track asynchronous Azure operations". */
const DEFAULT_RETRY_AFTER_IN_SECONDS = 10;

export interface AzureOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  /** Sends nothing that would be one too many; without it Azure itself says so. */
  governor?: Governor | undefined;
}

export function createAzure({ environment, credentials, governor }: AzureOptions): Azure {
  const { endpoint, audience } = environment.resourceManager;
  const scope = `${audience}/.default`;
  // Keyed by credential: forgetting a tenant's credential also forgets the clients that cached its tokens.
  const clientsOf = new WeakMap<TokenCredential, Map<string, AzureClients>>();
  const sendersOf = new WeakMap<TokenCredential, Promise<(url: string) => Promise<PipelineResponse>>>();

  const clients = ({ entraTenantId, subscriptionId }: Subscription): AzureClients => {
    const credential = credentials.inTenant(entraTenantId);
    const known = clientsOf.get(credential) ?? new Map<string, AzureClients>();
    clientsOf.set(credential, known);
    const found = known.get(subscriptionId) ?? createClients(credential, subscriptionId, endpoint, scope, governor);
    known.set(subscriptionId, found);
    return found;
  };

  const sender = (entraTenantId: string): Promise<(url: string) => Promise<PipelineResponse>> => {
    const credential = credentials.inTenant(entraTenantId);
    const found = sendersOf.get(credential) ?? createSender(credential, scope, governor);
    sendersOf.set(credential, found);
    return found;
  };

  const begin: Azure["begin"] = async (action, subscription, send) => {
    let first: FirstReply | undefined;
    try {
      await send(clients(subscription), (reply) => {
        first ??= reply;
      });
    } catch (cause) {
      // The older SDKs ask once how far the operation is; what that look meets is not the write's own answer.
      if (first === undefined || first.status >= 300) throw azureError(action, cause);
    }
    return first === undefined ? done : begunBy(first);
  };

  return {
    environment,
    clients,
    begin,
    async read(subscription, get) {
      try {
        return present(await get(clients(subscription)));
      } catch (cause) {
        if (isQuotaUsed(cause)) throw cause;
        return unreadable(cause);
      }
    },
    async beginRemoval(action, subscription, send) {
      try {
        return await begin(action, subscription, send);
      } catch (error) {
        if (error instanceof ControlPlaneError && isGone(error.cause)) return done;
        throw error;
      }
    },
    async pollOperation({ entraTenantId, operationUrl }) {
      // The URL comes from storage and the request carries our token: it goes to ARM or nowhere.
      if (!URL.canParse(operationUrl) || new URL(operationUrl).origin !== new URL(endpoint).origin)
        throw new ControlPlaneError("OperationUrlForeign", "the operation's URL is not one of Azure Resource Manager's", 400);
      try {
        return await polledFrom(await (await sender(entraTenantId))(operationUrl));
      } catch (cause) {
        throw azureError("asking how far an operation is", cause);
      }
    },
    async get(entraTenantId, path) {
      try {
        const response = await (await sender(entraTenantId))(`${endpoint}${path}`);
        if (response.status >= 300) throw await refusalOf(response);
        return present(JSON.parse(response.bodyAsText ?? "null"));
      } catch (cause) {
        if (isQuotaUsed(cause)) throw cause;
        return unreadable(cause);
      }
    },
  };
}

/** Source: "Track asynchronous Azure operations"; a PUT with neither header is followed by the resource's own provisioningState. */
export function begunBy({ status, headers, request, bodyAsText }: FirstReply): Done | Begun {
  const operationUrl =
    headers.get("azure-asyncoperation") ??
    headers.get("operation-location") ??
    (status === 202 ? headers.get("location") : undefined) ??
    (stillProvisioning(bodyAsText) ? request.url : undefined);
  if (operationUrl === undefined) return done;
  const retryAfterInSeconds = retryAfterOf((name) => headers.get(name)) ?? DEFAULT_RETRY_AFTER_IN_SECONDS;
  return { state: "begun", operationUrl, retryAfterInSeconds };
}

function stillProvisioning(text: string | null | undefined): boolean {
  const state = provisioningStateOf(bodyOf(text));
  return state !== undefined && !isTerminal(state);
}

export const isTerminal = (state: string): boolean => /^(succeeded|failed|canceled|cancelled)$/i.test(state);

async function polledFrom(response: PipelineResponse): Promise<Polled> {
  const body = bodyOf(response.bodyAsText);
  // ARM keeps an operation for a day or so; after that only the resource itself can tell, and the caller observes it next.
  if (response.status === 404 || response.status === 410) return { status: "succeeded" };
  if (response.status >= 300 && !isOperationBody(body)) throw await refusalOf(response);
  const status = (typeof body["status"] === "string" ? body["status"] : undefined) ?? provisioningStateOf(body);
  if (/^succeeded$/i.test(status ?? "")) return { status: "succeeded" };
  if (/fail|^cancel/i.test(status ?? "")) return { status: "failed", error: failureOf(body, status) };
  if (status !== undefined || response.status === 202)
    return {
      status: "running",
      retryAfterInSeconds: retryAfterOf((name) => response.headers.get(name)) ?? DEFAULT_RETRY_AFTER_IN_SECONDS,
    };
  return { status: "succeeded" };
}

/** The innermost code says what happened; the outer one often only that something did. */
function failureOf(body: Record<string, unknown>, status: string | undefined): { code: string; message: string } {
  type Reason = { code?: unknown; message?: unknown; innererror?: Reason; details?: Reason[] };
  const outer = (body["error"] ?? {}) as Reason;
  let inner = outer;
  while (inner.innererror ?? inner.details?.[0]) inner = (inner.innererror ?? inner.details?.[0]) as Reason;
  const code = typeof inner.code === "string" ? inner.code : typeof outer.code === "string" ? outer.code : `Operation${status}`;
  const messages = [outer.message, inner.message].filter(
    (message): message is string => typeof message === "string" && message !== "",
  );
  return { code, message: [...new Set(messages)].join(" ") || `the operation ended as ${status}` };
}

const isOperationBody = (body: Record<string, unknown>): boolean => typeof body["status"] === "string";

const provisioningStateOf = (body: Record<string, unknown>): string | undefined => {
  const state = (body["properties"] as { provisioningState?: unknown } | undefined)?.provisioningState;
  return typeof state === "string" ? state : undefined;
};

function bodyOf(text: string | null | undefined): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text ?? "null");
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Record<string, unknown>) : {};
  } catch {
    return {}; // an empty or foreign body says nothing
  }
}

async function refusalOf(response: PipelineResponse): Promise<Error> {
  const { RestError } = await import("@azure/core-rest-pipeline");
  const { code, message } = armFailureOf(new Error(response.bodyAsText ?? ""));
  return new RestError(message, { code, statusCode: response.status, request: response.request, response });
}

function createClients(
  credential: TokenCredential,
  subscriptionId: string,
  endpoint: string,
  scope: string,
  governor: Governor | undefined,
): AzureClients {
  const generated = { endpoint, credentials: { scopes: [scope] } };
  const older = { endpoint, $host: endpoint, credentialScopes: scope };
  return {
    resources: once(async () => {
      const { ResourceManagementClient } = await import("@azure/arm-resources");
      return patientOnce(new ResourceManagementClient(credential, subscriptionId, generated), governor);
    }),
    network: once(async () => {
      const { NetworkManagementClient } = await import("@azure/arm-network");
      return patientOnce(new NetworkManagementClient(credential, subscriptionId, generated), governor);
    }),
    compute: once(async () => {
      const { ComputeManagementClient } = await import("@azure/arm-compute");
      return patientOnce(new ComputeManagementClient(credential, subscriptionId, generated), governor);
    }),
    keyVault: once(async () => {
      const { KeyVaultManagementClient } = await import("@azure/arm-keyvault");
      return patientOnce(new KeyVaultManagementClient(credential, subscriptionId, generated), governor);
    }),
    identities: once(async () => {
      const { ManagedServiceIdentityClient } = await import("@azure/arm-msi");
      return patientOnce(new ManagedServiceIdentityClient(credential, subscriptionId, older), governor);
    }),
    authorization: once(async () => {
      const { AuthorizationManagementClient } = await import("@azure/arm-authorization");
      return patientOnce(new AuthorizationManagementClient(credential, subscriptionId, older), governor);
    }),
    sql: once(async () => {
      const { SqlManagementClient } = await import("@azure/arm-sql");
      return patientOnce(new SqlManagementClient(credential, subscriptionId, older), governor);
    }),
    storage: once(async () => {
      const { StorageManagementClient } = await import("@azure/arm-storage");
      return patientOnce(new StorageManagementClient(credential, subscriptionId, generated), governor);
    }),
    marketplace: once(async () => {
      const { MarketplaceOrderingAgreements } = await import("@azure/arm-marketplaceordering");
      return patientOnce(new MarketplaceOrderingAgreements(credential, subscriptionId, older), governor);
    }),
    monitor: once(async () => {
      const { MonitorClient } = await import("@azure/arm-monitor");
      return patientOnce(new MonitorClient(credential, subscriptionId, generated), governor);
    }),
    dns: once(async () => {
      const { DnsManagementClient } = await import("@azure/arm-dns");
      return patientOnce(new DnsManagementClient(credential, subscriptionId, older), governor);
    }),
  };
}

/**
 * The SDKs would sleep on a Retry-After inside the call. Waiting belongs to durable timers, so only a broken connection is tried
 * once more.
 */
export async function patientOnce<Client extends { pipeline: Pipeline }>(client: Client, governor?: Governor): Promise<Client> {
  const { RestError, systemErrorRetryPolicy } = await import("@azure/core-rest-pipeline");
  client.pipeline.removePolicy({ name: "defaultRetryPolicy" });
  client.pipeline.addPolicy(systemErrorRetryPolicy({ maxRetries: 1, retryDelayInMs: 250 }), { phase: "Retry" });
  client.pipeline.addPolicy(answerPolicy(RestError), { phase: "Retry" });
  if (governor) client.pipeline.addPolicy(governedBy(governor), { phase: "Retry" });
  return client;
}

const governedBy = (governor: Governor): PipelinePolicy => ({
  name: "governorPolicy",
  async sendRequest(request, next) {
    await governor.admit(request.method, request.url);
    const response = await next(request);
    governor.learn(request.method, request.url, (name) => response.headers.get(name));
    return response;
  },
});

/** The SDKs take a proxy's page with status 200 for an object without properties, and for an empty list. ARM speaks nothing but JSON. */
const answerPolicy = (Malformed: typeof RestError): PipelinePolicy => ({
  name: "answerPolicy",
  async sendRequest(request, next) {
    const response = await next(request);
    if (request.method !== "GET") noteRequest("azure", response.headers.get("x-ms-request-id"));
    const contentType = response.headers.get("content-type") ?? "";
    if (response.status >= 300 || (response.bodyAsText ?? "") === "" || contentType.includes("json")) return response;
    throw new Malformed("the answer is not one of Azure Resource Manager's", {
      code: "AnswerMalformed",
      statusCode: 502,
      request,
      response,
    });
  },
});

async function createSender(
  credential: TokenCredential,
  scope: string,
  governor: Governor | undefined,
): Promise<(url: string) => Promise<PipelineResponse>> {
  const {
    bearerTokenAuthenticationPolicy,
    createDefaultHttpClient,
    createHttpHeaders,
    createPipelineFromOptions,
    createPipelineRequest,
  } = await import("@azure/core-rest-pipeline");
  const pipeline = createPipelineFromOptions({});
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: scope }), { phase: "Sign" });
  await patientOnce({ pipeline }, governor);
  const httpClient = createDefaultHttpClient();
  return (url) =>
    pipeline.sendRequest(
      httpClient,
      createPipelineRequest({ url, headers: createHttpHeaders({ accept: "application/json" }), timeout: 60_000 }),
    );
}

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};

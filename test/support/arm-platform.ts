/** A simulated ARM alone, in memory and on a clock that moves as fast as clients wait: genuine SDKs reach it through their transport. */
import type { TokenCredential } from "@azure/identity";
import { createHttpHeaders, type HttpClient, type PipelineRequest } from "@azure/core-rest-pipeline";
import { createArm } from "../../infra/local/clouds/arm/index.ts";
import { openCollections } from "../../infra/local/clouds/collections.ts";
import type { Claims, Organization, Platform, SimulatedResponse, Simulator } from "../../infra/local/clouds/simulator.ts";
import { cloudEnvironments, type CloudEnvironment } from "../../shared/environment.ts";
import { addressed, armSchemas } from "./arm-schemas.ts";

export const ours = {
  tenantId: "c0ffee00-0000-4000-8000-000000000001",
  subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
  /** Our application's service principal in that tenant. */
  principalId: "c0ffee00-0000-4000-8000-0000000000b1",
};

export interface Exchange {
  method: string;
  path: string;
  apiVersion: string;
  requestBody: unknown;
  response: SimulatedResponse;
}

export interface TestArm {
  readonly platform: Platform;
  readonly arm: Simulator;
  readonly exchanges: Exchange[];
  /** Options for any arm-* client. */
  clientOptions(): { endpoint: string; httpClient: HttpClient; retryOptions: { maxRetries: number }; updateIntervalInMs: number };
  credential(claims?: Partial<Claims>): TokenCredential;
  request(
    method: string,
    path: string,
    options?: { body?: unknown; claims?: Partial<Claims> | null; headers?: Record<string, string> },
  ): Promise<SimulatedResponse>;
  advance(seconds: number): void;
  /** The same collections under a new simulator, as after a restart of the process. */
  restarted(): TestArm;
  /** What Microsoft's types say against bodies that went over this wire; empty means nothing. */
  schemaFindings(): string[];
}

interface Options {
  tempo?: number;
  organization?: Partial<Organization>;
  /** What the vault gives for a secret's URL. */
  secrets?: Record<string, string>;
  earlier?: { collections: ReturnType<typeof openCollections>; clock: { now: number } };
}

export function createTestArm(options: Options = {}): TestArm {
  const { tempo = 1, organization = {}, secrets = {} } = options;
  const publicCloud = cloudEnvironments["AzureCloud"];
  if (publicCloud === undefined) throw new Error("the public cloud is unknown");
  const environment: CloudEnvironment = publicCloud;
  const clock = options.earlier?.clock ?? { now: Date.UTC(2026, 10, 22, 8) };
  const collections = options.earlier?.collections ?? openCollections(":memory:");
  const exchanges: Exchange[] = [];
  const platform: Platform = {
    environment,
    identity: {
      homeTenantId: "90a7e000-0000-4000-8000-000000000000",
      applicationId: "90a7e000-0000-4000-8000-00000000000a",
      managedIdentity: { clientId: "90a7e000-0000-4000-8000-00000000000b", principalId: "90a7e000-0000-4000-8000-00000000000c" },
    },
    certificates: {
      authority: "",
      issue: () => Promise.reject(new Error("ARM issues no certificates")),
      certify: () => Promise.reject(new Error("ARM issues no certificates")),
      request: () => Promise.reject(new Error("ARM issues no certificates")),
    },
    now: () => clock.now,
    collection: collections.collection,
    organizations: collections.collection("platform.organizations"),
    verify: async ({ headers }) => {
      const token = headers["authorization"]?.replace("Bearer ", "");
      return token === undefined ? undefined : JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    },
    tempo,
    after: (milliseconds, run) => {
      const timer = setTimeout(run, milliseconds).unref();
      return { cancel: () => clearTimeout(timer) };
    },
    hold: () => () => undefined,
    lag: 0,
    fault: () => undefined,
    note: () => undefined,
    secrets: { add: () => undefined },
    peers: {
      servicePrincipal: (tenantId) => (tenantId === ours.tenantId ? { objectId: ours.principalId } : undefined),
      tokenForIdentity: async (clientId) => `token-of-${clientId}`,
    },
  };
  platform.organizations.set(ours.tenantId, {
    tenantId: ours.tenantId,
    displayName: "Contoso",
    domains: [{ name: "contoso.example", verified: true, initial: true }],
    mailboxes: [],
    subscriptionId: ours.subscriptionId,
    offer: "EnterpriseAgreement",
    azureAccess: true,
    ...organization,
  });
  const vault = async (url: string): Promise<Response> => {
    const value = secrets[url.replace(/\?.*$/, "")];
    return value === undefined ? new Response("{}", { status: 404 }) : Response.json({ value });
  };
  const arm = createArm(platform, { fetch: vault });

  const claimsOf = (claims: Partial<Claims> = {}): Claims => ({
    iss: `${environment.authorityHost}/${ours.tenantId}/v2.0`,
    aud: environment.resourceManager.audience,
    tid: ours.tenantId,
    oid: ours.principalId,
    exp: clock.now / 1000 + 3600,
    ...claims,
  });
  const bearer = (claims?: Partial<Claims>): string => Buffer.from(JSON.stringify(claimsOf(claims))).toString("base64url");

  const send = async (method: string, url: URL, headers: Record<string, string>, text: string): Promise<SimulatedResponse> => {
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    const response = await arm.handle({ method, url, headers, body, text });
    const apiVersion = url.searchParams.get("api-version") ?? "";
    exchanges.push({ method, path: url.pathname, apiVersion, requestBody: body, response: structuredClone(response) });
    return response;
  };

  /** Waiting costs nothing: the clock jumps ahead by what the answer asks to wait. */
  const httpClient: HttpClient = {
    sendRequest: async (request: PipelineRequest) => {
      const text = typeof request.body === "string" ? request.body : "";
      const response = await send(request.method, new URL(request.url), request.headers.toJSON(), text);
      const { "retry-after": wait, ...headers } = response.headers ?? {};
      if (wait !== undefined && response.status < 400) clock.now += Number(wait) * 1000;
      const bodyAsText = response.body === undefined ? null : JSON.stringify(response.body);
      return { request, status: response.status, headers: createHttpHeaders(headers), bodyAsText };
    },
  };

  return {
    platform,
    arm,
    exchanges,
    clientOptions: () => ({
      endpoint: environment.resourceManager.endpoint,
      httpClient,
      retryOptions: { maxRetries: 0 },
      updateIntervalInMs: 1,
    }),
    credential: (claims) => ({ getToken: async () => ({ token: bearer(claims), expiresOnTimestamp: Date.now() + 3_600_000 }) }),
    request: (method, path, { body, claims, headers = {} } = {}) =>
      send(
        method,
        new URL(`${environment.resourceManager.endpoint}${path}`),
        { ...(claims === null ? {} : { authorization: `Bearer ${bearer(claims)}` }), ...headers },
        body === undefined ? "" : JSON.stringify(body),
      ),
    advance: (seconds) => {
      clock.now += seconds * 1000;
    },
    restarted: () => createTestArm({ ...options, earlier: { collections, clock } }),
    schemaFindings: () => exchanges.flatMap(findingsOf),
  };
}

function findingsOf({ method, path, apiVersion, requestBody, response }: Exchange): string[] {
  const schemas = armSchemas();
  const { type, collection } = addressed(path);
  if (schemas === undefined || collection || !["PUT", "GET", "PATCH"].includes(method) || response.status >= 300) return [];
  const asked = method === "PUT" ? (schemas.check(type, apiVersion, requestBody, "request") ?? []) : [];
  const answered = schemas.check(type, apiVersion, response.body, "response") ?? [];
  return [...asked, ...answered].map((finding) => `${method} ${path} ${finding}`);
}

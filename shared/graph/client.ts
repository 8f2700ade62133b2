/** Microsoft Graph through its SDK: answers are parsed, failures are ours, and waiting belongs to durable timers. */
import type { Client, Context, GraphRequest } from "@microsoft/microsoft-graph-client";
import * as z from "zod";
import { noteRequest } from "../cloud-requests.ts";
import type { Credentials } from "../entra/credentials.ts";
import { entraError } from "../entra/errors.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import { retryAfterOf } from "../retry-after.ts";

export interface Graph {
  /** Throws `GraphNotFound` when there is none. Paths are relative to the version, with what comes from outside encoded by `segment`. */
  get<T>(organization: string, path: string, schema: z.ZodType<T>): Promise<T>;
  /** Undefined when Graph says that there is none: the only evidence of absence. */
  find<T>(organization: string, path: string, schema: z.ZodType<T>): Promise<T | undefined>;
  /** All of a collection, over all pages. */
  list<T>(organization: string, path: string, schema: z.ZodType<T>): Promise<T[]>;
  post<T>(organization: string, path: string, body: object, schema: z.ZodType<T>): Promise<T>;
  patch<T>(organization: string, path: string, body: object, schema: z.ZodType<T>, headers?: Record<string, string>): Promise<T>;
  /** Gone already counts as done. */
  delete(organization: string, path: string): Promise<void>;
}

export interface GraphOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  timeoutInSeconds?: number;
}

const pageSchema = z.looseObject({ value: z.array(z.unknown()), "@odata.nextLink": z.string().optional() });
const MOST_PAGES = 1000;
/** What the SDK may wait for by itself; anything longer is a durable timer's. */
const SHORT_WAIT_IN_SECONDS = 2;

/** What answers nothing (204, 202). */
export const nothing = z.unknown().transform(() => undefined);

/** A value in a path, safe from slashes, quotes and query characters. */
export const segment = (value: string): string => encodeURIComponent(value);
/** A string in a filter or an alternate key: `'O''Neill'`. */
export const literal = (value: string): string => `'${encodeURIComponent(value.replaceAll("'", "''"))}'`;

export function createGraph({ environment, credentials, timeoutInSeconds = 60 }: GraphOptions): Graph {
  const { endpoint, audience } = environment.graph;
  // By organisation, with the credential that it was made with: credentials are renewed after consent.
  const clients = new Map<string, { credential: unknown; client: Client }>();

  async function clientIn(organization: string): Promise<Client> {
    const credential = credentials.inTenant(organization);
    const known = clients.get(organization);
    if (known?.credential === credential) return known.client;
    const sdk = await import("@microsoft/microsoft-graph-client");
    const retry = new sdk.RetryHandlerOptions(SHORT_WAIT_IN_SECONDS, 1, (_delay, _attempt, _request, options, response) =>
      repeatable(response, options?.method),
    );
    const wire = new sdk.HTTPMessageHandler();
    const chain = [
      new sdk.AuthenticationHandler({
        getAccessToken: async () => (await credential.getToken(`${audience}/.default`))?.token ?? "",
      }),
      new sdk.RetryHandler(retry),
      new sdk.TelemetryHandler(),
      {
        async execute(context: Context): Promise<void> {
          await wire.execute(context);
          if (context.options?.method !== "GET") noteRequest("graph", context.response?.headers.get("request-id"));
        },
      },
    ];
    const client = sdk.Client.initWithMiddleware({
      middleware: chain,
      baseUrl: `${endpoint}/`,
      // Without the port: with it the SDK leaves the Authorization header out, silently.
      customHosts: new Set([new URL(endpoint).hostname]),
      defaultVersion: "v1.0",
      // A redirect would carry our token elsewhere.
      fetchOptions: { redirect: "error" },
    });
    clients.set(organization, { credential, client });
    return client;
  }

  async function call<T>(
    organization: string,
    path: string,
    method: string,
    schema: z.ZodType<T>,
    send: (request: GraphRequest) => Promise<unknown>,
  ): Promise<T> {
    const doing = `${method} ${pathOf(path, endpoint)} in the organisation ${organization}`;
    // First by itself: inside the SDK's chain a credential's error would come out as one of Graph's.
    await credentials
      .inTenant(organization)
      .getToken(`${audience}/.default`)
      .catch((error: unknown) => Promise.reject(entraError(error, organization)));
    const client = await clientIn(organization);
    let answer: unknown;
    try {
      answer = await send(client.api(path).option("signal", AbortSignal.timeout(timeoutInSeconds * 1000)));
    } catch (error) {
      const failure = graphFailure(doing, error);
      // A cached token still carries the old roles: the next try asks for a new one.
      if (failure.code === "ConsentRequired") credentials.forget(organization);
      throw failure;
    }
    const parsed = schema.safeParse(answer);
    if (!parsed.success)
      throw new ControlPlaneError("GraphAnswerMalformed", `${doing}: the answer lacks what is needed`, 502, false, {
        cause: parsed.error,
      });
    return parsed.data;
  }

  const get = <T>(organization: string, path: string, schema: z.ZodType<T>): Promise<T> =>
    call(organization, path, "GET", schema, (request) => request.get());

  return {
    get,
    find: (organization, path, schema) => get(organization, path, schema).catch(undefinedIfNotFound),
    async list<T>(organization: string, path: string, schema: z.ZodType<T>): Promise<T[]> {
      const all: T[] = [];
      let next: string | undefined = path;
      for (let pages = 0; next !== undefined; pages++) {
        const page: z.output<typeof pageSchema> = await get(organization, next, pageSchema);
        all.push(...page.value.map((item) => parsedItem(schema, item, pathOf(path, endpoint))));
        next = page["@odata.nextLink"];
        if (pages === MOST_PAGES || (next !== undefined && new URL(next).origin !== new URL(endpoint).origin))
          throw new ControlPlaneError(
            "GraphAnswerMalformed",
            `GET ${pathOf(path, endpoint)}: the answer continues elsewhere or without end`,
            502,
          );
      }
      return all;
    },
    post: (organization, path, body, schema) => call(organization, path, "POST", schema, (request) => request.post(body)),
    patch: (organization, path, body, schema, headers = {}) =>
      call(organization, path, "PATCH", schema, (request) => request.headers(headers).patch(body)),
    delete: async (organization, path) => {
      await call(organization, path, "DELETE", nothing, (request) => request.delete()).catch(undefinedIfNotFound);
    },
  };
}

/** A throttled request did nothing; a read may be repeated whatever happened. */
function repeatable(response: Response, method: string | undefined): boolean {
  const wait = Number(response.headers.get("retry-after") ?? "0");
  return wait <= SHORT_WAIT_IN_SECONDS && (response.status === 429 || method === "GET");
}

/** Whether a write may have taken effect although it failed: no answer came, or one that leaves it open (500, 502, 504). */
export function mayHaveHappened(error: unknown): boolean {
  if (!(error instanceof ControlPlaneError) || error.code === "GraphUnreachable") return true;
  const { data } = graphErrorSchema.safeParse(error.cause);
  return data !== undefined && [500, 502, 504].includes(data.statusCode);
}

const graphErrorSchema = z.object({
  statusCode: z.number(),
  code: z.string().nullish(),
  message: z.string(),
  headers: z.instanceof(Headers).optional().catch(undefined),
});

function graphFailure(doing: string, cause: unknown): ControlPlaneError {
  const parsed = graphErrorSchema.safeParse(cause);
  const { statusCode, code, message, headers } = parsed.success
    ? parsed.data
    : { statusCode: -1, code: undefined, message: String(cause), headers: undefined };
  const failed = (ours: string, status: number, transient: boolean, phrase: string): ControlPlaneError =>
    new ControlPlaneError(ours, `${doing}: ${phrase}`, status, transient, {
      cause,
      retryAfterInSeconds: headers && retryAfterOf(headers),
      ...(code ? { details: [{ code, message }] } : {}),
    });
  // The SDK gives -1 when no answer came at all.
  if (statusCode < 0) return failed("GraphUnreachable", 503, true, "Microsoft Graph does not answer");
  if (statusCode === 429 || statusCode >= 500) return failed("GraphBusy", 503, true, "Microsoft Graph asks to wait");
  // A 404 without an error object is a wrong address, which is no evidence of absence.
  if (statusCode === 404 && code) return failed("GraphNotFound", 404, false, "Microsoft Graph knows no such object");
  if (statusCode === 403)
    return failed("ConsentRequired", 403, false, `a permission is missing that admin consent gives (${code ?? "no code"})`);
  if (statusCode === 401) return failed("GraphUnauthorized", 502, false, "Microsoft Graph refused our token");
  if (statusCode === 409 || /already exist|being assigned already/i.test(message))
    return failed("GraphObjectExists", 409, false, "Microsoft Graph already has this object");
  if (statusCode === 410) return failed("GraphStateGone", 410, false, "Microsoft Graph no longer knows where we were");
  if (statusCode === 412) return failed("GraphChangedMeanwhile", 409, true, "the object was changed meanwhile");
  return failed("GraphRefused", 502, false, `Microsoft Graph refused (${code ?? statusCode}): ${message}`);
}

function undefinedIfNotFound(error: unknown): undefined {
  if (error instanceof ControlPlaneError && error.code === "GraphNotFound") return undefined;
  throw error;
}

function parsedItem<T>(schema: z.ZodType<T>, item: unknown, path: string): T {
  const parsed = schema.safeParse(item);
  if (parsed.success) return parsed.data;
  throw new ControlPlaneError("GraphAnswerMalformed", `GET ${path}: an object lacks what every one has`, 502, false, {
    cause: parsed.error,
  });
}

/** Without the query: page links carry tokens that change from run to run. */
const pathOf = (path: string, endpoint: string): string => path.replace(endpoint, "").replace(/\?.*$/s, "");

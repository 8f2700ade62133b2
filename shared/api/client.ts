/** The API's typed client, made from the route table: what compiles is what the API takes. */
import type * as z from "zod";
import { errorResponseSchema } from "./error.ts";
import type { ErrorDetail } from "../errors.ts";
import type { Route } from "./route.ts";
import { apiVersion, type RouteName, type Routes, routes } from "./routes.ts";

type Given<Part> = Part extends z.ZodType ? z.input<Part> : never;
type Inputs<Defined> = (Defined extends { params: infer Params } ? Given<Params> : unknown) &
  (Defined extends { query: infer Query } ? Given<Query> : unknown) &
  (Defined extends { body: infer Body }
    ? Defined extends { bodyOptional: true }
      ? { body?: Given<Body> }
      : { body: Given<Body> }
    : unknown);

type BodyOf<Answers> = {
  [Status in keyof Answers]: Answers[Status] extends z.ZodType ? z.output<Answers[Status]> : string;
}[keyof Answers];

export interface ClientAnswer<Body> {
  status: number;
  body: Body;
  etag: string | undefined;
  headers: Headers;
}

export interface CallOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** One method a route: path parameters, query parameters and `body` in one object. */
export type ApiClient = {
  [Name in RouteName]: (
    input: Inputs<Routes[Name]>,
    options?: CallOptions,
  ) => Promise<ClientAnswer<BodyOf<Routes[Name]["answers"]>>>;
};

/** The API's refusal, as the error object says it. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: ErrorDetail[];
  readonly requestId: string | undefined;

  constructor(status: number, { code, message, details }: ErrorDetail, requestId: string | undefined) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details ?? [];
    this.requestId = requestId;
  }
}

export interface ClientOptions {
  /** Base URL without a slash at its end, such as `https://gatehouse.example`. */
  baseUrl: string;
  /** A valid access token for the API; asked before each call. */
  token?: () => Promise<string> | string;
}

export function createClient({ baseUrl, token }: ClientOptions): ApiClient {
  const call = async (route: Route, input: Record<string, unknown>, { headers, signal }: CallOptions) => {
    const url = new URL(baseUrl + route.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(input[name]))));
    if (route.versioned !== false) url.searchParams.set("api-version", apiVersion);
    for (const name of Object.keys(route.query?.shape ?? {})) {
      const value = input[name];
      if (typeof value === "string" || typeof value === "number") url.searchParams.set(name, String(value));
    }
    const response = await fetch(url, {
      method: route.method,
      headers: {
        ...(input.body === undefined ? {} : { "content-type": "application/json" }),
        ...(token && route.roles !== "anyone" ? { authorization: `Bearer ${await token()}` } : {}),
        ...headers,
      },
      ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
      ...(signal ? { signal } : {}),
    });
    return {
      status: response.status,
      body: await readBody(route, response),
      etag: response.headers.get("etag") ?? undefined,
      headers: response.headers,
    };
  };
  const methods = Object.entries(routes).map(([name, route]) => [
    name,
    (input: Record<string, unknown>, options: CallOptions = {}) => call(route, input, options),
  ]);
  return Object.fromEntries(methods) as ApiClient;
}

async function readBody(route: Route, response: Response): Promise<unknown> {
  const text = await response.text();
  const shape = (route.answers as Record<number, z.ZodType | string | undefined>)[response.status];
  if (shape === "html" || shape === "bytes" || shape === "empty") return text;
  const requestId = response.headers.get("x-ms-request-id") ?? undefined;
  const json = parseJson(text);
  if (shape === undefined || typeof shape === "string") {
    const refused = errorResponseSchema.safeParse(json);
    const detail = refused.success
      ? refused.data.error
      : { code: "Unknown", message: `unexpected answer with status ${response.status}` };
    throw new ApiError(response.status, detail, requestId);
  }
  return shape.parse(json);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // an answer that isn't JSON has nothing to tell beyond its status
  }
}

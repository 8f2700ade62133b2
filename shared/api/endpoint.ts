/** The edge of the API: knows the caller, reads the request, turns errors into the API's error object; handlers tell only the good story. */
import type { HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type * as z from "zod";
import { ControlPlaneError, detailOf, isTransient } from "../errors.ts";
import type { OperationRecord } from "../stores/operations.ts";
import { type AuditedCall, auditedCall, changesSomething } from "./audited.ts";
import type { Caller, MachineCaller, OperatorCaller, PartnerCaller } from "./authentication.ts";
import { operationBody } from "./bodies.ts";
import { catalogued, refusal } from "./error-codes.ts";
import { holds, parseCondition, strongETag } from "./etag.ts";
import { htmlHeaders, htmlPage } from "./html.ts";
import { parseApiVersion, parseBody, parsePart } from "./request.ts";
import type { Route } from "./route.ts";
import { apiVersion as newestVersion, type RouteName, type Routes, routes } from "./routes.ts";
import type { ApiWorld } from "./world.ts";

type Read<Part> = Part extends z.ZodType ? z.output<Part> : Record<string, never>;
type PartOf<Defined, Name extends keyof Route> = Defined extends Record<Name, infer Part> ? Read<Part> : Record<string, never>;
type CallerOf<Defined extends Route> = Defined["roles"] extends readonly ["Partner"]
  ? PartnerCaller
  : Defined["roles"] extends readonly ["Operator"]
    ? OperatorCaller
    : Defined["roles"] extends readonly ["Machine"]
      ? MachineCaller
      : Defined["roles"] extends "anyone"
        ? undefined
        : Caller;

/** A request as its route describes it: everything in it has been read and checked. */
export interface Call<Name extends RouteName> {
  caller: CallerOf<Routes[Name]>;
  params: PartOf<Routes[Name], "params">;
  query: PartOf<Routes[Name], "query">;
  /** Keys in lower case. */
  headers: PartOf<Routes[Name], "headers">;
  body: PartOf<Routes[Name], "body">;
  /** Absolute, as the caller knows it. */
  url: URL;
  requestId: string;
  /** Throws PreconditionFailed unless If-Match and If-None-Match hold for the stored ETag; `undefined` stands for absent. */
  checkConditions: (storedETag: string | undefined) => void;
  /** Whether a GET's If-None-Match names this version: then an answer with its ETag alone will do. */
  isKnown: (etag: string) => boolean;
}

type BodyOf<Answers> = {
  [Status in keyof Answers]: Answers[Status] extends z.ZodType
    ? z.input<Answers[Status]>
    : Answers[Status] extends "bytes"
      ? Uint8Array
      : string;
}[keyof Answers];

export interface Answer<Name extends RouteName> {
  /** 200 when left out. */
  status?: keyof Routes[Name]["answers"] & number;
  body?: BodyOf<Routes[Name]["answers"]>;
  /** As the store gave it; it is re-encoded here. */
  etag?: string;
  headers?: Record<string, string>;
}

export type Handler<Name extends RouteName> = (
  call: Call<Name>,
  context: InvocationContext,
) => Promise<Answer<Name>> | Answer<Name>;

/** A handler for the host: authenticates, authorises, reads, calls, answers. */
export const endpoint =
  <Name extends RouteName>(name: Name, world: ApiWorld, handler: Handler<NoInfer<Name>>) =>
  async (request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> => {
    const route: Route = routes[name];
    const requestId = context.invocationId;
    const log = world.log.with({ route: name, requestId, ...traceOf(request) });
    try {
      const caller = route.roles === "anyone" ? undefined : await authorise(world, route.roles, request);
      if (route.versioned !== false) parseApiVersion(request.query);
      const ifMatch = parseCondition(request.headers.get("if-match"));
      const ifNoneMatch = parseCondition(request.headers.get("if-none-match"));
      const call = {
        caller,
        ...(await parseRequest(route, request)),
        url: urlOf(world, request),
        requestId,
        checkConditions: (stored: string | undefined) => {
          if (ifMatch !== undefined && !holds(ifMatch, stored))
            throw refusal("PreconditionFailed", "If-Match does not hold for the current version", { target: "If-Match" });
          if (ifNoneMatch !== undefined && holds(ifNoneMatch, stored))
            throw refusal("PreconditionFailed", "If-None-Match does not hold for the current version", {
              target: "If-None-Match",
            });
        },
        isKnown: (etag: string) => ifNoneMatch !== undefined && holds(ifNoneMatch, etag),
      };
      // The route's entry says what each part is, and parseRequest has just read it so; the compiler can't follow that through the table.
      const carryOut = async (): Promise<Answer<Name>> => handler(call as unknown as Call<Name>, context);
      const answer = changesSomething(route)
        ? await auditedCall({ stores: world.stores, log }, name, call as unknown as AuditedCall, carryOut)
        : await carryOut();
      if (request.method === "GET" && ifNoneMatch !== undefined && holds(ifNoneMatch, answer.etag)) {
        return { status: 304, headers: { ...commonHeaders(requestId), ...etagHeader(answer.etag) } };
      }
      return written(route, answer, requestId);
    } catch (error) {
      return refusedAnswer(world, route, error, requestId, (message, cause) => log.error(message, { error: cause }));
    }
  };

/** Headers of a 202: where the operation's status is, and when to look. */
export const operationHeaders = (
  world: ApiWorld,
  operationId: string,
  apiVersion: string,
  retryAfterInSeconds: number,
): Record<string, string> => ({
  "operation-location": `${world.settings.publicUrl}/api/operations/${encodeURIComponent(operationId)}?api-version=${apiVersion}`,
  "retry-after": String(retryAfterInSeconds),
});

const POLL_AFTER_IN_SECONDS = 1;

/** The answer to whoever asked for an operation. */
export const accepted = (world: ApiWorld, operation: OperationRecord) => ({
  status: 202 as const,
  body: operationBody(operation, world.settings.publicUrl),
  headers: operationHeaders(world, operation.id, newestVersion, POLL_AFTER_IN_SECONDS),
});

async function authorise(world: ApiWorld, roles: readonly string[], request: HttpRequest): Promise<Caller | MachineCaller> {
  const authorization = request.headers.get("authorization");
  const caller = await (roles.includes("Machine")
    ? world.authenticate(authorization, "Machine")
    : world.authenticate(authorization));
  if (!roles.includes(caller.role))
    throw refusal("RoleRequired", `this call is for the role ${roles.join(" or ")}, not for ${caller.role}`);
  return caller;
}

async function parseRequest(route: Route, request: HttpRequest) {
  const query = Object.fromEntries([...request.query].filter(([name]) => route.versioned === false || name !== "api-version"));
  const headers = Object.fromEntries(
    Object.keys(route.headers?.shape ?? {}).map((name) => [name, request.headers.get(name) ?? undefined]),
  );
  return {
    params: parsePart(route.params, { ...request.params }, "the path"),
    query: parsePart(route.query, query, "the query"),
    headers: parsePart(route.headers, headers, "the headers"),
    body: route.body === undefined ? {} : await parseBody(route.body, request, route.bodyOptional === true),
  };
}

/** The host knows itself by an inner address; links have to carry the public one. */
function urlOf({ settings }: ApiWorld, request: HttpRequest): URL {
  const { pathname, search } = new URL(request.url);
  return new URL(settings.publicUrl + pathname + search);
}

function written<Name extends RouteName>(
  route: Route,
  { status = 200 as never, body, etag, headers }: Answer<Name>,
  requestId: string,
): HttpResponseInit {
  const common = { ...commonHeaders(requestId), ...etagHeader(etag), ...headers };
  const shape = (route.answers as Record<number, unknown>)[status];
  if (shape === "bytes") return { status, headers: common, body: body as Uint8Array };
  if (shape === "html") return { status, headers: { ...common, ...htmlHeaders }, body: String(body) };
  if (shape === "empty") return { status, headers: common };
  return { status, headers: { ...common, "content-type": "application/json" }, body: JSON.stringify(body) };
}

function refusedAnswer(
  { settings }: ApiWorld,
  route: Route,
  error: unknown,
  requestId: string,
  report: (message: string, error: unknown) => void,
): HttpResponseInit {
  const shown = catalogue(error);
  if (shown !== error) report("a request failed on our side", error);
  const { code, status, message, retryAfterInSeconds } = shown;
  const headers = {
    ...commonHeaders(requestId),
    "x-ms-error-code": code,
    ...(status === 401 ? { "www-authenticate": challenge(settings, message) } : {}),
    ...(status === 503 || retryAfterInSeconds !== undefined ? { "retry-after": String(retryAfterInSeconds ?? 5) } : {}),
  };
  if (Object.values(route.answers).includes("html"))
    return { status, headers: { ...headers, ...htmlHeaders }, body: htmlPage("This did not work", [`${message}.`]) };
  return {
    status,
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ error: detailOf(shown) }),
  };
}

/** Errors of the catalogue go out as they are; any other stays inside, and the caller learns only whether trying again can help. */
function catalogue(error: unknown): ControlPlaneError {
  if (error instanceof ControlPlaneError) {
    if (catalogued(error.code)) return error;
    if (error.transient) return unavailable(error, error.retryAfterInSeconds);
  } else if (isTransient(error)) return unavailable(error);
  return refusal("InternalServerError", "something went wrong on our side", { cause: error });
}

const unavailable = (cause: Error, retryAfterInSeconds?: number): ControlPlaneError =>
  refusal("ServiceUnavailable", "something that this call depends on does not answer at the moment", {
    cause,
    retryAfterInSeconds,
  });

const commonHeaders = (requestId: string): Record<string, string> => ({
  "x-ms-request-id": requestId,
  "cache-control": "private, no-cache",
  "x-content-type-options": "nosniff",
});

const etagHeader = (etag: string | undefined): Record<string, string> => (etag === undefined ? {} : { etag: strongETag(etag) });

const challenge = ({ authorityHost, applicationId }: ApiWorld["settings"], message: string): string =>
  `Bearer authorization_uri="${authorityHost}/common/oauth2/v2.0/authorize", resource_id="${applicationId}", error="invalid_token", error_description="${message}"`;

/** W3C trace context: `00-<trace id>-<parent id>-<flags>`. */
function traceOf(request: HttpRequest): { traceId?: string } {
  const traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(request.headers.get("traceparent") ?? "")?.[1];
  return traceId === undefined ? {} : { traceId };
}

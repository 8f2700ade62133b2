/** HTTP functions: finds the one a request is for, in the real host's order, and calls it. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { FunctionsSystemError } from "./functions-core.ts";
import type { Binding, FunctionApp, HttpData, RegisteredFunction, RpcCookie, TypedData } from "./functions-core.ts";
import { readBody, reply } from "./http-server.ts";
import type { Respond } from "./http-server.ts";
import { InvocationFailure, invoke } from "./invocation.ts";
import { keyOf } from "./keys.ts";
import type { AccessLevel, Authorization } from "./keys.ts";
import { matchTemplate, overlap, parseTemplate } from "./route-template.ts";
import type { RouteTemplate } from "./route-template.ts";

interface Route {
  httpFunction: RegisteredFunction;
  template: RouteTemplate;
  methods: string[];
  level: AccessLevel;
}

export interface HttpTriggerOptions {
  app: FunctionApp;
  functions: RegisteredFunction[];
  routePrefix: string;
  authorization: Authorization;
  input: (binding: Binding) => TypedData | undefined;
}

/** @throws FunctionsSystemError if two templates overlap for a method */
export function createHttpTrigger({ app, functions, routePrefix, authorization, input }: HttpTriggerOptions): Respond {
  const routes = routesOf(functions, routePrefix);
  refuseOverlaps(routes);

  return async (request, response) => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "localhost"}`);
    const path = url.pathname.split("/").filter(Boolean).map(decoded);
    for (const { httpFunction, template, methods, level } of routes) {
      const parameters = methods.includes(request.method ?? "") ? matchTemplate(template, path) : undefined;
      if (!parameters) continue;
      if (!authorization.mayCall(httpFunction.name, level, keyOf(request, url))) return reply(response, 401);
      return call(httpFunction, request, response, url, parameters);
    }
    // The host knows no 405: a method that no function has is a path that no function has.
    reply(response, 404);
  };

  async function call(
    httpFunction: RegisteredFunction,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    parameters: Record<string, string>,
  ): Promise<void> {
    try {
      const { returnValue } = await invoke(app, httpFunction, { http: await requestData(request, url, parameters) }, { input });
      send(response, returnValue?.http);
    } catch (error) {
      const cause = error instanceof InvocationFailure ? error.error : (error as Error);
      const { name } = httpFunction;
      app.log({ level: "error", category: `Function.${name}`, functionName: name, message: cause.stack ?? cause.message });
      if (response.headersSent) response.destroy();
      else reply(response, 500);
    }
  }
}

/** The host sorts functions by name and takes the first template that matches (FunctionMetadataManager.cs); it knows no precedence. */
function routesOf(functions: RegisteredFunction[], routePrefix: string): Route[] {
  const byName = functions.toSorted((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  return byName.map((httpFunction) => {
    const { route, methods, authLevel } = httpFunction.trigger;
    const own = typeof route === "string" ? route : httpFunction.name;
    // With any prefix before it, and for `administration` as well.
    if (/^\/*(?:admin|runtime(?:\/|$))/iu.test(own)) {
      const why = "The specified route conflicts with one or more built in routes.";
      throw new FunctionsSystemError(`function '${httpFunction.name}' has the route '${own}': ${why}`);
    }
    return {
      level: ((authLevel as string | undefined) ?? "anonymous").toLowerCase() as AccessLevel,
      httpFunction,
      template: parseTemplate(`${routePrefix}/${own}`),
      methods: ((methods as string[] | undefined) ?? ["GET", "POST"]).map((method) => method.toUpperCase()),
    };
  });
}

function refuseOverlaps(routes: Route[]): void {
  for (const [index, a] of routes.entries()) {
    for (const b of routes.slice(index + 1)) {
      const method = a.methods.find((each) => b.methods.includes(each));
      if (method === undefined || !overlap(a.template, b.template)) continue;
      throw new FunctionsSystemError(
        `${method} '${a.template.text}' of function '${a.httpFunction.name}' and '${b.template.text}' of '${b.httpFunction.name}' overlap: ` +
          "in Azure the functions' names would decide which one answers",
      );
    }
  }
}

async function requestData(request: IncomingMessage, url: URL, parameters: Record<string, string>): Promise<HttpData> {
  // The real host reads no other body (GrpcMessageConversionExtensions.cs): a chunked one arrives empty.
  const body = Number(request.headers["content-length"] ?? 0) > 0 ? await readBody(request) : undefined;
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(",") : (value ?? ""),
  ]);
  const query = [...new Set(url.searchParams.keys())].map((name) => [name, url.searchParams.getAll(name).join(",")]);
  return {
    method: request.method ?? "GET",
    url: url.href,
    nullableHeaders: nullable(headers),
    nullableParams: nullable(Object.entries(parameters)),
    nullableQuery: nullable(query),
    ...(body ? { body: { bytes: body } } : {}),
  };
}

const nullable = (entries: string[][]): Record<string, { value: string }> =>
  Object.fromEntries(entries.map(([name = "", value = ""]) => [name, { value }]));

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function send(response: ServerResponse, data: HttpData | undefined): void {
  if (!data) return reply(response, 204); // a function that returned nothing
  const cookies = data.cookies ?? [];
  if (cookies.length > 0) response.setHeader("set-cookie", cookies.map(setCookie));
  reply(response, Number(data.statusCode ?? 200), Buffer.from(data.body?.bytes ?? data.body?.string ?? ""), data.headers ?? {});
}

const SAME_SITE: Record<string, string> = { lax: "Lax", strict: "Strict", explicitNone: "None" };

function setCookie({ name, value, maxAge, domain, path, expires, httpOnly, secure, sameSite = "" }: RpcCookie): string {
  const attributes = [
    `${name}=${encodeURIComponent(value)}`,
    maxAge && `Max-Age=${maxAge.value}`,
    domain && `Domain=${domain.value}`,
    path && `Path=${path.value}`,
    expires && `Expires=${new Date(expires.value.seconds * 1000).toUTCString()}`,
    httpOnly?.value && "HttpOnly",
    secure?.value && "Secure",
    SAME_SITE[sameSite] && `SameSite=${SAME_SITE[sameSite]}`,
  ];
  return attributes.filter(Boolean).join("; ");
}

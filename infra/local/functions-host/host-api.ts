/**
 * The host's own part of HTTP: `admin/…` and the Durable extension's webhooks, which ask for keys on the app's address; on loopback, where the
 * extension has its RPC endpoint, the same without keys (azure-functions-host, HostController.cs and FunctionsController.cs).
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Administration } from "./administration.ts";
import type { DurableReply, DurableRequest } from "./durable-http.ts";
import { jsonReply, readBody } from "./http-server.ts";
import { DURABLE_KEY, keyOf } from "./keys.ts";
import type { Authorization } from "./keys.ts";

export interface HostApiOptions {
  durableApi: (request: DurableRequest) => DurableReply;
  administration: Administration;
  authorization: Authorization;
}

export interface HostApi {
  /** @returns whether the request was the host's own, and is answered */
  respondOnAppAddress(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  respondOnLoopback(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

const UNAUTHORIZED: DurableReply = { status: 401 };
const NOT_FOUND: DurableReply = { status: 404 };

export function createHostApi({ durableApi, administration, authorization }: HostApiOptions): HostApi {
  function durable(request: IncomingMessage, url: URL, path: string, body: string): DurableReply {
    const token = request.headers["x-ms-continuation-token"];
    const continuationToken = typeof token === "string" ? token : undefined;
    return durableApi({ method: request.method ?? "GET", path, query: url.searchParams, continuationToken, body });
  }

  function administer(method: string, path: string, body: string): DurableReply {
    const [, kind, name] = /^(functions|host)(?:\/([^/]+))?$/u.exec(path) ?? [];
    const asked = `${method} ${kind}`;
    if (asked === "POST functions" && name) return administration.invoke(decodeURIComponent(name), body);
    if (asked === "GET functions") return administration.show(name && decodeURIComponent(name));
    if (asked === "GET host" && name === "status") return administration.status();
    return NOT_FOUND;
  }

  return {
    async respondOnAppAddress(request, response) {
      const url = urlOf(request);
      const key = keyOf(request, url);
      const answer = (body: string): DurableReply | undefined => {
        const webhook = pathBelow("/runtime/webhooks/durabletask/", url);
        if (webhook !== undefined)
          return authorization.mayCallWebhook(DURABLE_KEY, key) ? durable(request, url, webhook, body) : UNAUTHORIZED;
        const path = pathBelow("/admin/", url);
        // A ping says only that somebody is there.
        if (path === "host/ping") return { status: 200 };
        if (path === undefined) return undefined;
        return authorization.mayAdminister(key) ? administer(request.method ?? "GET", path, body) : UNAUTHORIZED;
      };
      if (!/^\/(?:admin|runtime)\//u.test(url.pathname)) return false;
      send(response, answer((await readBody(request)).toString()) ?? NOT_FOUND);
      return true;
    },

    async respondOnLoopback(request, response) {
      const url = urlOf(request);
      const body = (await readBody(request)).toString();
      const path = pathBelow("/durabletask/", url) ?? pathBelow("/runtime/webhooks/durabletask/", url);
      const admin = pathBelow("/admin/", url);
      if (path !== undefined) send(response, durable(request, url, path, body));
      else send(response, admin === undefined ? NOT_FOUND : administer(request.method ?? "GET", admin, body));
    },
  };
}

const send = (response: ServerResponse, { status, body, headers }: DurableReply): void =>
  jsonReply(response, status, body, headers);

const urlOf = ({ url = "/" }: IncomingMessage): URL => new URL(url, "http://localhost");

const pathBelow = (base: string, { pathname }: URL): string | undefined =>
  pathname.toLowerCase().startsWith(base) ? pathname.slice(base.length) : undefined;

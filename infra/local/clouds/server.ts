/** The doors of the simulated clouds: one HTTP or HTTPS listener each, that parses, applies faults, answers and records. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { actsFirst, answerInstead, spoilt } from "./fault-answers.ts";
import type { Fault, Faults } from "./faults.ts";
import type { RequestRecord } from "./record.ts";
import type { SimulatedRequest, SimulatedResponse, Simulator } from "./simulator.ts";

/** A client's patience is shorter, mostly. */
const LONGEST_SILENCE_IN_MILLISECONDS = 600_000;

export interface Listener {
  /** Scheme, address and port, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Requests that came before wait until there is somebody to answer. */
  serve(answer: Answer): void;
  close(): Promise<void>;
}

/** Answers one request; undefined when the connection was destroyed instead. */
export type Answer = (request: SimulatedRequest, cut: () => void) => Promise<SimulatedResponse | undefined>;

/** Listens on a port of 127.0.0.1, 0 for any. With a certificate it is HTTPS. */
export async function listen(port: number, tls?: { certificate: string; key: string }): Promise<Listener> {
  const scheme = tls ? "https" : "http";
  const waiting = Promise.withResolvers<Answer>();
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    void (async () => {
      const request = await read(incoming, scheme);
      const answer = await waiting.promise;
      const response = await answer(request, () => void incoming.socket.destroy());
      if (response) write(outgoing, incoming.method, response);
    })().catch(() => incoming.socket.destroy());
  };
  // Clients keep connections for longer than Node's default of 5 s; a close in between would look like a fault that nobody asked for.
  const options = { keepAliveTimeout: 120_000 };
  const server: Server = tls
    ? createHttpsServer({ ...options, cert: tls.certificate, key: tls.key }, onRequest)
    : createHttpServer(options, onRequest);
  const bound = await bind(server, port);
  return {
    url: `${scheme}://127.0.0.1:${bound}`,
    port: bound,
    serve: waiting.resolve,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function bind(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const message =
        cause.code === "EADDRINUSE"
          ? `port ${port} of an earlier start is taken by another program; end it, or forget the earlier state`
          : `listening on port ${port}`;
      reject(new Error(message, { cause }));
    });
    server.listen(port, "127.0.0.1", () => {
      const address: AddressInfo | string | null = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

async function read(incoming: IncomingMessage, scheme: string): Promise<SimulatedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    method: incoming.method ?? "GET",
    // Not `new URL(path, base)`: a path that begins with two slashes, as some SDKs send it, would be taken for a host.
    url: new URL(`${scheme}://${headers["host"] ?? "127.0.0.1"}${incoming.url ?? "/"}`),
    headers,
    body: parse(text, headers["content-type"] ?? ""),
    text,
  };
}

function parse(text: string, contentType: string): unknown {
  if (text === "") return undefined;
  if (contentType.includes("application/x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(text));
  if (!/[/+]json\b/.test(contentType)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function write(outgoing: ServerResponse, method: string | undefined, { status, headers = {}, body }: SimulatedResponse): void {
  const json = body !== undefined && typeof body !== "string";
  const text = json ? JSON.stringify(body) : (body ?? "");
  const named = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value);
  if (text !== "" && !named.has("content-type"))
    outgoing.setHeader("content-type", json ? "application/json; charset=utf-8" : "text/plain; charset=utf-8");
  outgoing.statusCode = status;
  if (method === "HEAD" || status === 204 || status === 304) {
    outgoing.end();
    return;
  }
  outgoing.setHeader("content-length", Buffer.byteLength(text));
  outgoing.end(text);
}

export interface Recording {
  faults: Faults;
  record: RequestRecord;
  now: () => number;
}

/** A simulator behind its faults and its record. */
export const recorded =
  (simulator: Simulator, { faults, record, now }: Recording): Answer =>
  async (request, cut) => {
    const at = new Date(now()).toISOString();
    const fault = faults.take(simulator.name, {
      method: request.method,
      path: request.url.pathname + request.url.search,
      cmdlet: cmdletOf(request),
    });
    const outcome = await respond({ simulator, faults, now }, request, fault);
    const tenant = tenantOf(request);
    record.add({
      at,
      cloud: simulator.name,
      method: request.method,
      url: request.url.href,
      ...(tenant === undefined ? {} : { tenant }),
      requestBody: request.body ?? (request.text === "" ? undefined : request.text),
      status: outcome?.status ?? 0,
      responseBody: outcome?.body,
      responseHeaders: outcome?.headers ?? {},
      effect: outcome?.effect ?? "none",
      ...(fault ? { fault: fault.kind } : {}),
    });
    if (fault?.kind === "timeout-before-effect" || fault?.kind === "timeout-after-effect") {
      setTimeout(cut, fault.milliseconds ?? LONGEST_SILENCE_IN_MILLISECONDS).unref();
      return undefined;
    }
    if (outcome && fault?.kind !== "cut-after-effect") return outcome;
    cut();
    return undefined;
  };

interface Answering {
  simulator: Simulator;
  faults: Faults;
  now: () => number;
}

/** Undefined when the cloud wasn't asked and nothing is answered. */
async function respond(
  { simulator, faults, now }: Answering,
  request: SimulatedRequest,
  fault: Fault | undefined,
): Promise<SimulatedResponse | undefined> {
  if (fault?.kind === "cut-before-effect" || fault?.kind === "timeout-before-effect") return undefined;
  if (fault?.kind === "delay") await wait(fault.milliseconds ?? 1000);
  const instead = fault && answerInstead(fault, simulator.name, now());
  if (instead && !actsFirst(fault)) return instead;
  const answer = await answerOf(simulator, request);
  const { name } = simulator;
  const stale = fault?.kind === "stale-read" ? faults.reads.before(name, request, answer) : undefined;
  faults.reads.note(name, request, answer);
  if (instead) return { ...instead, effect: answer.effect ?? "none" };
  return stale ?? (fault ? spoilt(fault, answer) : answer);
}

async function answerOf(simulator: Simulator, request: SimulatedRequest): Promise<SimulatedResponse> {
  try {
    return await simulator.handle(request);
  } catch (error) {
    // A simulator's own mistake: loud here, and for the client what a cloud's own mistake looks like.
    process.stderr.write(
      `${simulator.name}: ${request.method} ${request.url.pathname} failed: ${error instanceof Error ? error.stack : String(error)}\n`,
    );
    return {
      status: 500,
      body: { error: { code: "InternalServerError", message: "An unexpected error occurred in the simulated cloud." } },
    };
  }
}

/** What the token says of itself, believed or not by the simulator: the record tells who asked. */
function tenantOf({ headers }: SimulatedRequest): string | undefined {
  const payload = /^Bearer [\w-]+\.([\w-]+)\./i.exec(headers["authorization"] ?? "")?.[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    const tid: unknown = typeof claims === "object" && claims !== null ? Reflect.get(claims, "tid") : undefined;
    return typeof tid === "string" ? tid : undefined;
  } catch {
    return undefined; // no token at all; the simulator refuses it
  }
}

/** Exchange Online's cmdlet, by the header that routes it, else by the body. */
function cmdletOf({ headers, body }: SimulatedRequest): string | undefined {
  if (headers["x-cmdletname"] !== undefined) return headers["x-cmdletname"];
  if (typeof body !== "object" || body === null || !("CmdletInput" in body)) return undefined;
  const input = body.CmdletInput;
  if (typeof input !== "object" || input === null || !("CmdletName" in input)) return undefined;
  return String(input.CmdletName);
}

/**
 * What the API's own code costs: answers a second of three routes, with token, validation and stores over memory, beside functions that only
 * answer the same JSON. In the process, through the same library; and over HTTP, beside a bare node:http server.
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import path from "node:path";
import { loadApp } from "../../infra/local/functions-host/app-loader.ts";
import { createApp, type FunctionApp, type HttpData } from "../../infra/local/functions-host/functions-core.ts";
import { clientBinding } from "../../infra/local/functions-host/durable-http.ts";
import { createHost } from "../../infra/local/functions-host/host.ts";
import { invoke, valueOf } from "../../infra/local/functions-host/invocation.ts";
import { beginOnboarding, type MeasuredWorld, makeWorld, TENANT } from "./api-world.ts";
import type { Load } from "./load.ts";
import { type BenchmarkOptions, inTurns, median, perSecond, type Print, ratios, row, spread } from "./rounds.ts";

const GOALS = { get: 0.85, post: 0.7 };
const CONNECTIONS = 32;
const directory = path.join(import.meta.dirname, "api-app");

/** Our route, what it is compared with, and what it is asked. */
const CASES = [
  { name: "GET a tenant", ours: "getTenant", idle: "idleGet", method: "GET", goal: GOALS.get },
  { name: "GET a list of ten", ours: "listTenants", idle: "idleList", method: "GET", goal: GOALS.get },
  { name: "POST an onboarding", ours: "startOnboarding", idle: "idlePost", method: "POST", goal: GOALS.post },
] as const;
type Case = (typeof CASES)[number];

export async function api({ print, brief }: BenchmarkOptions): Promise<void> {
  const measured = await makeWorld();
  await beginOnboarding(
    measured,
    createHash("sha256")
      .update(JSON.stringify({ tenantId: TENANT, body: {} }))
      .digest("hex"),
  );
  const app = createApp({ directory, log: () => undefined });
  await loadApp(app);
  const rounds = brief ? 1 : 9;
  try {
    await inProcess(measured, app, rounds, brief ? 10 : 500, print);
    await overHttp(measured, rounds, brief ? 64 : 800, print);
  } finally {
    await measured.stop();
  }
}

async function inProcess(measured: MeasuredWorld, app: FunctionApp, rounds: number, calls: number, print: Print): Promise<void> {
  print(`API: ${rounds} rounds of ${calls} calls each, in turns, in one process, by processor time; median (least–most)`);
  print(row(22, "", "answers/s", "idle function's", "ratio", "goal"));
  for (const each of CASES) {
    const question = { http: questionOf(measured, each) };
    const sample = valueOf((await ask(app, each.ours, question)).body ?? undefined);
    measured.sample[each.ours] = JSON.parse(String(sample));
    // Until the compiler has seen them as often as it likes to.
    for (const name of [each.ours, each.idle]) await perSecond(4 * calls, () => ask(app, name, question));
    const { ours, idle } = await inTurns(rounds, {
      ours: () => perSecond(calls, () => ask(app, each.ours, question)),
      idle: () => perSecond(calls, () => ask(app, each.idle, question)),
    });
    const goal = `>= ${each.goal.toFixed(2)}`;
    print(row(22, each.name, median(ours).toFixed(0), median(idle).toFixed(0), spread(ratios(ours, idle)), goal));
  }
}

async function ask(app: FunctionApp, name: string, question: { http: HttpData }): Promise<HttpData> {
  const called = app.functions.get(name);
  if (!called) throw new Error(`there is no function ${name}`);
  const { returnValue } = await invoke(app, called, question, { input: () => ({ string: DURABLE_CLIENT }) });
  const { statusCode = "", ...rest } = returnValue?.http ?? {};
  if (!statusCode.startsWith("2")) throw new Error(`${name} answered ${statusCode}: ${JSON.stringify(rest)}`);
  return returnValue?.http ?? {};
}

/** Nobody is at that address: an onboarding that runs already is not started again. */
const DURABLE_CLIENT = JSON.stringify(clientBinding("bench", "http://127.0.0.1:9/"));

const BODY = "{}";

const headersOf = ({ token, operationId }: MeasuredWorld, method: string): Record<string, string> => ({
  host: "gatehouse.example",
  authorization: `Bearer ${token}`,
  accept: "application/json",
  ...(method === "POST"
    ? { "content-type": "application/json", "content-length": String(BODY.length), "operation-id": operationId }
    : {}),
});

const VERSION = "2026-11-01";
const PATHS = {
  getTenant: `/api/tenants/${TENANT}`,
  listTenants: "/api/tenants",
  startOnboarding: `/api/tenants/${TENANT}/onboard`,
};

function questionOf(measured: MeasuredWorld, { ours, method }: Case): HttpData {
  const nullable = (values: Record<string, string>): Record<string, { value: string }> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));
  return {
    method,
    url: `https://gatehouse.example${PATHS[ours]}?api-version=${VERSION}`,
    nullableHeaders: nullable(headersOf(measured, method)),
    nullableParams: nullable(ours === "listTenants" ? {} : { tenantId: TENANT }),
    nullableQuery: nullable({ "api-version": VERSION }),
    ...(method === "POST" ? { body: { bytes: Buffer.from(BODY) } } : {}),
  };
}

async function overHttp(measured: MeasuredWorld, rounds: number, requests: number, print: Print): Promise<void> {
  const host = await createHost({ appDirectory: directory, stateFile: ":memory:", port: 0, log: () => undefined });
  const body = JSON.stringify(measured.sample.getTenant);
  const bare = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
  }).listen(0, "127.0.0.1");
  await once(bare, "listening");
  const client = fork(new URL("./load.ts", import.meta.url));
  const load = async (port: number, url: string): Promise<number> => {
    const lines = Object.entries(headersOf(measured, "GET")).map(([name, value]) => `${name}: ${value}\r\n`);
    const wanted: Load = { port, request: `GET ${url} HTTP/1.1\r\n${lines.join("")}\r\n`, connections: CONNECTIONS, requests };
    client.send(wanted);
    const [answered] = (await once(client, "message")) as [number];
    return answered;
  };
  try {
    const port = Number(new URL(host.url).port);
    const figures = await inTurns(rounds, {
      ours: () => load(port, `${PATHS.getTenant}?api-version=${VERSION}`),
      idle: () => load(port, "/idle/get"),
      bare: () => load((bare.address() as AddressInfo).port, "/"),
    });
    print("");
    print(`Over HTTP: GET a tenant, ${CONNECTIONS} connections, ${rounds} rounds of ${requests} requests`);
    print(row(22, "", "answers/s", "of bare node:http"));
    for (const [name, figure] of [
      ["our route in the local host", figures.ours],
      ["an idle function in the local host", figures.idle],
    ] as const)
      print(row(22, name, median(figure).toFixed(0), spread(ratios(figure, figures.bare))));
    print(row(22, "bare node:http, the same JSON", median(figures.bare).toFixed(0), "1"));
  } finally {
    client.disconnect();
    bare.closeAllConnections();
    bare.close();
    await host.stop();
  }
}

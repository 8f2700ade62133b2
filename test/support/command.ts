/** The real `npm start` for tests: a child process, what it prints, what it wrote down, and its API. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { ApiCredentials } from "../../infra/local/platform.ts";
import { throughRestarts, untilAnswered } from "../../infra/local/through-restarts.ts";
import { tokenSource } from "../../infra/local/tokens.ts";
import { type ApiClient, createClient } from "../../shared/api/client.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { OpenClouds } from "./estate.ts";

export interface Endpoints {
  api: string;
  control: string;
  ca: string;
  pids: { host: number; clouds: number; azurite: number; serviceBus: number };
  serviceBus: { connectionString: string; control: string };
  clients: ApiCredentials[];
}

export interface Command {
  readonly pid: number;
  /** Everything printed so far. */
  output(): string;
  /**
   * Resolves with the output when it has this; rejects when the command ends before. What is printed next may not be there yet:
   * a reader of it waits for it too.
   */
  untilPrinted(expected: string | RegExp): Promise<string>;
  /** Exit code. */
  readonly ended: Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
}

const start = join(import.meta.dirname, "../../infra/local/start.ts");

/** Ends with the test's process, or by itself. */
export function startCommand(...flags: string[]): Command {
  const child = spawn(process.execPath, [start, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let over = false;
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = once(child, "close").then(([code]) => {
    over = true;
    return code as number | null;
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    untilPrinted: async (expected) => {
      while (typeof expected === "string" ? !output.includes(expected) : !expected.test(output)) {
        if (over) throw new Error(`ended without having printed ${expected}:\n${output}`);
        await pause(50);
      }
      return output;
    },
    ended,
    signal: (signal) => void child.kill(signal),
  };
}

/** A command that ends by itself. */
export async function runCommand(...flags: string[]): Promise<{ code: number | null; output: string }> {
  const command = startCommand(...flags);
  return { code: await command.ended, output: command.output() };
}

/** Runs with a folder of its own, which goes afterwards. */
export async function withFolder<Result>(run: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-command-"));
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until the platform in this folder says where it is, and trusts its clouds. */
export async function endpointsOf(folder: string): Promise<Endpoints> {
  const file = join(folder, "endpoints.json");
  while (!existsSync(file)) await pause(50);
  const endpoints = JSON.parse(readFileSync(file, "utf8")) as Endpoints;
  setDefaultCACertificates([...getCACertificates("default"), readFileSync(endpoints.ca, "utf8")]);
  return endpoints;
}

/** Calls outlast a restart of the host. */
export function partnerOf({ api, clients }: Endpoints): ApiClient {
  const credentials = clients.find(({ role }) => role === "partner");
  if (!credentials) throw new Error("endpoints.json names no partner");
  return throughRestarts(createClient({ baseUrl: api, token: tokenSource(credentials) }));
}

/** From the control door. */
export const controlled = async <Answer>({ control }: Endpoints, path: string): Promise<Answer> =>
  (await untilAnswered(async () => (await fetch(`${control}${path}`)).json())) as Answer;

export const recordOf = async (endpoints: Endpoints, since = 0): Promise<Exchange[]> =>
  (await controlled<{ value: Exchange[] }>(endpoints, `/requests?since=${since}`)).value;

/** What the clouds recorded, as a stopped platform left it. */
export function recordLeftIn(folder: string): Exchange[] {
  const database = new DatabaseSync(join(folder, "clouds", "clouds.sqlite"), { readOnly: true });
  try {
    const rows = database.prepare("SELECT seq, json FROM requests ORDER BY seq").all();
    return rows.map(({ seq, json }) => ({ ...(JSON.parse(String(json)) as Exchange), seq: Number(seq) }));
  } finally {
    database.close();
  }
}

/** The simulated clouds' own database and door: nothing of the first comes through a door that redacts. */
export function openCloudsIn(folder: string, endpoints: Endpoints): OpenClouds & { close(): void } {
  const database = new DatabaseSync(join(folder, "clouds", "clouds.sqlite"), { readOnly: true });
  const documents = database.prepare("SELECT id, json FROM documents WHERE collection = ? ORDER BY rowid");
  const entriesOf = <T>(name: string) =>
    documents.all(name).map(({ id, json }): [string, T] => [String(id), JSON.parse(String(json)) as T]);
  return {
    state: (cloud) => controlled(endpoints, `/state/${cloud}`),
    platform: {
      collection: <T>(name: string) => ({
        entries: () => entriesOf<T>(name),
        values: () => entriesOf<T>(name).map(([, value]) => value),
      }),
    },
    close: () => database.close(),
  };
}

export interface NewCustomer {
  tenantId: string;
  spec: TenantSpec;
}

/** A customer nobody has seen before; its clouds belong to it alone. */
export function newCustomer(name: string): NewCustomer {
  const [organization, subscriptionId] = [randomUUID(), randomUUID()];
  const domain = `${name}.example`;
  return {
    tenantId: name,
    spec: tenantSpecSchema.parse({
      displayName: name,
      microsoft365: { tenantId: organization, domains: [domain], probeMailbox: `probe@${domain}` },
      pilot: { addresses: [`pilot@${domain}`] },
      azure: { tenantId: organization, subscriptionId },
      gateway: { regions: [{ name: "westeurope" }], services: { smtp: {} } },
    }),
  };
}

/** Whether a process of that id is there. */
export function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

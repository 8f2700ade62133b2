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

export interface Endpoints {
  api: string;
  control: string;
  ca: string;
  pids: { host: number; clouds: number; azurite: number; serviceBus: number };
  clients: ApiCredentials[];
}

export interface Command {
  readonly pid: number;
  /** Everything printed so far. */
  output(): string;
  /** Resolves with the output when it has this text; rejects when the command ends before. */
  untilPrinted(text: string): Promise<string>;
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
    untilPrinted: async (text) => {
      while (!output.includes(text)) {
        if (over) throw new Error(`ended without having printed "${text}":\n${output}`);
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

/** What the simulated clouds hold of one customer. */
export async function holdingsOf(endpoints: Endpoints, { microsoft365, azure }: TenantSpec) {
  type Named = { displayName: string };
  type Organization = {
    tenantId: string;
    inboundConnectors: unknown[];
    outboundConnectors: unknown[];
    transportRules: unknown[];
  };
  type Directory = { tenantId: string; applications: Named[]; servicePrincipals: Named[] };
  const { resources } = await controlled<{ resources: { id: string; type: string }[] }>(endpoints, "/state/arm");
  const { organizations } = await controlled<{ organizations: Organization[] }>(endpoints, "/state/exchange");
  const directories = Object.values(await controlled<Record<string, Directory>>(endpoints, "/state/graph"));
  const organization = organizations.find(({ tenantId }) => tenantId === microsoft365.tenantId);
  return {
    // Runs on the machine come and go: a rotation may be under way.
    azure: resources
      .filter(({ id, type }) => id.includes(azure.subscriptionId) && !type.endsWith("/runCommands"))
      .map(({ type }) => type)
      .toSorted(),
    inboundConnectors: organization?.inboundConnectors.length,
    outboundConnectors: organization?.outboundConnectors.length,
    transportRules: organization?.transportRules.length,
    applications: directories.find(({ tenantId }) => tenantId === microsoft365.tenantId)?.applications.length,
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
      gateway: { region: "westeurope", services: { smtp: {} } },
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

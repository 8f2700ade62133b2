/** The platform's processes, each with what it needs of the others: clouds, then Azurite, then the app in its host. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setDefaultCACertificates, getCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import type { CloudEnvironment } from "../../shared/environment.ts";
import { azuriteCommand, azuriteConnectionString, type AzuritePorts, freeAzuritePorts, freePorts, untilAzuriteAnswers } from "./azurite.ts";
import { readyLine, type RunningProcess, startProcess } from "./processes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const local = JSON.parse(readFileSync(new URL("./settings.json", import.meta.url), "utf8")) as {
  tempo: number;
  settings: Record<string, string>;
};

export interface PlatformOptions {
  data: string;
  fresh: boolean;
  port: number;
  /** Said to the person at the terminal. */
  say(line: string): void;
}

export interface ApiCredentials {
  role: "partner" | "operator";
  partnerId?: string;
  tenantId: string;
  tokenEndpoint: string;
  clientId: string;
  clientSecret: string;
  scope: string;
}

interface CloudsReady {
  environment: CloudEnvironment;
  entra: string;
  arm: string;
  graph: string;
  exchange: string;
  dns: string;
  platformVault: string;
  identity: { endpoint: string; header: string };
  control: string;
  ca: string;
  application: { homeTenantId: string; applicationId: string; managedIdentityClientId: string };
  clients: ApiCredentials[];
}

export interface LocalPlatform {
  api: string;
  control: string;
  clients: ApiCredentials[];
  stop(): Promise<void>;
}

export async function startPlatform({ data, fresh, port, say }: PlatformOptions): Promise<LocalPlatform> {
  const directory = resolve(data);
  const lock = lockDirectory(directory);
  if (fresh)
    for (const part of ["clouds", "azurite", "durable.sqlite", "durable.sqlite-wal", "durable.sqlite-shm", "ports.json", "logs"])
      rmSync(join(directory, part), { recursive: true, force: true });
  const logDirectory = join(directory, "logs");
  mkdirSync(logDirectory, { recursive: true });
  const running: RunningProcess<unknown>[] = [];
  const stop = async (): Promise<void> => {
    for (const one of running.reverse()) await one.stop();
    lock.close();
  };
  try {
    const common = { directory: root, logDirectory };
    const clouds = await startProcess<CloudsReady>({
      ...common,
      name: "clouds",
      command: ["infra/local/clouds/main.ts", "--data", join(directory, "clouds"), "--tempo", String(local.tempo)],
      ready: readyLine(),
    });
    running.push(clouds);
    trust(clouds.ready.ca);

    const ports = await stablePorts(directory);
    const azurite = await startProcess({
      ...common,
      name: "azurite",
      command: azuriteCommand(ports, join(directory, "azurite")),
      ready: () => untilAzuriteAnswers(ports),
      stopSignal: "SIGINT",
    });
    running.push(azurite);

    const storage = azuriteConnectionString(ports);
    const apiPort = port === 0 ? ((await freePorts(1))[0] ?? 0) : port;
    await requireFree(apiPort);
    const api = `http://127.0.0.1:${apiPort}`;
    const endpoints = () =>
      writeFileSync(
        join(directory, "endpoints.json"),
        `${JSON.stringify(endpointsOf(api, ports, clouds, azurite, host), null, 2)}\n`,
      );
    const host: RunningProcess<unknown> = await startProcess({
      ...common,
      name: "host",
      command: [
        "infra/local/functions-host/main.ts",
        "--app",
        root,
        "--port",
        String(apiPort),
        "--state",
        join(directory, "durable.sqlite"),
      ],
      environment: { ...settingsOf(clouds.ready, storage, api), NODE_EXTRA_CA_CERTS: clouds.ready.ca },
      ready: readyLine(),
      restart: (why) => say(`the app's host ended (${why}); starting it again, as Azure would`),
      restarted: () => endpoints(),
    });
    running.push(host);
    endpoints();
    return { api, control: clouds.ready.control, clients: clouds.ready.clients, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The app's settings here; in production the same names come from the deployed app's configuration. */
const settingsOf = (
  { environment, application, platformVault, identity }: CloudsReady,
  storage: string,
  api: string,
): Record<string, string> => ({
  ...local.settings,
  CLOUD_ENVIRONMENT: JSON.stringify(environment),
  APPLICATION_ID: application.applicationId,
  HOME_TENANT_ID: application.homeTenantId,
  MANAGED_IDENTITY_CLIENT_ID: application.managedIdentityClientId,
  STATE_STORAGE: storage,
  PLATFORM_VAULT_URL: platformVault,
  PUBLIC_URL: api,
  IDENTITY_ENDPOINT: identity.endpoint,
  IDENTITY_HEADER: identity.header,
});

function endpointsOf(
  api: string,
  ports: AzuritePorts,
  clouds: RunningProcess<CloudsReady>,
  azurite: RunningProcess<unknown>,
  host: RunningProcess<unknown>,
): object {
  const { entra, arm, graph, exchange, dns, control, ca, clients } = clouds.ready;
  return {
    api,
    openapi: `${api}/api/openapi.json`,
    entra,
    arm,
    graph,
    exchange,
    dns,
    tables: `http://127.0.0.1:${ports.table}/devstoreaccount1`,
    control,
    ca,
    pids: { host: host.pid, clouds: clouds.pid, azurite: azurite.pid },
    clients: clients.map(({ role, partnerId, tokenEndpoint, clientId, clientSecret, scope }) => ({
      role,
      ...(partnerId ? { partnerId } : {}),
      tokenEndpoint,
      clientId,
      clientSecret,
      scope,
    })),
  };
}

/** This process plays a browser and a partner: it has to trust the simulated clouds too. */
const trust = (certificateFile: string): void =>
  setDefaultCACertificates([...getCACertificates("default"), readFileSync(certificateFile, "utf8")]);

interface Ports {
  blob: number;
  queue: number;
  table: number;
}

/** Kept, so that a restart finds its state at the same addresses. */
async function stablePorts(directory: string): Promise<AzuritePorts> {
  const file = join(directory, "ports.json");
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AzuritePorts;
  } catch {
    const ports = await freeAzuritePorts();
    writeFileSync(file, JSON.stringify(ports));
    return ports;
  }
}

const requireFree = (port: number): Promise<void> =>
  new Promise((free, reject) => {
    const server = createServer();
    server.once("error", () =>
      reject(new Error(`port ${port} is in use; choose another with --port N, or --port 0 for any free one`)),
    );
    server.listen(port, "127.0.0.1", () => server.close(() => free()));
  });

/** A lock that ends with its process, however that ends. */
function lockDirectory(directory: string): DatabaseSync {
  mkdirSync(directory, { recursive: true });
  const lock = new DatabaseSync(join(directory, "lock.sqlite"));
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;");
    return lock;
  } catch {
    lock.close();
    throw new Error(`another Gatehouse works in ${directory}; stop it first, or give this one its own folder with --data DIR`);
  }
}

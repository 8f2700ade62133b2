/** The platform's processes, each with what it needs of the others: clouds, Azurite and the message broker, then the app in its host. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import type { CloudEnvironment } from "../../shared/environment.ts";
import { azuriteCommand, azuriteConnectionString, type AzuritePorts, untilAzuriteAnswers } from "./azurite.ts";
import { keepablePort, portIsFree } from "./ports.ts";
import { type ProcessOptions, readyLine, type RunningProcess, startProcess } from "./processes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const local = JSON.parse(readFileSync(new URL("./settings.json", import.meta.url), "utf8")) as {
  tempo: number;
  settings: Record<string, string>;
};

export interface PlatformOptions {
  data: string;
  fresh: boolean;
  port: number;
  tempo?: number;
  /** Of the app, instead of those of the same name in settings.json. */
  settings?: Record<string, string>;
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

interface ServiceBusReady {
  connectionString: string;
  control: string;
}

export interface LocalPlatform {
  api: string;
  control: string;
  clients: ApiCredentials[];
}

export interface Platform {
  /** Nothing is left running when it fails. */
  start(): Promise<LocalPlatform>;
  /** Writes endpoints.json, now and after each restart of a process: whoever waits for that file finds everything ready. */
  publish(): void;
  /** At any time, and more than once. */
  stop(): Promise<void>;
  /** Resolves when a process has crashed too often to go on. */
  readonly broken: Promise<Error>;
}

export function createPlatform({ data, fresh, port, tempo = local.tempo, settings, say }: PlatformOptions): Platform {
  const directory = resolve(data);
  const endpointsFile = join(directory, "endpoints.json");
  const running: RunningProcess<unknown>[] = [];
  const broken = Promise.withResolvers<Error>();
  let lock: DatabaseSync | undefined;
  let stopped: Promise<void> | undefined;
  let endpoints: (() => object) | undefined;
  let published = false;
  /** Something goes wrong with what an earlier run left behind, perhaps. */
  let keptState = false;

  const publish = (): void => {
    if (!endpoints) return;
    published = true;
    // In one step, because others may be reading it.
    writeFileSync(`${endpointsFile}.new`, `${JSON.stringify(endpoints(), null, 2)}\n`, { mode: 0o600 });
    renameSync(`${endpointsFile}.new`, endpointsFile);
  };

  const stop = (): Promise<void> => {
    // The app first, for it uses the others.
    stopped ??= (async () => {
      for (const one of running.toReversed()) await one.stop();
      lock?.close();
    })();
    return stopped;
  };

  const start = async (): Promise<LocalPlatform> => {
    lock = lockDirectory(directory);
    if (fresh) for (const part of STATE) rmSync(join(directory, part), { recursive: true, force: true });
    rmSync(endpointsFile, { force: true });
    const apiPort = port === 0 ? await keptApiPort(directory) : port;
    if (!(await portIsFree(apiPort)))
      throw new Error(`port ${apiPort} is in use; choose another with --port N, or --port 0 for any free one`);
    const ports = await keptPorts(directory);
    keptState = existsSync(join(directory, "clouds"));
    const logDirectory = join(directory, "logs");
    mkdirSync(logDirectory, { recursive: true });

    const launch = <Ready>(
      options: Pick<ProcessOptions<Ready>, "name" | "command" | "ready" | "environment" | "stopSignal">,
    ): RunningProcess<Ready> => {
      if (stopped) throw new Error("stopped while starting");
      const one = startProcess<Ready>({
        ...options,
        directory: root,
        logDirectory,
        onCrash: (why) => say(`${options.name} ended by itself (${why}); starting it again …`),
        onRestart: () => {
          say(`${options.name} is running again`);
          if (published) publish();
        },
        onGivenUp: broken.resolve,
      });
      running.push(one);
      return one;
    };

    const serviceBus = launch({
      name: "service-bus",
      command: ["infra/local/service-bus/main.ts", "--data", join(directory, "service-bus")],
      ready: readyLine<ServiceBusReady>(),
    });
    // The clouds deliver Key Vault's events to it.
    const bus = await serviceBus.ready;
    const clouds = launch({
      name: "clouds",
      command: ["infra/local/clouds/main.ts", "--data", join(directory, "clouds"), "--tempo", String(tempo)],
      environment: { SERVICE_BUS: bus.connectionString },
      ready: readyLine<CloudsReady>(),
    });
    const azurite = launch({
      name: "azurite",
      command: azuriteCommand(ports, join(directory, "azurite")),
      ready: ({ ended }) => untilAzuriteAnswers(ports, ended),
      stopSignal: "SIGINT",
    });
    const [ready] = await Promise.all([clouds.ready, azurite.ready]);
    trust(ready.ca);

    const api = `http://127.0.0.1:${apiPort}`;
    const host = launch({
      name: "host",
      command: [
        "infra/local/functions-host/main.ts",
        `--app=${root}`,
        `--port=${apiPort}`,
        `--state=${join(directory, "durable.sqlite")}`,
      ],
      environment: {
        ...local.settings,
        ...settings,
        ...settingsOf(ready, bus, azuriteConnectionString(ports), api),
        NODE_EXTRA_CA_CERTS: ready.ca,
      },
      ready: readyLine(),
    });
    await host.ready;
    endpoints = () =>
      endpointsOf(api, ports, ready, bus, {
        host: host.pid,
        clouds: clouds.pid,
        azurite: azurite.pid,
        serviceBus: serviceBus.pid,
      });
    return { api, control: ready.control, clients: ready.clients };
  };

  return {
    start: async () => {
      try {
        return await start();
      } catch (error) {
        await stop();
        if (!keptState || !(error instanceof Error)) throw error;
        throw new Error(`${error.message}\nIf it is because of what an earlier run left behind: --fresh forgets that.`, {
          cause: error,
        });
      }
    },
    publish,
    stop,
    broken: broken.promise,
  };
}

/** What a platform leaves in its folder, and `--fresh` forgets. */
const STATE = [
  "clouds",
  "azurite",
  "service-bus",
  "durable.sqlite",
  "durable.sqlite-wal",
  "durable.sqlite-shm",
  "ports.json",
  "api-port.json",
  "logs",
];

/** Where everything is that the app uses; in production the same names come from the deployed app's configuration. */
const settingsOf = (
  { environment, application, platformVault, identity }: CloudsReady,
  { connectionString }: ServiceBusReady,
  storage: string,
  api: string,
): Record<string, string> => ({
  CLOUD_ENVIRONMENT: JSON.stringify(environment),
  APPLICATION_ID: application.applicationId,
  HOME_TENANT_ID: application.homeTenantId,
  MANAGED_IDENTITY_CLIENT_ID: application.managedIdentityClientId,
  STATE_STORAGE: storage,
  SERVICE_BUS: connectionString,
  /** The name that triggers use. */
  ServiceBusConnection: connectionString,
  PLATFORM_VAULT_URL: platformVault,
  PUBLIC_URL: api,
  IDENTITY_ENDPOINT: identity.endpoint,
  IDENTITY_HEADER: identity.header,
});

function endpointsOf(
  api: string,
  ports: AzuritePorts,
  { entra, arm, graph, exchange, dns, control, ca, clients }: CloudsReady,
  serviceBus: ServiceBusReady,
  pids: { host: number; clouds: number; azurite: number; serviceBus: number },
): object {
  return {
    api,
    openapi: `${api}/api/openapi.json`,
    entra,
    arm,
    graph,
    exchange,
    dns,
    tables: `http://127.0.0.1:${ports.table}/devstoreaccount1`,
    storage: azuriteConnectionString(ports),
    serviceBus: { connectionString: serviceBus.connectionString, control: serviceBus.control },
    control,
    ca,
    pids,
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

const PORTS_FREE_WITHIN_MILLISECONDS = 5000;

/** Storage's ports are kept, so that a restart finds its state at the same addresses. */
async function keptPorts(directory: string): Promise<AzuritePorts> {
  const file = join(directory, "ports.json");
  if (!existsSync(file)) {
    const ports = { blob: await keepablePort(), queue: await keepablePort(), table: await keepablePort() };
    writeFileSync(file, JSON.stringify(ports));
    return ports;
  }
  const { blob, queue, table } = JSON.parse(readFileSync(file, "utf8")) as AzuritePorts;
  for (const port of [blob, queue, table]) {
    // After a kill -9 the earlier run's storage is still saving its tables.
    for (const until = Date.now() + PORTS_FREE_WITHIN_MILLISECONDS; !(await portIsFree(port)); await pause(100))
      if (Date.now() > until)
        throw new Error(
          `port ${port}, where storage was in earlier runs on ${directory}, is taken by another program; end it, forget the earlier state with --fresh, or use another folder with --data DIR`,
        );
  }
  return { blob, queue, table };
}

/** Machines report to the API, so its address is part of what they hold: another port would change each of them. */
async function keptApiPort(directory: string): Promise<number> {
  const file = join(directory, "api-port.json");
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { port: number }).port : undefined;
  if (kept !== undefined && (await portIsFree(kept))) return kept;
  const port = await keepablePort();
  writeFileSync(file, JSON.stringify({ port }));
  return port;
}

/** A lock that ends with its process, however that ends. */
function lockDirectory(directory: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    mkdirSync(directory, { recursive: true });
    lock = new DatabaseSync(join(directory, "lock.sqlite"));
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;");
    return lock;
  } catch (error) {
    lock?.close();
    if (lock && error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY)
      throw new Error(`another Gatehouse works in ${directory}; stop it first, or give this one its own folder with --data DIR`, {
        cause: error,
      });
    throw new Error(
      `keeping state in ${directory}: ${error instanceof Error ? error.message : String(error)}; choose another folder with --data DIR`,
      { cause: error },
    );
  }
}

const SQLITE_BUSY = 5;

/** All simulated clouds of one platform, in this process: doors first, then the simulators behind them, then who lives there. */
import { randomBytes, randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JWK } from "jose";
import type { CloudEnvironment } from "../../../shared/environment.ts";
import type { HostClock } from "../functions-host/clock.ts";
import { keepablePort } from "../ports.ts";
import { createArm } from "./arm/index.ts";
import { makeAuthority } from "./authority.ts";
import { openCollections } from "./collections.ts";
import { controlDoor } from "./control.ts";
import { NoSuchSnapshot, type Snapshots } from "./snapshots.ts";
import { createDns } from "./dns/index.ts";
import { createEntra } from "./entra/index.ts";
import { createManagedIdentityEndpoint } from "./entra/managed-identity.ts";
import { createTokens, type Tokens } from "./entra/tokens.ts";
import { createExchange } from "./exchange/index.ts";
import { createFaults } from "./faults.ts";
import { startDirectories } from "./guest/directory.ts";
import { startHeartbeats } from "./guest/heartbeat.ts";
import { createGraph } from "./graph/index.ts";
import { createMail } from "./mail/index.ts";
import { type Client, settle } from "./organizations.ts";
import { createRecord } from "./record.ts";
import { createRedaction } from "./redaction.ts";
import { type Listener, listen, recorded } from "./server.ts";
import type { CloudName, Organization, Platform, PlatformIdentity, SimulatedRequest, Simulator } from "./simulator.ts";
import { createVaultEvents } from "./vault/events.ts";
import { createVault } from "./vault/index.ts";
import { createWebhooks, RECEIVER } from "./webhooks/index.ts";

export interface CloudsOptions {
  /** Where state and certificates are kept; without it, state is in memory and the certificates in a folder that goes with `stop`. */
  directory?: string;
  /** Multiplies modelled durations; 1 is the modelled time. */
  tempo?: number;
  /** How many of the first looks at what was just written miss it; 1 by default, 0 for clouds that are consistent at once. */
  lag?: number;
  homeTenantId?: string;
  applicationId?: string;
  managedIdentityClientId?: string;
  /** Where admin consent may lead back to. The port of an http loopback address doesn't count. */
  redirectUris?: string[];
  /** Connection string of the Service Bus that Event Grid delivers to; without it nobody has subscribed. */
  serviceBus?: string;
  /** Whether the scheduled tasks of simulated machines run, which report to the app and fetch from it; without it they don't. */
  tasks?: boolean;
  /** Milliseconds since 1970; the system's clock by default. */
  now?: () => number;
  /** Sees each request as it came, before anything is redacted: for tests that look for secrets. */
  watch?: (cloud: CloudName, request: SimulatedRequest) => void;
  /** A clock to wait on as well, instead of `now`: virtual time, shared with a host. */
  clock?: HostClock;
}

export interface Clouds extends Snapshots {
  readonly environment: CloudEnvironment;
  readonly entra: string;
  readonly arm: string;
  readonly graph: string;
  readonly exchange: string;
  /** Template with `{name}`. */
  readonly vault: string;
  /** The vault of Gatehouse itself. */
  readonly platformVault: string;
  /** `address:port`, UDP. */
  readonly dns: string;
  /** For IDENTITY_ENDPOINT and IDENTITY_HEADER. */
  readonly identity: { endpoint: string; header: string };
  readonly control: string;
  /** File with the authority's certificate, for NODE_EXTRA_CA_CERTS. */
  readonly ca: string;
  readonly application: { homeTenantId: string; applicationId: string; managedIdentityClientId: string };
  readonly clients: {
    role: "partner" | "operator";
    partnerId?: string;
    tenantId: string;
    tokenEndpoint: string;
    clientId: string;
    clientSecret: string;
    scope: string;
  }[];
  /** For tests in this process. */
  readonly platform: Platform;
  readonly tokens: Tokens;
  stop(): Promise<void>;
}

const secureDoors = ["entra", "arm", "vault", "graph", "exchange", "webhooks"] as const;
const plainDoors = ["identity", "control"] as const;
type Door = (typeof secureDoors)[number] | (typeof plainDoors)[number];

/** Starts everything. A start over the same directory finds the same ports, keys, secrets and state. */
export async function createClouds(options: CloudsOptions = {}): Promise<Clouds> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "gatehouse-clouds-"));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const authority = await makeAuthority(join(directory, "certificates"));
  const collections = openCollections(options.directory === undefined ? ":memory:" : join(directory, "clouds.sqlite"));
  const { clock } = options;
  const now = clock ? () => clock.now() : (options.now ?? Date.now);

  const ports = collections.collection<number>("platform.ports");
  const kept = options.directory !== undefined;
  const doors = new Map<Door, Listener>();
  const door = (name: Door): Listener => {
    const listener = doors.get(name);
    if (!listener) throw new Error(`there is no door ${name}`);
    return listener;
  };
  for (const name of [...secureDoors, ...plainDoors]) {
    const secure = secureDoors.some((one) => one === name);
    // A partner's server has a name; the clouds are called by their address.
    const shown = name === "webhooks" ? await authority.issue(RECEIVER) : authority.server;
    const listener = await listen(ports.get(name) ?? (kept ? await keepablePort() : 0), secure ? shown : undefined);
    ports.set(name, listener.port);
    doors.set(name, listener);
  }
  const dnsPort = ports.get("dns") ?? (kept ? await keepablePort() : await freeUdpPort());
  ports.set("dns", dnsPort);

  const smtpProxyPort = ports.get("smtpProxy") ?? (await keepablePort());
  ports.set("smtpProxy", smtpProxyPort);
  const settings = collections.collection<string>("platform.settings");
  const keptSetting = (name: string, make: () => string): string => {
    const value = settings.get(name) ?? make();
    settings.set(name, value);
    return value;
  };
  const smtpProxyPassword = keptSetting("smtpProxyPassword", () => randomBytes(16).toString("hex"));
  const environment: CloudEnvironment = {
    ...environmentBehind((name) => door(name).url, `127.0.0.1:${dnsPort}`, options.tempo ?? 1),
    webhookTargets: { ports: [443, door("webhooks").port], allowedRanges: ["127.0.0.0/8"] },
    smtpProxy: `http://gatehouse:${smtpProxyPassword}@127.0.0.1:${smtpProxyPort}`,
  };
  const redaction = createRedaction();
  const record = createRecord(collections.database, redaction);
  const faults = createFaults();
  const tokens = await createTokens(collections.collection<JWK>("entra.keys"), environment.authorityHost, now);
  const identity: PlatformIdentity = {
    homeTenantId: options.homeTenantId ?? "90a7e000-0000-4000-8000-000000000000",
    applicationId: options.applicationId ?? "90a7e000-0000-4000-8000-00000000000a",
    managedIdentity: {
      clientId: options.managedIdentityClientId ?? "90a7e000-0000-4000-8000-00000000000b",
      principalId: keptSetting("managedIdentityPrincipalId", randomUUID),
    },
  };
  let stopped = false;
  const platform: Platform = {
    environment,
    identity,
    certificates: authority,
    now,
    collection: collections.collection,
    get organizations() {
      return collections.collection<Organization>("platform.organizations");
    },
    verify: async ({ headers }: SimulatedRequest, audience: string) => {
      const token = /^Bearer (\S+)$/i.exec(headers["authorization"] ?? "")?.[1];
      return token === undefined ? undefined : tokens.verify(token, audience);
    },
    tempo: options.tempo ?? 1,
    lag: options.lag ?? 1,
    after: clock ? (milliseconds, run) => clock.setTimer(clock.now() + milliseconds, run) : afterReally,
    hold: () => clock?.hold() ?? (() => undefined),
    fault: (cloud, request) => faults.take(cloud, request),
    note: (cloud, { effect = "none", fault, ...entry }) => {
      // What a simulator still does after the end (a mail's next try) fails on closed state, as at the end of its process.
      if (stopped) return;
      record.add({
        at: new Date(now()).toISOString(),
        cloud,
        ...entry,
        responseHeaders: {},
        effect,
        ...(fault ? { fault } : {}),
      });
    },
    secrets: redaction,
    peers: {},
  };

  const identityHeader = keptSetting("identityHeader", () => randomBytes(16).toString("hex"));
  redaction.add(identityHeader);
  redaction.add(smtpProxyPassword);
  let simulators: Simulator[] = [];
  let tasks: { stop(): void }[] = [];
  /** What a process does when it starts on this state: whatever simulators remember beside their collections is gone. */
  const open = async (): Promise<Client[]> => {
    const { simulator: entraSimulator, entra } = createEntra(platform, tokens);
    simulators = [
      entraSimulator,
      createManagedIdentityEndpoint(entra, identityHeader),
      createVault(platform),
      createArm(platform),
      createGraph(platform),
      createExchange(platform),
      createDns(platform),
      await createMail(platform),
      createWebhooks(platform, () => `https://${RECEIVER}:${door("webhooks").port}`),
    ];
    const clients = settle(platform, {
      issuer: tokens.issuer(identity.homeTenantId),
      redirectUris: options.redirectUris ?? ["http://localhost/api/consent/callback", "http://127.0.0.1/api/consent/callback"],
    });
    for (const simulator of simulators) await simulator.start?.();
    if (options.tasks) tasks = [startHeartbeats(platform), startDirectories(platform)];
    return clients;
  };
  const shut = async (): Promise<void> => {
    for (const task of tasks) task.stop();
    for (const simulator of simulators) await simulator.close?.();
  };
  const position = () => collections.collection<number>("platform.record");
  const snapshots: Snapshots = {
    snapshot: () => {
      position().set("position", record.position());
      return collections.snapshot();
    },
    restore: async (snapshot) => {
      if (!collections.has(snapshot)) throw new NoSuchSnapshot(snapshot);
      await shut();
      collections.restore(snapshot);
      record.forgetAfter(position().get("position") ?? 0);
      faults.clear();
      await open();
    },
  };

  const clients = await open();
  for (const { name } of simulators) {
    const listener = [...doors].find(([door]) => door === name)?.[1];
    listener?.serve((request, cut) => {
      const simulator = simulators.find((one) => one.name === name);
      if (!simulator) throw new Error(`there is no cloud ${name}`);
      options.watch?.(name, request);
      return recorded(simulator, { faults, record, now })(request, cut);
    });
  }
  const vaultEvents = options.serviceBus === undefined ? undefined : createVaultEvents(options.serviceBus, now);
  door("control").serve(
    controlDoor({ platform, simulators: () => simulators, record, faults, redaction, vaultEvents, snapshots }),
  );

  return {
    environment,
    entra: door("entra").url,
    arm: door("arm").url,
    graph: door("graph").url,
    exchange: door("exchange").url,
    vault: environment.vault.url,
    platformVault: environment.vault.url.replace("{name}", "gatehouse"),
    dns: `127.0.0.1:${dnsPort}`,
    identity: { endpoint: `${door("identity").url}/msi/token`, header: identityHeader },
    control: door("control").url,
    ca: authority.file,
    application: {
      homeTenantId: identity.homeTenantId,
      applicationId: identity.applicationId,
      managedIdentityClientId: identity.managedIdentity.clientId,
    },
    clients: clients.map((client) => shown(client, environment.authorityHost, identity.applicationId)),
    platform,
    tokens,
    ...snapshots,
    stop: async () => {
      await Promise.all([...doors.values()].map((listener) => listener.close()));
      await vaultEvents?.close();
      await shut();
      stopped = true;
      collections.close();
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Modelled waiting in real time never keeps the process alive. */
function afterReally(milliseconds: number, run: () => void): { cancel(): void } {
  const timer = setTimeout(run, milliseconds).unref();
  return { cancel: () => clearTimeout(timer) };
}

/** Audiences are the public cloud's own, not the endpoints: a client that confuses the two fails here as it does there. */
const environmentBehind = (url: (name: Door) => string, dnsServer: string, tempo: number): CloudEnvironment => ({
  name: "Local",
  authorityHost: url("entra"),
  instanceDiscovery: false,
  // Seconds are the platform's own; at tempo 0 nothing is throttled.
  resourceManager: { endpoint: url("arm"), audience: "https://management.azure.com", refill: tempo === 0 ? 1e6 : 1 / tempo },
  graph: { endpoint: url("graph"), audience: "https://graph.microsoft.com" },
  exchange: { endpoint: url("exchange"), audience: "https://outlook.office365.com", spfHost: "spf.protection.outlook.com" },
  vault: { url: `${url("vault")}/vaults/{name}`, audience: "https://vault.azure.net", verifyChallenge: false },
  tokenExchangeAudience: "api://AzureADTokenExchange",
  publicDnsSuffix: "cloudapp.azure.example",
  dnsServers: [dnsServer],
  nameServerPort: Number(dnsServer.split(":")[1]),
});

const shown = (
  { role, partnerId, tenantId, clientId, clientSecret }: Client,
  authorityHost: string,
  applicationId: string,
): Clouds["clients"][number] => ({
  role,
  ...(partnerId === undefined ? {} : { partnerId }),
  tenantId,
  tokenEndpoint: `${authorityHost}/${tenantId}/oauth2/v2.0/token`,
  clientId,
  clientSecret,
  scope: `${applicationId}/.default`,
});

/** A port that was free a moment ago: the resolver binds it itself, but the environment must name it before. */
function freeUdpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

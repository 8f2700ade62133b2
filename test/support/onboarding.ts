/** Onboardings from nothing to an answer: the simulated clouds, the test run's Azurite, and the real app in the local host, in one process. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, vi } from "vitest";
import { freePorts } from "../../infra/local/azurite.ts";
import { grantConsent } from "../../infra/local/administrator.ts";
import { makeCustomer } from "../../infra/local/customer.ts";
import { createHost, type Host } from "../../infra/local/functions-host/host.ts";
import { createServiceBus, type QueueOptions, type ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { tokenSource } from "../../infra/local/tokens.ts";
import type { CloudsOptions } from "../../infra/local/clouds/clouds.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { type ApiClient, createClient } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { startClouds, type TestClouds } from "./clouds.ts";
import { type Estate, estateOf } from "./estate.ts";
import { type Violation, violations, type Watched, watchedOf } from "./invariants.ts";
import { unique } from "./stores.ts";
import { ownAccount } from "./own-account.ts";

// An onboarding takes seconds of computing, and other test files compute at the same time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

/** Once a year: a test that is about a timer says when it fires. */
const RARELY = "0 0 0 1 1 *";

/** Production's settings with durations short enough for a test: nothing here depends on how long something takes. */
const settings = {
  CONSENT_CHECK_INTERVAL: "PT0.2S",
  CONSENT_EXPIRY: "PT30M",
  PROBE_INTERVAL: "PT0.25S",
  PROBE_DEADLINE: "PT2M",
  BYPASS_SETTLE: "PT0.5S",
  ADDRESS_SETTLE: "PT0.5S",
  ADDRESS_RELEASE_AFTER: "PT1S",
  OFFBOARDING_SETTLE: "PT0.5S",
  OFFBOARDING_DRAIN_DEADLINE: "PT1M",
  CANARY_MAILBOX: "none",
  RETRY_FIRST_WAIT: "PT0.05S",
  RETRY_LONGEST_WAIT: "PT0.5S",
  RETRY_TRIES: "40",
  OPERATION_DEADLINE: "PT5M",
  CONSENTS_SCHEDULE: RARELY,
  TASKS_SCHEDULE: RARELY,
  SPF_SCHEDULE: RARELY,
  AUDIT_ANCHORS_SCHEDULE: RARELY,
  DIRECTORIES_SCHEDULE: RARELY,
  DRIFT_SCHEDULE: RARELY,
  DRIFT_SHORTEST_INTERVAL: "PT0.001S",
  DRIFT_LONGEST_INTERVAL: "PT0.001S",
  DRIFT_REPAIRS_A_DAY: "3",
  GATEWAYS_SCHEDULE: RARELY,
  FLEET_SCHEDULE: RARELY,
  OUTAGES_SCHEDULE: RARELY,
  HEARTBEAT_INTERVAL: "PT10M",
  BLOCKLISTS_SCHEDULE: RARELY,
  ROTATION_SCHEDULE: RARELY,
  NOTIFICATIONS_SCHEDULE: RARELY,
  DNS_BLOCKLISTS: "default",
  BLOCKLISTS_INTERVAL: "PT1H",
  LISTING_CONFIRM_AFTER: "PT0.5S",
  DELISTING_FIRST_WAIT: "PT0.5S",
  DELISTING_DEADLINE: "PT5M",
  DELISTING_PAUSED_LISTS: "none",
  ROTATION_OVERLAP: "PT0.5S",
  CERTIFICATE_OVERLAP: "PT5S",
  ACME_DIRECTORY: "none",
  ACME_CONTACT: "none",
  ACME_EXTERNAL_ACCOUNT: "none",
  ACME_CHECK_INTERVAL: "PT0.1S",
  CLIENT_SECRET_LIFETIME: "P180D",
  LOG_LEVEL: "debug",
};

export type AppSettings = Partial<Record<keyof typeof settings, string>>;

/** A customer that nobody else in this test run has: its organisation, domains and subscription in the clouds, its tenant in the API. */
export interface Customer {
  tenantId: string;
  /** As a partner would send it. */
  body: SpecInput;
  /** As the API reads it. */
  spec: TenantSpec;
  watched: Watched;
}

export type SpecInput = Parameters<ApiClient["putTenant"]>[0]["body"];

export interface OnboardingApp {
  url: string;
  host: Host;
  /** Two partners and the operator, each with a token of its own application. */
  northwind: ApiClient;
  tailspin: ApiClient;
  operator: ApiClient;
  /** Asks for the operation until it has ended; gives an administrator's consent when it waits for that. */
  untilEnded(operation: Operation, options?: OnboardOptions): Promise<Operation>;
  /** Until it waits for that; it fails when the operation ends instead. */
  untilWaitingFor(
    operation: Operation,
    kind: "consent" | "azureAccess" | "certificate" | "propagation" | "cloud",
    by?: ApiClient,
  ): Promise<Operation>;
  /** Until a step has succeeded; it fails when the operation ends without it. */
  untilDone(operation: Operation, step: string, by?: ApiClient): Promise<Operation>;
  register(customer: Customer, by?: ApiClient): Promise<void>;
  start(customer: Customer, by?: ApiClient): Promise<Operation>;
  /** Runs a timer's function now, whatever its schedule says. */
  fire(timer: string): Promise<void>;
  /** Until the customer's newest operation of that kind has ended; it may not have begun yet. */
  untilEndedOf(kind: Operation["kind"], customer: Customer, by?: ApiClient): Promise<Operation>;
  /** Makes the customer in the clouds, registers and onboards it, with its administrator's consent. */
  onboard(customer: Customer, options?: OnboardOptions): Promise<Operation>;
  stop(): Promise<void>;
}

export interface OnboardOptions {
  by?: ApiClient;
  /** What the administrator does with the consent link; `never` leaves it unopened. */
  consent?: "accept" | "never";
}

export interface OnboardingPlatform extends OnboardingApp {
  clouds: TestClouds;
  bus: ServiceBus;
  /** Everything that was logged: by the host, and by the app on the console. */
  logged: string[];
  /** The customer as it was before anybody spoke of gateways. */
  organize(customer: Customer): Promise<void>;
  /** Everything asked of the clouds since number `since`. */
  record(since?: number): Promise<Exchange[]>;
  /** The number of the last thing that was asked. */
  now(): Promise<number>;
  /** What the clouds hold of a customer. */
  estate(customer: Customer): Promise<Estate>;
  /** The same app once more, over the same clouds and stores, with settings of its own. */
  app(settings: AppSettings): Promise<OnboardingApp>;
  /** What somebody else does in a customer's clouds: not ours to answer for. */
  asStranger<T>(act: () => Promise<T>): Promise<T>;
  /** Ends with a look at the safety invariants over all that was recorded of all customers. */
  stop(): Promise<void>;
  /** For runs that violate them on purpose. */
  stopUnchecked(): Promise<void>;
}

export interface PlatformOptions {
  settings?: AppSettings | ((clouds: TestClouds) => AppSettings);
  /** Of an app that is not quite ours. */
  appDirectory?: string;
  /** Path of the host's durable state; in memory by default. */
  stateFile?: string;
  /** Where the broker keeps its messages; in memory by default. */
  busDirectory?: string;
  tempo?: number;
  /** Sees each request to a cloud as it came. */
  watch?: CloudsOptions["watch"];
}

export const queues = JSON.parse(
  readFileSync(new URL("../../infra/local/service-bus/queues.json", import.meta.url), "utf8"),
) as QueueOptions[];

/** One platform a test file: MSAL keeps the managed identity's tokens for as long as the process lives. */
export async function startOnboarding(options: PlatformOptions = {}): Promise<OnboardingPlatform> {
  const { tempo, watch } = options;
  const clouds = await startClouds({ lag: 1, ...(tempo === undefined ? {} : { tempo }), ...(watch && { watch }) });
  const bus = await createServiceBus({
    queues,
    ...(options.busDirectory === undefined ? {} : { directory: options.busDirectory }),
  });
  const logged: string[] = [];
  for (const level of ["debug", "info", "warn", "error"] as const)
    vi.spyOn(console, level).mockImplementation((...words: unknown[]) => void logged.push(words.map(String).join(" ")));
  const apps: OnboardingApp[] = [];
  const customers = new Map<string, Customer>();
  const app = async (own: AppSettings, stateFile = ":memory:"): Promise<OnboardingApp> => {
    const { appDirectory } = options;
    const started = await startApp({ clouds, bus, appDirectory }, { ...settings, ...own }, stateFile, logged, customers);
    apps.push(started);
    return started;
  };
  const own = typeof options.settings === "function" ? options.settings(clouds) : options.settings;
  const first = await app(own ?? {}, options.stateFile);
  for (const { partnerId, tenantId, clientId } of clouds.clients) {
    if (!partnerId) continue;
    const body = { displayName: partnerId, entraTenantId: tenantId, clientId };
    await first.operator.putPartner({ partnerId, body });
  }
  const record = (since = 0): Promise<Exchange[]> => clouds.requests(undefined, since);
  const strangers: [from: number, to: number][] = [];
  const now = async (): Promise<number> => (await record()).at(-1)?.seq ?? 0;
  const stopApps = async (): Promise<void> => {
    for (const one of apps) await one.stop();
    await bus.stop();
  };
  const stopClouds = async (): Promise<void> => {
    await clouds.stop();
    vi.restoreAllMocks();
  };
  return {
    ...first,
    clouds,
    bus,
    logged,
    organize: async (customer) => {
      customers.set(customer.tenantId, customer);
      await makeCustomer(clouds.control, customer.spec);
    },
    record,
    now,
    asStranger: async (act) => {
      const from = await now();
      const result = await act();
      strangers.push([from, await now()]);
      return result;
    },
    estate: (customer) => estateOf(clouds, customer),
    app,
    stopUnchecked: async () => {
      await stopApps();
      await stopClouds();
    },
    stop: async () => {
      await stopApps();
      const all = await record();
      const ours = ({ seq }: Violation): boolean => !strangers.some(([from, to]) => seq > from && seq <= to);
      const found = [...customers.values()].flatMap(({ watched }) => violations(all, watched)).filter(ours);
      await stopClouds();
      expect(found, "safety invariants, over everything that this file did").toEqual([]);
    },
  };
}

async function startApp(
  { clouds, bus, appDirectory = "." }: { clouds: TestClouds; bus: ServiceBus; appDirectory?: string | undefined },
  chosen: typeof settings,
  stateFile: string,
  logged: string[],
  /** Those whom the app is asked to serve are watched, as they are at last. */
  customers: Map<string, Customer>,
): Promise<OnboardingApp> {
  const { environment, application, platformVault } = clouds;
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  Object.assign(process.env, chosen, {
    CLOUD_ENVIRONMENT: JSON.stringify(environment),
    APPLICATION_ID: application.applicationId,
    HOME_TENANT_ID: application.homeTenantId,
    MANAGED_IDENTITY_CLIENT_ID: application.managedIdentityClientId,
    STATE_STORAGE: ownAccount(),
    SERVICE_BUS: bus.connectionString,
    ServiceBusConnection: bus.connectionString,
    PLATFORM_VAULT_URL: platformVault,
    PUBLIC_URL: url,
  });
  const chaos = process.env["CHAOS"] === "1";
  const host = await createHost({
    appDirectory,
    stateFile,
    port,
    chaos,
    log: (entry) => void logged.push(JSON.stringify(entry)),
  });
  const apiOf = (who: (client: TestClouds["clients"][number]) => boolean): ApiClient => {
    const client = clouds.clients.find(who);
    if (!client) throw new Error("the platform has no such client");
    return createClient({ baseUrl: url, token: tokenSource(client) });
  };
  const northwind = apiOf(({ partnerId }) => partnerId === "northwind");
  const read = async ({ id }: Operation, by: ApiClient) => (await by.getOperation({ operationId: id })).body;

  const untilEnded: OnboardingApp["untilEnded"] = async (operation, { by = northwind, consent = "accept" } = {}) => {
    let asked = consent === "never";
    for (let seen = operation; ; seen = await read(operation, by)) {
      if (ended(seen)) return seen;
      if (seen.waitingFor?.kind === "consent" && !asked) {
        asked = true;
        await grantConsent((await by.getConsent({ tenantId: seen.tenantId })).body.url);
      }
      await pause(LOOK_EVERY_MILLISECONDS);
    }
  };
  const register: OnboardingApp["register"] = async (customer, by = northwind) => {
    customers.set(customer.tenantId, customer);
    const { tenantId, body } = customer;
    await by.putTenant({ tenantId, body });
  };
  const start: OnboardingApp["start"] = async ({ tenantId }, by = northwind) => (await by.startOnboarding({ tenantId })).body;

  const until = async (operation: Operation, by: ApiClient, what: string, reached: (seen: Operation) => boolean) => {
    for (let seen = operation; ; seen = await read(operation, by)) {
      if (reached(seen)) return seen;
      if (ended(seen)) throw new Error(`it ended without ${what}: ${JSON.stringify(seen.error ?? seen.status)}`);
      await pause(LOOK_EVERY_MILLISECONDS);
    }
  };

  return {
    url,
    host,
    northwind,
    tailspin: apiOf(({ partnerId }) => partnerId === "tailspin"),
    operator: apiOf(({ role }) => role === "operator"),
    untilEnded,
    untilWaitingFor: (operation, kind, by = northwind) =>
      until(operation, by, `having waited for ${kind}`, ({ waitingFor }) => waitingFor?.kind === kind),
    untilDone: (operation, step, by = northwind) =>
      until(operation, by, `the step ${step}`, ({ steps }) =>
        steps.some(({ name, status }) => name === step && status === "Succeeded"),
      ),
    register,
    start,
    fire: async (timer) => {
      const { status } = await fetch(`${host.managementUrl}admin/functions/${timer}`, { method: "POST" });
      if (status !== 202) throw new Error(`the host answered ${status} when asked to run ${timer}`);
    },
    untilEndedOf: async (kind, { tenantId }, by = northwind) => {
      for (;;) {
        const { value } = (await by.listOperations({ tenantId })).body;
        const found = value.find((operation) => operation.kind === kind);
        if (found && ended(found)) return (await by.getOperation({ operationId: found.id })).body;
        await pause(LOOK_EVERY_MILLISECONDS);
      }
    },
    onboard: async (customer, options = {}) => {
      await makeCustomer(clouds.control, customer.spec);
      await register(customer, options.by);
      return untilEnded(await start(customer, options.by), options);
    },
    stop: () => host.stop(),
  };
}

/** Each look is a request through the whole API, on the same two cores. */
const LOOK_EVERY_MILLISECONDS = 100;

const ended = ({ status }: Pick<Operation, "status">): boolean => status !== "NotStarted" && status !== "Running";

/**
 * The customer of `examples/{example}.json` with ids of its own: the stores are shared with other test files, and a partner holds its
 * customer's ids. Under another name the domains follow: `adatum` has `adatum.example`. `gateway` and `more` take the place of what the file says.
 */
export function customer(
  example: "contoso" | "fabrikam",
  name: string = example,
  gateway: Partial<SpecInput["gateway"]> = {},
  more: Partial<SpecInput> = {},
): Customer {
  const text = readFileSync(new URL(`../../examples/${example}.json`, import.meta.url), "utf8");
  const ids = new Map<string, string>();
  const own = (id: string): string => {
    const made = ids.get(id) ?? randomUUID();
    ids.set(id, made);
    return made;
  };
  const renamed = text.replaceAll(example, name).replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, own);
  const { tenantId: _, ...body } = JSON.parse(renamed) as { tenantId: string } & SpecInput;
  return customerOf(unique(name), { ...body, ...more, gateway: { ...body.gateway, ...gateway } });
}

export function customerOf(tenantId: string, body: SpecInput): Customer {
  const spec = tenantSpecSchema.parse(body);
  return { tenantId, body, spec, watched: watchedOf(spec) };
}

/** What changed customers' clouds. What an administrator does on the consent page isn't ours, and our own vault isn't theirs. */
export const writes = (record: Exchange[]): string[] =>
  record
    .filter(({ effect, url }) => effect === "write" && !url.includes("/adminconsent") && !url.includes("/vaults/gatehouse/"))
    .map(({ cloud, method, url }) => `${cloud} ${method} ${url}`);

/** What was asked about one customer, while others are served too. */
export const about = ({ spec }: Customer, record: Exchange[]): Exchange[] =>
  record.filter(({ url, tenant }) =>
    [spec.microsoft365.tenantId, spec.azure.tenantId, spec.azure.subscriptionId].some((id) => tenant === id || url.includes(id)),
  );

/**
 * The same onboarding, again and again from the same beginning, in virtual time: a customer that has consented and is registered. Clouds,
 * tables, messages and the host's durable state go back to a snapshot; the app is loaded afresh, so that nothing that it remembers leaks over.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { vi } from "vitest";
import { freePorts } from "../../infra/local/azurite.ts";
import { makeCustomer } from "../../infra/local/customer.ts";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import { createHost, type Host } from "../../infra/local/functions-host/host.ts";
import { createServiceBus, type ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { tokenSource } from "../../infra/local/tokens.ts";
import { type ApiClient, createClient } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { startClouds, type TestClouds } from "./clouds.ts";
import { type Estate, estateOf } from "./estate.ts";
import { type Violation, violations } from "./invariants.ts";
import { type Customer, customer, queues } from "./onboarding.ts";
import { type OwnTables, startTables } from "./tables.ts";
import { startVirtualTime } from "./virtual-time.ts";

/** The request of that number, counted from one, of all that go there. */
export interface FaultAt {
  to: CloudName | "tables";
  at: number;
  kind: "refuse" | "cut-before-effect" | "cut-after-effect";
}

/** How one call of `POST …/onboard` ended: the operation, or what the API answered instead of one. */
export type Ending = Pick<Operation, "status" | "error"> & { operation?: Operation };

export interface Played {
  ending: Ending;
  /** How the same call ended when it was made again without a fault, if the first one did not succeed. */
  again?: Ending;
  /** What the clouds hold at last. */
  estate: Estate;
  violations: Violation[];
  /** Everything asked of the clouds. */
  record: Exchange[];
  /** Everything asked of Table Storage: method and path. */
  tables: string[];
  /** Whether a request came by that met the fault. */
  met: boolean;
  /** What an onboarding takes in the world's time, and here. */
  virtualMilliseconds: number;
  milliseconds: number;
}

/** One world from the same beginning, for as long as somebody acts in it. */
export interface World {
  partner: ApiClient;
  clouds: TestClouds;
  /** Until the operation has ended. */
  ended(operation: Pick<Operation, "id">): Promise<Operation>;
}

export interface Worlds {
  customer: Customer;
  play(fault?: FaultAt): Promise<Played>;
  /** Goes back to the beginning and acts there. */
  visit<Result>(act: (world: World) => Promise<Result>): Promise<Result>;
  /** Something else that is done from the same beginning, by an app that fails where test/support/failing.ts is told to. */
  life<Result>(lived: (life: Life) => Promise<Result>, from?: Beginning): Promise<Result>;
  /** What is there after it, as a beginning for others. */
  after(lived: (life: Life) => Promise<void>, from?: Beginning): Promise<Beginning>;
  stop(): Promise<void>;
}

/** A moment to which everything can go back. */
export interface Beginning {
  clouds: number;
  tables: string;
  bus: Uint8Array;
  /** Path of the host's durable state. */
  host: string;
  /** What was asked of the clouds until then. */
  record: Exchange[];
  /** From then on machines report to whichever app there is. */
  reporting?: true;
}

export interface Life {
  readonly partner: ApiClient;
  readonly operator: ApiClient;
  readonly app: Host;
  clouds: TestClouds;
  bus: Pick<ServiceBus, "connectionString" | "state">;
  tables: Pick<OwnTables, "down">;
  /** Lets time go on until the operation has ended. */
  ended(operation: Pick<Operation, "id">): Promise<Operation>;
  /** Lets time go on until it has happened. */
  until<T>(happened: Promise<T>): Promise<T>;
  /** Lets so much time go by. */
  pass(milliseconds: number): Promise<void>;
  /** What the host has written down by this instant: a path. */
  stateNow(): string;
  /** Another host takes the place of this one, and knows what that file says. */
  goOnFrom(stateFile: string): Promise<void>;
  /** Everything that a cloud holds, as it shows it. */
  state(cloud: CloudName): Promise<unknown>;
  estate(): Promise<Estate>;
  record(): Promise<Exchange[]>;
}

const MILLISECONDS_A_DAY = 24 * 3600 * 1000;
/** On the 29th of February: there is none for years from `BEGINNING`. */
const NEVER = "0 0 0 29 2 *";
const BEGINNING = Date.UTC(2028, 2, 1);

export interface WorldsOptions {
  /** Settings of the app besides those of a test, such as schedules: its timers don't run otherwise. */
  settings?: Record<string, string>;
  /** Whether messages that are to come later come in the world's time. */
  brokerInWorldsTime?: boolean;
  /** Machines do what they do by the clock, such as heartbeats, which arrive at the app of a `life`. */
  machinesReport?: boolean;
}

export async function startWorlds({
  settings = {},
  brokerInWorldsTime = false,
  machinesReport = false,
}: WorldsOptions = {}): Promise<Worlds> {
  for (const level of ["debug", "info", "warn", "error"] as const) vi.spyOn(console, level).mockReturnValue();
  const time = startVirtualTime(BEGINNING);
  const { clock } = time;
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-worlds-"));
  const tables = await startTables();
  const bus = await createServiceBus({ queues, ...(brokerInWorldsTime ? { clock } : {}) });
  const clouds = await startClouds({ clock, tempo: 1, lag: 1, tasks: machinesReport });
  // Where machines were told to report.
  const [lifePort = 0] = machinesReport ? await freePorts(1) : [];
  setSettings();

  function setSettings(): void {
    const { environment, application, platformVault } = clouds;
    const sample = new URL("../../local.settings.sample.json", import.meta.url);
    const { Values } = JSON.parse(readFileSync(sample, "utf8")) as { Values: Record<string, string> };
    Object.assign(process.env, Values, {
      CLOUD_ENVIRONMENT: JSON.stringify(environment),
      APPLICATION_ID: application.applicationId,
      HOME_TENANT_ID: application.homeTenantId,
      MANAGED_IDENTITY_CLIENT_ID: application.managedIdentityClientId,
      STATE_STORAGE: tables.connectionString,
      SERVICE_BUS: bus.connectionString,
      ServiceBusConnection: bus.connectionString,
      PLATFORM_VAULT_URL: platformVault,
      PUBLIC_URL: `http://127.0.0.1:${lifePort || 7071}`,
      CONSENTS_SCHEDULE: NEVER,
      TASKS_SCHEDULE: NEVER,
      SPF_SCHEDULE: NEVER,
      AUDIT_ANCHORS_SCHEDULE: NEVER,
      DIRECTORIES_SCHEDULE: NEVER,
      DRIFT_SCHEDULE: NEVER,
      GATEWAYS_SCHEDULE: NEVER,
      FLEET_SCHEDULE: NEVER,
      OUTAGES_SCHEDULE: NEVER,
      BLOCKLISTS_SCHEDULE: NEVER,
      ROTATION_SCHEDULE: NEVER,
      // A mail each half a minute for so long: of half an hour of them the first ten have shown all there is to see.
      OFFBOARDING_SETTLE: "PT5M",
      NOTIFICATIONS_SCHEDULE: NEVER,
      ...settings,
    });
  }

  let hosts = 0;
  const stateFile = (name: string | number): string => join(folder, `${name}.sqlite`);
  const host = async (from?: string, appDirectory?: string): Promise<{ host: Host; partner: ApiClient; operator: ApiClient }> => {
    const file = stateFile(++hosts);
    if (from !== undefined) copyFileSync(from, file);
    const host = await createHost({
      stateFile: file,
      port: appDirectory === undefined ? 0 : lifePort,
      clock,
      log: () => undefined,
      ...(appDirectory === undefined ? {} : { appDirectory }),
    });
    const as = async (who: (client: (typeof clouds.clients)[number]) => boolean): Promise<ApiClient> => {
      const client = clouds.clients.find(who);
      if (!client) throw new Error("the platform has no such client");
      const token = tokenSource(client);
      await token(); // now, before anybody counts requests
      return createClient({ baseUrl: host.url, token });
    };
    const [partner, operator] = [
      await as(({ partnerId }) => partnerId === "northwind"),
      await as(({ role }) => role === "operator"),
    ];
    return { host, partner, operator };
  };

  const who = customer("contoso");
  const { tenantId, body, spec, watched } = who;
  const beginning = await (async () => {
    const { host: first, partner, operator } = await host();
    for (const { partnerId, tenantId: entraTenantId, clientId } of clouds.clients)
      if (partnerId) await operator.putPartner({ partnerId, body: { displayName: partnerId, entraTenantId, clientId } });
    await makeCustomer(clouds.control, spec);
    await clouds.consent(spec.microsoft365.tenantId);
    await partner.putTenant({ tenantId, body });
    await first.stop();
    return { clouds: clouds.snapshot(), tables: tables.snapshot(), bus: bus.snapshot(), host: stateFile(hosts), record: [] };
  })();

  /** @param calm called when it is over, before anybody looks at how it ended */
  async function onboard(app: Host, partner: ApiClient, calm: () => Promise<void> | void = () => undefined): Promise<Ending> {
    const asked = await partner.startOnboarding({ tenantId }).catch((error: unknown) => error);
    if (asked instanceof Error) {
      await calm();
      const { code = "", message } = asked as Error & { code?: string };
      return { status: "Failed", error: { code, message } };
    }
    const { id } = (asked as Awaited<ReturnType<ApiClient["startOnboarding"]>>).body;
    await time.until(app.engine.whenFinished(`northwind_${id}_1`));
    await calm();
    const operation = (await partner.getOperation({ operationId: id })).body;
    return { status: operation.status, ...(operation.error ? { error: operation.error } : {}), operation };
  }

  const pass = (milliseconds: number): Promise<void> =>
    time.until(new Promise<void>((resolve) => void clock.setTimer(clock.now() + milliseconds, resolve)));

  async function goBackTo(moment: Beginning): Promise<void> {
    await clouds.restore(moment.clouds);
    tables.restore(moment.tables);
    bus.restore(moment.bus);
    // A day later: no token that a library of this process still remembers is valid any more.
    await pass(MILLISECONDS_A_DAY);
  }

  /** @returns what it gave, and where the host has left its state */
  async function live<Result>(
    from: Beginning,
    lived: (life: Life) => Promise<Result>,
  ): Promise<[Result, Pick<Beginning, "host" | "record">]> {
    await goBackTo(from);
    let present = await host(from.host, "test/support/failing-app");
    let file = stateFile(hosts);
    const reports =
      from.reporting &&
      startHeartbeats(clouds.platform, (url, init) => {
        const { pathname, search } = new URL(url);
        // Time stands still for it, so that it comes when it was sent.
        return fetch(new URL(`${pathname}${search}`, present.host.url), init).finally(clock.hold());
      });
    const since = (await clouds.requests()).at(-1)?.seq ?? 0;
    const read = async (operationId: string) => (await present.partner.getOperation({ operationId })).body;
    const ended: Life["ended"] = async ({ id }) => {
      for (;;) {
        const operation = await read(id);
        const { attempt, status, cancel } = operation;
        // A roll-back is the attempt after the one that it takes back.
        const instances = [attempt, ...(cancel?.rollBack ? [attempt + 1] : [])].map((one) => `northwind_${id}_${one}`);
        const { engine } = present.host;
        const known = instances.findLast((instance) => engine.getInstance(instance) !== undefined);
        // What has succeeded may still have something to clear away, later.
        const over = status !== "Running" && status !== "NotStarted";
        if (over && (known === undefined || engine.getInstance(known)?.status !== "Running")) return operation;
        if (known === undefined) throw new Error(`nobody carries out ${id}`);
        await time.until(engine.whenFinished(known));
      }
    };
    const looks = {
      state: (cloud: CloudName) => clouds.state(cloud),
      estate: () => estateOf(clouds, who),
      record: async () => [...from.record, ...(await clouds.requests(undefined, since))],
    };
    const restarts = {
      until: time.until,
      pass,
      stateNow: () => {
        const copy = stateFile(`${hosts}-noted`);
        for (const part of ["", "-wal"]) if (existsSync(`${file}${part}`)) copyFileSync(`${file}${part}`, `${copy}${part}`);
        // As a host does that finds it so.
        const database = new DatabaseSync(copy);
        database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
        database.close();
        return copy;
      },
      goOnFrom: async (state: string) => {
        await present.host.stop();
        rmSync(file);
        present = await host(state, "test/support/failing-app");
        file = stateFile(hosts);
        rmSync(state);
      },
    };
    const life: Life = {
      get partner() {
        return present.partner;
      },
      get operator() {
        return present.operator;
      },
      get app() {
        return present.host;
      },
      clouds,
      bus,
      tables,
      ended,
      ...looks,
      ...restarts,
    };
    try {
      const result = await lived(life);
      return [result, { host: file, record: await looks.record() }];
    } finally {
      reports?.stop();
      await present.host.stop();
    }
  }

  return {
    customer: who,
    life: async (lived, from = beginning) => {
      const [result, { host: file }] = await live(from, lived);
      rmSync(file);
      return result;
    },
    after: async (lived, from = beginning) => {
      const [, left] = await live(from, lived);
      const { reporting } = from;
      return {
        clouds: clouds.snapshot(),
        tables: tables.snapshot(),
        bus: bus.snapshot(),
        ...left,
        ...(reporting && { reporting }),
      };
    },
    play: async (fault) => {
      const began = performance.now();
      await goBackTo(beginning);
      const { host: app, partner } = await host(beginning.host);
      const since = (await clouds.requests()).at(-1)?.seq ?? 0;
      const started = clock.now();
      tables.watch(fault?.to === "tables" ? { at: fault.at, kind: fault.kind } : undefined);
      if (fault && fault.to !== "tables") await clouds.fault(fault.to, fault.kind, {}, 1, fault.at - 1);
      let asked: string[] = [];
      let unmet = 0;
      const ending = await onboard(app, partner, async () => {
        asked = tables.asked;
        tables.watch();
        unmet = await faultsLeft(clouds.control);
        await clouds.clearFaults();
      });
      const virtualMilliseconds = clock.now() - started;
      const again = ending.status === "Succeeded" ? undefined : await onboard(app, partner);
      await app.stop();
      rmSync(stateFile(hosts));
      const record = await clouds.requests(undefined, since);
      return {
        ending,
        ...(again ? { again } : {}),
        estate: await estateOf(clouds, who),
        violations: violations(record, watched),
        record,
        tables: asked,
        met: fault !== undefined && (fault.to === "tables" ? asked.length >= fault.at : unmet === 0),
        virtualMilliseconds,
        milliseconds: performance.now() - began,
      };
    },
    visit: async (act) => {
      await goBackTo(beginning);
      const { host: app, partner } = await host(beginning.host);
      const ended: World["ended"] = async ({ id }) => {
        await time.until(app.engine.whenFinished(`northwind_${id}_1`));
        return (await partner.getOperation({ operationId: id })).body;
      };
      try {
        return await act({ partner, clouds, ended });
      } finally {
        await app.stop();
        rmSync(stateFile(hosts));
      }
    },
    stop: async () => {
      await bus.stop();
      await clouds.stop();
      await tables.stop();
      time.stop();
      rmSync(folder, { recursive: true });
      vi.restoreAllMocks();
    },
  };
}

/** How many planned faults have met nothing. */
async function faultsLeft(control: string): Promise<number> {
  const { value } = (await (await fetch(`${control}/faults`)).json()) as { value: unknown[] };
  return value.length;
}

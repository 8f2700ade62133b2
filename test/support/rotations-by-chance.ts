/**
 * Two rotations of a client secret in a row, on two machines: the real orchestrator and the real activities over clouds in memory, under a
 * schedule by chance in which workers die, are delivered again, and wake up late. The clouds answer as the real ones do: Entra shows a
 * secret once and goes on taking it until it is removed; a vault adds versions; a machine takes one document at a time, and no older one.
 */
import { readFileSync } from "node:fs";
import type { OrchestrationContext, Task } from "durable-functions";
import { createRotationActivities, OURS } from "../../functions/rotation/activities.ts";
import { rotateClientSecret } from "../../functions/rotation/client-secret.ts";
import type { Rotation } from "../../functions/rotation/orchestrator.ts";
import { removeOrphans } from "../../functions/rotation/orphans.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { type ResourcePace, waitForOperation } from "../../shared/durable/resources.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";
import { asActivity } from "../../shared/durable/steps.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { ListedPassword } from "../../shared/graph/passwords.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import type { ActualGuest, Guest } from "../../shared/resources/guest.ts";
import { done, present, type Resource, unknown } from "../../shared/resources/resource.ts";
import { type CredentialChange, type CredentialRecord, generationToMake } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { createSchedule, type Drawn, type Point, type Schedule } from "./schedules.ts";

/** What is left out, or done wrongly, to see that it is noticed. */
export type Mutant = "without the fence" | "cleans up while it makes";

/** About how many steps two rotations take. */
const LENGTH = 240;

/** The schedule of that number: each depth of 1 to 5 has its turn. */
export const scheduleOf = (number: number): Drawn => ({ seed: number * 7919 + 1, depth: 1 + (number % 5), length: LENGTH });

/** Plays schedules one after another until one of them goes wrong, or all have gone well; gives the number of the first one that did not. */
export async function firstToGoWrong(numbers: { from: number; to: number }, mutant?: Mutant): Promise<number | undefined> {
  for (let number = numbers.from; number < numbers.to; number++) {
    const { finished, outages, orphans } = await twoRotations(scheduleOf(number), mutant);
    if (!finished || outages > 0 || orphans > 0) return number;
  }
  return undefined;
}

export interface Outcome {
  /** Both rotations came to their end. */
  finished: boolean;
  /** Times that a machine held a secret which Entra would have refused. */
  outages: number;
  /** Secrets of ours that Entra takes, beside the current one, after the sweep. */
  orphans: number;
  /** How many secrets were made. */
  made: number;
  steps: number;
}

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as Record<string, unknown>;
const parsed = tenantSpecSchema.parse(contoso);
const spec = { ...parsed, gateway: { ...parsed.gateway, regions: [{ name: "westeurope", machines: 2 }] } };
const vaultUrl = "https://contoso-kv.vault.azure.net";
const vaultName = "webclient-client-secret";
const key = { partnerId: "northwind", tenantId: "contoso", name: "clientSecret" as const };
const HOUR = 3600;
const LIFETIME = 180 * 24 * HOUR;
const reference = (name: string, version: string): SecretReference => ({ vaultUrl, name, version });
const address = (number: number) => ({ id: `ip${number}`, ipAddress: `203.0.113.${number}`, fqdn: `gw${number}.example` });
const ground: Rotation["ground"] = {
  regions: [{ machines: [address(1), address(2)] }],
  loopGuid: reference("loop-guid", "a1"),
  identityClientId: "c0ffee00-0000-4000-8000-0000000000f1",
  agents: { publicUrl: "https://gatehouse.example", apiVersion: "2026-11-01", audience: "gatehouse" },
};
const tenant = { ...key, id: key.tenantId, spec, facts: { ground } } as unknown as TenantRecord;
const { work, names } = targetOf(tenant);
const pace: ResourcePace & Rotation["pace"] = {
  patience: { tries: 6, firstWaitInSeconds: 5, longestWaitInSeconds: 60 },
  operationDeadlineInSeconds: 300,
  probeIntervalInSeconds: 60,
  probeDeadlineInSeconds: HOUR,
  overlapInSeconds: 24 * HOUR,
  lifetimeInSeconds: LIFETIME,
};

/** A machine of the tenant: what it holds, and what it was told, in order. */
interface Machine {
  generation: number;
  held: SecretReference;
  runs: Run[];
}

interface Run {
  document: string;
  since: number;
  state: "Running" | "Succeeded" | "Refused";
}

const documentOf = ({ document }: Guest): string => JSON.stringify(document);

export async function twoRotations(drawn: Drawn, mutant?: Mutant): Promise<Outcome> {
  const schedule = createSchedule(drawn);
  const clouds = createClouds(schedule, mutant);
  let finished = false;
  let attempt = 0;

  /** As the daily sweep goes on with whatever an attempt has left. */
  const rotate = (): void => {
    const credential = clouds.credential();
    if (credential.generation >= 3 && credential.previous === undefined) {
      finished = true;
      return;
    }
    if (++attempt > 12) return;
    if (attempt > 1) clouds.passUntil(clouds.seconds() + 24 * HOUR);
    schedule.spawn((point) => clouds.sweep(point));
    const operationId = `rotation-contoso-${attempt}`;
    const generation = generationToMake(credential);
    const input: Rotation = { work: { ...work, operationId }, key, generation, spec, names, ground, pace };
    orchestrate(schedule, clouds, rotateClientSecret, input, rotate);
  };
  rotate();
  const ended = await schedule.run();
  clouds.passUntil(clouds.seconds() + 48 * HOUR);
  await clouds.sweep(async () => undefined);
  return {
    finished: finished && ended,
    outages: clouds.outages(),
    orphans: clouds.orphans(),
    made: clouds.made(),
    steps: schedule.steps(),
  };
}

type Clouds = ReturnType<typeof createClouds>;

function createClouds(schedule: Schedule, mutant: Mutant | undefined) {
  let now = Date.parse("2026-11-23T00:00:00Z") / 1000;
  let outages = 0;
  let made = 0;
  const entra = new Map<string, ListedPassword>();
  const vault: (SecretVersion & { value: string })[] = [];
  const machines = new Map<string, Machine>();

  /** Its text is its id: nobody here has to keep a secret. */
  function password(displayName: string, endDateTime: string): string {
    const keyId = `key-${++made}`;
    entra.set(keyId, { keyId, displayName, startDateTime: new Date(now * 1000).toISOString(), endDateTime });
    return keyId;
  }
  function store(value: string, tags: Record<string, string>, expiresOn: Date | undefined): SecretReference {
    const stored = reference(vaultName, `v${vault.length + 1}`);
    vault.unshift({ reference: stored, tags, createdOn: new Date(now * 1000), expiresOn, value });
    return stored;
  }
  const valueOf = ({ version }: SecretReference): string =>
    vault.find(({ reference: stored }) => stored.version === version)?.value ?? "";
  const look = (): void => {
    for (const { held } of machines.values()) if (!entra.has(valueOf(held))) outages++;
  };

  const expiresOn = new Date((now + LIFETIME) * 1000);
  const first = password(`${OURS}onboarding`, expiresOn.toISOString());
  const held = store(first, { "gatehouse-generation": "1", "gatehouse-key": first }, expiresOn);
  for (const { virtualMachine } of names.regions.flatMap((region) => region.machines))
    machines.set(virtualMachine, { generation: 1, held, runs: [] });
  let row: CredentialRecord & { etag: number } = {
    ...key,
    vaultUrl,
    objectId: "o",
    clientId: "c",
    generation: 1,
    current: { reference: held, keyId: first, expiresAt: expiresOn.toISOString() },
    updatedAt: "",
    etag: 1,
  };

  /** One piece of I/O: others have their turns before its effect, and before its answer is heard. */
  const io =
    (point: Point) =>
    async <T>(effect: () => T): Promise<T> => {
      await point();
      const result = effect();
      look();
      await point();
      return result;
    };

  const changed = ({ previous, rotation, ...rest }: CredentialChange): typeof row => {
    const { previous: before, rotation: running, ...kept } = row;
    const [nextPrevious, nextRotation] = [
      previous === undefined ? before : previous,
      rotation === undefined ? running : rotation,
    ];
    const optional = { ...(nextPrevious && { previous: nextPrevious }), ...(nextRotation && { rotation: nextRotation }) };
    return { ...kept, ...rest, ...optional, etag: row.etag + 1 };
  };

  /** Azure gives up a run that takes longer; its machine may get to it all the same. */
  const goesOn = ({ state, since }: Run): boolean => state === "Running" && now < since + 1800;

  /** The engine in the machine: one run at a time (a mutex), and nothing older than what was set before (the fence). */
  function apply(machine: Machine, run: Run, { generation, registry = [] }: Guest["document"]): void {
    const fenced = mutant !== "without the fence" && generation < machine.generation;
    run.state = fenced ? "Refused" : "Succeeded";
    if (fenced) return;
    machine.generation = generation;
    const told = registry.find(({ name }) => name === "OAuthClientSecret")?.secret;
    if (told) machine.held = told;
    look();
  }

  const guestOf = (point: Point): Resource<Guest, ActualGuest> => {
    const call = io(point);
    const machineOf = ({ virtualMachine }: Guest): Machine => machines.get(virtualMachine) as Machine;
    const begin = (desired: Guest) =>
      call(() => {
        const machine = machineOf(desired);
        const run: Run = { document: documentOf(desired), since: now, state: "Running" };
        const operationUrl = `${desired.virtualMachine}/${machine.runs.push(run) - 1}`;
        schedule.spawn(async () => apply(machine, run, desired.document));
        return { state: "begun", operationUrl, retryAfterInSeconds: 60 } as const;
      });
    return {
      kind: "guest",
      observe: (desired) =>
        call(() => {
          const number = machineOf(desired).runs.length;
          const run = machineOf(desired).runs[number - 1];
          if (run === undefined || run.document !== documentOf(desired)) return { state: "absent" } as const;
          if (goesOn(run)) return unknown("OperationUnderway", "the run has not ended");
          const failure = run.state === "Succeeded" ? null : { code: run.state, message: "the run has failed" };
          const { generation } = desired.document;
          return present({ run: String(number), inDesiredState: !failure, generation, differences: [], failure, failures: 0 });
        }),
      diff: (_, { failure }) => (failure === null ? [] : [{ path: "failure", from: failure, to: null }]),
      create: begin,
      update: begin,
      remove: async () => done,
    };
  };

  const worldAt = (point: Point): RotationWorld => {
    const call = io(point);
    const list = () => call(() => [...entra.values()]);
    const world: unknown = {
      clock: { now: () => now * 1000 },
      stores: {
        operations: {
          recordProgress: async () => undefined,
          recordStep: async () => ({ steps: [] }),
          recordBeforeImage: async () => ({ blob: "", hash: "" }),
        },
        audit: { begin: async () => undefined, end: async () => undefined },
        tenants: { setConditions: async () => undefined, get: async () => tenant },
        credentials: {
          find: () => call(() => row),
          list: () => call(() => [row]),
          change: async (_key: unknown, decide: (credential: CredentialRecord) => CredentialChange | undefined) => {
            for (;;) {
              const read = await call(() => row);
              const change = decide(read);
              if (change === undefined) return read;
              // If-Match
              const written = await call(() => (row.etag === read.etag ? (row = changed(change)) : undefined));
              if (written !== undefined) return written;
            }
          },
        },
      },
      passwords: {
        list,
        add: (_organization: string, _objectId: string, wanted: { displayName: string; endDateTime: string }) =>
          call(() => {
            const keyId = password(wanted.displayName, wanted.endDateTime);
            return { keyId, secretText: keyId };
          }),
        remove: (_organization: string, _objectId: string, keyId: string) => call(() => void entra.delete(keyId)),
      },
      vaults: {
        read: (wanted: SecretReference) => call(() => valueOf(wanted)),
        versions: () => call(() => [...vault]),
        write: ({ value, tags, expiresOn: end }: { value: string; tags: Record<string, string>; expiresOn?: Date }) =>
          call(() => store(value, tags, end)),
      },
      checkClientSecret: ({ clientSecret }: { clientSecret: string }) => call(() => entra.has(clientSecret)),
    };
    return world as RotationWorld;
  };

  /** All that a rotation calls, for one execution of one activity. */
  function activitiesAt(point: Point): Record<string, (input: never) => Promise<unknown>> {
    const world = worldAt(point);
    const call = io(point);
    const azure = {
      pollOperation: ({ operationUrl }: { operationUrl: string }) =>
        call(() => {
          const [virtualMachine = "", number = 0] = operationUrl.split("/");
          const run = machines.get(virtualMachine)?.runs[Number(number)];
          return run && goesOn(run) ? { status: "running", retryAfterInSeconds: 60 } : { status: "succeeded" };
        }),
    };
    const certificates = { ownsOperation: () => false };
    const resources = { guest: guestOf(point) };
    const clients = { resources, stores: world.stores, azure, certificates } as unknown as Parameters<
      typeof createResourceActivities
    >[0];
    const real = createRotationActivities(world);
    const createClientSecret: typeof real.createClientSecret = async (input) => {
      if (mutant === "cleans up while it makes") {
        const known = new Set((await world.vaults.versions("", "", "")).map(({ tags }) => tags["gatehouse-key"]));
        for (const { keyId } of await world.passwords.list("", ""))
          if (!known.has(keyId)) await world.passwords.remove("", "", keyId);
      }
      return real.createClientSecret(input);
    };
    const readMailRoute = async () => ({ smartHost: "contoso-example.mail.example", relayFrom: ["198.51.100.0/24"] });
    return { ...createResourceActivities(clients), ...real, createClientSecret, readMailRoute };
  }

  return {
    activitiesAt,
    credential: () => row,
    outages: () => outages,
    made: () => made,
    seconds: () => now,
    /** Time never goes back: a timer that slept too long is late. */
    passUntil: (seconds: number) => void (now = Math.max(now, seconds)),
    /** Of what it was shown: a rotation may have begun meanwhile. */
    sweep: async (point: Point) => {
      const world = worldAt(point);
      const seen = await world.stores.credentials.find(key);
      if (seen && seen.rotation === undefined) await removeOrphans(world, seen);
    },
    orphans: () => [...entra.keys()].filter((keyId) => keyId !== row.current?.keyId).length,
  };
}

/** What an orchestrator yields here, in place of durable tasks. */
type Wanted =
  | { activity: string; input: unknown }
  | { until: number; cancel(): void }
  | { event: string }
  | { any: Wanted[] }
  | { child: string; input: unknown };

/** The durable host in small: what an activity's first execution to end gives is its result, whatever others of it do later. */
function orchestrate<Input>(
  schedule: Schedule,
  clouds: Clouds,
  run: Orchestrator<Input, unknown>,
  input: Input,
  ended: (output: unknown) => void,
): void {
  let anew: { input: Input } | undefined;
  const df = {
    instanceId: "rotation",
    version: "1.0.0",
    get currentUtcDateTime() {
      return new Date(clouds.seconds() * 1000);
    },
    callActivity: (activity: string, given: unknown): Wanted => ({ activity, input: given }),
    callSubOrchestrator: (child: string, given: unknown): Wanted => ({ child, input: given }),
    createTimer: (at: Date): Wanted => ({ until: at.getTime() / 1000, cancel: () => undefined }),
    waitForExternalEvent: (event: string): Wanted => ({ event }),
    Task: { any: (any: Wanted[]): Wanted => ({ any }) },
    continueAsNew: (given: Input) => void (anew = { input: given }),
  };
  const routine = run({ df } as unknown as OrchestrationContext, input);

  const goOn = (result: unknown): void => {
    const next = routine.next(result);
    if (!next.done) begin(next.value, goOn);
    else if (anew) orchestrate(schedule, clouds, run, anew.input, ended);
    else ended(next.value);
  };
  function begin(task: Task | Wanted, then: (result: unknown) => void): void {
    const wanted = task as Wanted;
    if ("activity" in wanted) return execute(wanted, then);
    if ("until" in wanted)
      return schedule.spawn(async () => {
        clouds.passUntil(wanted.until);
        then(undefined);
      });
    if ("any" in wanted) {
      // Nobody cancels: the timer it is.
      const timer = wanted.any.find((one) => "until" in one);
      if (timer) begin(timer, () => then(timer));
      return;
    }
    if (!("child" in wanted) || wanted.child !== waitForOperation.name) throw new Error(`unexpected: ${JSON.stringify(wanted)}`);
    orchestrate(schedule, clouds, waitForOperation, wanted.input as never, then);
  }
  function execute({ activity, input: given }: { activity: string; input: unknown }, then: (result: unknown) => void): void {
    let known = false;
    const deliver = (): void =>
      schedule.spawn(async (point) => {
        const called = clouds.activitiesAt(point)[activity];
        if (!called) throw new ControlPlaneError("ActivityUnknown", activity, 500);
        const result = await asActivity(activity, called, () => undefined)(given);
        if (known) return;
        known = true;
        then(result);
      }, deliver);
    deliver();
  }
  goOn(undefined);
}

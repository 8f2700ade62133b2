/**
 * Two rotations of a client secret in a row, on two machines: the real orchestrator and the real activities over clouds in memory, under a
 * schedule by chance in which workers die, are delivered again, and wake up late. The clouds answer as the real ones do: Entra shows a
 * secret once and goes on taking it until it is removed; a vault adds versions; a machine takes one document at a time, and no older one.
 */
import { readFileSync } from "node:fs";
import { createRotationActivities, OURS } from "../../functions/rotation/activities.ts";
import { rotateClientSecret } from "../../functions/rotation/client-secret.ts";
import type { Rotation } from "../../functions/rotation/orchestrator.ts";
import { removeOrphans } from "../../functions/rotation/orphans.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { ResourcePace } from "../../shared/durable/resources.ts";
import type { ListedPassword } from "../../shared/graph/passwords.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { type CredentialChange, type CredentialRecord, generationToMake } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { orchestrate } from "./host-by-chance.ts";
import { createMachines } from "./machines-by-chance.ts";
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

/** What a machine has seen of generations, and what it holds. */
interface Held {
  generation: number;
  held: SecretReference;
}

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

function createClouds(schedule: Schedule, mutant: Mutant | undefined) {
  let now = Date.parse("2026-11-23T00:00:00Z") / 1000;
  let outages = 0;
  let made = 0;
  const entra = new Map<string, ListedPassword>();
  const vault: (SecretVersion & { value: string })[] = [];
  /** The engine's fence: nothing older than what was set before. */
  const machines = createMachines<Held>(
    schedule,
    () => now,
    (machine, { generation, registry = [] }) => {
      if (mutant !== "without the fence" && generation < machine.generation) return "Refused";
      const told = registry.find(({ name }) => name === "OAuthClientSecret")?.secret;
      Object.assign(machine, { generation, ...(told && { held: told }) });
      look();
      return "Succeeded";
    },
  );

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
    for (const { held } of machines.states()) if (!entra.has(valueOf(held))) outages++;
  };

  const expiresOn = new Date((now + LIFETIME) * 1000);
  const first = password(`${OURS}onboarding`, expiresOn.toISOString());
  const held = store(first, { "gatehouse-generation": "1", "gatehouse-key": first }, expiresOn);
  for (const { virtualMachine } of names.regions.flatMap((region) => region.machines))
    machines.add(virtualMachine, { generation: 1, held });
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
    const certificates = { ownsOperation: () => false };
    const resources = { guest: machines.guest(call) };
    const clients = { resources, stores: world.stores, azure: machines.azure(call), certificates } as unknown as Parameters<
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

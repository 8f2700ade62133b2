/**
 * Two rotations of the administrator's password in a row, on two machines that each have one password at a time: the real orchestrator and
 * the real activities over clouds in memory, under a schedule by chance. Some of the tries are emergencies, which reset what they don't know.
 */
import { readFileSync } from "node:fs";
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import type { Rotation } from "../../functions/rotation/orchestrator.ts";
import { rotatePassword } from "../../functions/rotation/password.ts";
import { createPasswordActivities } from "../../functions/rotation/password-activities.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { type CredentialChange, type CredentialRecord, generationToMake } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { orchestrate } from "./host-by-chance.ts";
import { type Call, createMachines } from "./machines-by-chance.ts";
import { createSchedule, type Drawn, type Point, type Schedule } from "./schedules.ts";

/** What is left out, or done wrongly, to see that it is noticed. */
export type PasswordMutant = "without the fence" | "makes another each time";

/** About how many steps two rotations take. */
const LENGTH = 160;
const MOST_TRIES = 12;
const HOUR = 3600;

/** Plays schedules one after another; gives the number of the first one that went wrong. */
export async function firstPasswordLost(
  numbers: { from: number; to: number },
  mutant?: PasswordMutant,
): Promise<number | undefined> {
  for (let number = numbers.from; number < numbers.to; number++) {
    const { finished, lost } = await twoPasswords({ seed: number * 7919 + 1, depth: 1 + (number % 5), length: LENGTH }, mutant);
    if (!finished || lost > 0) return number;
  }
  return undefined;
}

interface Outcome {
  /** Both rotations came to their end. */
  finished: boolean;
  /** Times that a machine had a password which nobody could read any more; at the end also one that isn't the current one. */
  lost: number;
  steps: number;
}

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as Record<string, unknown>;
const parsed = tenantSpecSchema.parse(contoso);
const spec = { ...parsed, gateway: { ...parsed.gateway, regions: [{ name: "westeurope", machines: 2 }] } };
const vaultUrl = "https://contoso-kv.vault.azure.net";
const key = { partnerId: "northwind", tenantId: "contoso", name: "administratorPassword" as const };
const reference = (version: string): SecretReference => ({ vaultUrl, name: "gateway-admin-password", version });
const address = (number: number) => ({ id: `ip${number}`, ipAddress: `203.0.113.${number}`, fqdn: `gw${number}.example` });
const places: Rotation["ground"] = {
  regions: [{ machines: [address(1), address(2)] }],
  loopGuid: { vaultUrl, name: "loop-guid", version: "a1" },
  identityClientId: "c0ffee00-0000-4000-8000-0000000000f1",
};
const { work, names } = targetOf({ ...key, id: key.tenantId, spec, facts: {} } as unknown as TenantRecord);
const pace: Rotation["pace"] = {
  patience: { tries: 6, firstWaitInSeconds: 5, longestWaitInSeconds: 60 },
  operationDeadlineInSeconds: 300,
  probeIntervalInSeconds: 60,
  probeDeadlineInSeconds: HOUR,
  overlapInSeconds: 24 * HOUR,
  lifetimeInSeconds: 180 * 24 * HOUR,
};

export async function twoPasswords(drawn: Drawn, mutant?: PasswordMutant): Promise<Outcome> {
  const schedule = createSchedule(drawn);
  const clouds = createClouds(schedule, mutant);
  let finished = false;
  let attempt = 0;

  /** Asked for again and again until there have been two. */
  const rotate = (): void => {
    const credential = clouds.credential();
    if (credential.generation >= 3 && credential.previous === undefined) {
      finished = true;
      return;
    }
    if (++attempt > MOST_TRIES) return;
    if (attempt > 1) clouds.passUntil(clouds.seconds() + 24 * HOUR);
    const emergency = credential.previous === undefined && schedule.chance() < 1 / 2;
    const operationId = `rotation-contoso-${attempt}`;
    const generation = generationToMake(credential);
    const input: Rotation = { work: { ...work, operationId }, key, generation, spec, names, ground: places, pace };
    orchestrate(schedule, clouds, rotatePassword, emergency ? { ...input, emergency } : input, rotate);
  };
  rotate();
  const ended = await schedule.run();
  return { finished: finished && ended, lost: clouds.lost() + clouds.others(), steps: schedule.steps() };
}

function createClouds(schedule: Schedule, mutant: PasswordMutant | undefined) {
  let now = Date.parse("2026-11-23T00:00:00Z") / 1000;
  let lost = 0;
  const vault: SecretVersion[] = [
    { reference: reference("v1"), tags: {}, createdOn: new Date(now * 1000), expiresOn: undefined },
  ];
  const off = new Set<string>();
  let facts: Record<string, unknown> = { ground: { ...places, adminPassword: reference("v1") } };
  let row: CredentialRecord & { etag: number } = {
    ...key,
    vaultUrl,
    objectId: "",
    clientId: "",
    generation: 1,
    current: { reference: reference("v1"), keyId: "v1" },
    updatedAt: "",
    etag: 1,
  };

  /** One that has another password than those that it is told of refuses to change, unless it is told to reset. */
  const machines = createMachines<{ generation: number; password: string }>(
    schedule,
    () => now,
    (machine, { generation, passwords = [] }) => {
      if (mutant !== "without the fence" && generation < machine.generation) return "Refused";
      machine.generation = generation;
      for (const { secret, earlier = [], reset } of passwords) {
        if (machine.password === secret.version) continue;
        if (!reset && earlier.every(({ version }) => version !== machine.password)) return "PasswordUnknown";
        machine.password = secret.version;
      }
      look();
      return "Succeeded";
    },
  );
  for (const { virtualMachine } of names.regions.flatMap((region) => region.machines))
    machines.add(virtualMachine, { generation: 1, password: "v1" });
  const look = (): void => {
    for (const { password } of machines.states()) if (off.has(password)) lost++;
  };

  const callAt =
    (point: Point): Call =>
    async (effect) => {
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

  const worldAt = (call: Call): RotationWorld => {
    const world: unknown = {
      clock: { now: () => now * 1000 },
      stores: {
        operations: {
          recordProgress: async () => undefined,
          recordStep: async () => ({ steps: [] }),
          recordBeforeImage: async () => ({ blob: "", hash: "" }),
        },
        audit: { begin: async () => undefined, end: async () => undefined },
        tenants: {
          setConditions: async () => undefined,
          change: (_partnerId: string, _tenantId: string, decide: (tenant: TenantRecord) => Partial<TenantRecord> | undefined) =>
            call(() => void (facts = decide({ facts } as TenantRecord)?.facts ?? facts)),
        },
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
      vaults: {
        versions: () =>
          call(() =>
            mutant === "makes another each time" ? [] : vault.filter(({ reference: { version } }) => !off.has(version)),
          ),
        write: ({ tags }: { tags: Record<string, string> }) =>
          call(() => {
            const made = reference(`v${vault.length + 1}`);
            vault.unshift({ reference: made, tags, createdOn: new Date(now * 1000), expiresOn: undefined });
            return made;
          }),
        disable: ({ version }: SecretReference) => call(() => void off.add(version)),
      },
    };
    return world as RotationWorld;
  };

  function activitiesAt(point: Point): Record<string, (input: never) => Promise<unknown>> {
    const call = callAt(point);
    const world = worldAt(call);
    const certificates = { ownsOperation: () => false };
    const resources = { guest: machines.guest(call) };
    const clients = { resources, stores: world.stores, azure: machines.azure(call), certificates };
    return {
      ...createResourceActivities(clients as unknown as Parameters<typeof createResourceActivities>[0]),
      ...createRotationActivities(world),
      ...createPasswordActivities(world),
    };
  }

  return {
    activitiesAt,
    credential: () => row,
    seconds: () => now,
    passUntil: (seconds: number) => void (now = Math.max(now, seconds)),
    lost: () => lost,
    /** Machines that have another one than the current, and those who would make one with another. */
    others: () => {
      const current = row.current?.reference.version;
      const made = (facts["ground"] as Ground).adminPassword.version;
      return machines.states().filter(({ password }) => password !== current).length + (made === current ? 0 : 1);
    },
  };
}

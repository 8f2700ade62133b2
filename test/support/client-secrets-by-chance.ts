/**
 * Client secrets under schedules by chance. The clouds answer as the real ones do: Entra shows a secret once and goes on taking it until it
 * is removed; a vault adds versions; a machine takes one document at a time, and no older one.
 */
import { createRotationActivities, OURS } from "../../functions/rotation/activities.ts";
import { rotateClientSecret } from "../../functions/rotation/client-secret.ts";
import { removeOrphans } from "../../functions/rotation/orphans.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { ListedPassword } from "../../shared/graph/passwords.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { createMachines } from "./machines-by-chance.ts";
import { callsAt, createRows, createTime, HOUR, LIFETIME, type Play, site, twoInARow } from "./rotations-by-chance.ts";
import { createSchedule, type Point, type Schedule } from "./schedules.ts";

/** What is left out, or done wrongly, to see that it is noticed. */
export type ClientSecretMutant = "without the fence" | "cleans up while it makes";

/** About how many steps two rotations take. */
const LENGTH = 240;

/** Wrong: a machine held a secret which Entra would have refused. Left: secrets of ours that Entra takes, beside the current one. */
export const twoClientSecrets: Play<ClientSecretMutant> = async (drawn, mutant) => {
  const schedule = createSchedule({ ...drawn, length: LENGTH });
  const clouds = createClouds(schedule, mutant);
  const finished = await twoInARow(schedule, clouds, {
    orchestrator: rotateClientSecret,
    inputOf: site.inputOf,
    mostTries: 12,
    beside: () => schedule.spawn((point) => clouds.sweep(point)),
  });
  clouds.passUntil(clouds.seconds() + 48 * HOUR);
  await clouds.sweep(async () => undefined);
  return { finished, wrong: clouds.outages(), left: clouds.orphans(), steps: schedule.steps() };
};

const key = site.keyOf("clientSecret");

/** What a machine has seen of generations, and what it holds. */
interface Held {
  generation: number;
  held: SecretReference;
}

function createClouds(schedule: Schedule, mutant: ClientSecretMutant | undefined) {
  const { seconds, passUntil } = createTime();
  let outages = 0;
  let made = 0;
  const entra = new Map<string, ListedPassword>();
  const vault: (SecretVersion & { value: string })[] = [];
  /** The engine's fence: nothing older than what was set before. */
  const machines = createMachines<Held>(schedule, seconds, (machine, { generation, registry = [] }) => {
    if (mutant !== "without the fence" && generation < machine.generation) return "Refused";
    const told = registry.find(({ name }) => name === "OAuthClientSecret")?.secret;
    Object.assign(machine, { generation, ...(told && { held: told }) });
    look();
    return "Succeeded";
  });

  /** Its text is its id: nobody here has to keep a secret. */
  function password(displayName: string, endDateTime: string): string {
    const keyId = `key-${++made}`;
    entra.set(keyId, { keyId, displayName, startDateTime: new Date(seconds() * 1000).toISOString(), endDateTime });
    return keyId;
  }
  function store(value: string, tags: Record<string, string>, expiresOn: Date | undefined): SecretReference {
    const stored = site.referenceOf("webclient-client-secret", `v${vault.length + 1}`);
    vault.unshift({ reference: stored, tags, createdOn: new Date(seconds() * 1000), expiresOn, value });
    return stored;
  }
  const valueOf = ({ version }: SecretReference): string =>
    vault.find(({ reference: stored }) => stored.version === version)?.value ?? "";
  const look = (): void => {
    for (const { held } of machines.states()) if (!entra.has(valueOf(held))) outages++;
  };

  const expiresOn = new Date((seconds() + LIFETIME) * 1000);
  const expiresAt = expiresOn.toISOString();
  const first = password(`${OURS}onboarding`, expiresAt);
  const held = store(first, { "gatehouse-generation": "1", "gatehouse-key": first }, expiresOn);
  for (const virtualMachine of site.virtualMachines) machines.add(virtualMachine, { generation: 1, held });
  const current = { reference: held, keyId: first, expiresAt };
  const rows = createRows({ ...key, vaultUrl: held.vaultUrl, objectId: "o", clientId: "c", current }, { ground: site.ground });
  const callAt = callsAt(look);

  const worldAt = (point: Point): RotationWorld => {
    const call = callAt(point);
    const world: unknown = {
      clock: { now: () => seconds() * 1000 },
      stores: rows.storesAt(call),
      passwords: {
        list: () => call(() => [...entra.values()]),
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
    const call = callAt(point);
    const real = createRotationActivities(world);
    const createClientSecret: typeof real.createClientSecret = async (input) => {
      if (mutant === "cleans up while it makes") {
        const known = new Set((await world.vaults.versions("", "", "")).map(({ tags }) => tags["gatehouse-key"]));
        for (const { keyId } of await world.passwords.list("", ""))
          if (!known.has(keyId)) await world.passwords.remove("", "", keyId);
      }
      return real.createClientSecret(input);
    };
    return {
      ...createResourceActivities(machines.clientsAt(call, world.stores)),
      ...real,
      createClientSecret,
      readMailRoute: async () => site.mailRoute,
    };
  }

  return {
    activitiesAt,
    credential: rows.credential,
    outages: () => outages,
    seconds,
    passUntil,
    /** Of what it was shown: a rotation may have begun meanwhile. */
    sweep: async (point: Point) => {
      const world = worldAt(point);
      const seen = await world.stores.credentials.find(key);
      if (seen && seen.rotation === undefined) await removeOrphans(world, seen);
    },
    orphans: () => [...entra.keys()].filter((keyId) => keyId !== rows.credential().current?.keyId).length,
  };
}

/**
 * Passwords of the administrator under schedules by chance, on machines that each have one at a time. Some of the tries are emergencies,
 * which reset what they don't know.
 */
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import { rotatePassword } from "../../functions/rotation/password.ts";
import { createPasswordActivities } from "../../functions/rotation/password-activities.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { createMachines } from "./machines-by-chance.ts";
import { callsAt, createGenerated, createRows, createTime, type Play, site, twoInARow } from "./rotations-by-chance.ts";
import { createSchedule, type Point, type Schedule } from "./schedules.ts";

/** What is left out, or done wrongly, to see that it is noticed. */
export type PasswordMutant = "without the fence" | "makes another each time";

/** About how many steps two rotations take. */
const LENGTH = 160;

/** Wrong: a machine had a password which nobody could read any more. Left: machines that have another one than the current. */
export const twoPasswords: Play<PasswordMutant> = async (drawn, mutant) => {
  const schedule = createSchedule({ ...drawn, length: LENGTH });
  const clouds = createClouds(schedule, mutant);
  const finished = await twoInARow(schedule, clouds, {
    orchestrator: rotatePassword,
    inputOf(credential, operationId) {
      const emergency = credential.previous === undefined && schedule.chance() < 1 / 2;
      return { ...site.inputOf(credential, operationId), ...(emergency && { emergency }) };
    },
    mostTries: 12,
  });
  return { finished, wrong: clouds.lost(), left: clouds.others(), steps: schedule.steps() };
};

const reference = (version: string): SecretReference => site.referenceOf("gateway-admin-password", version);

function createClouds(schedule: Schedule, mutant: PasswordMutant | undefined) {
  const { seconds, passUntil } = createTime();
  let lost = 0;
  const vault = createGenerated(reference, seconds);
  const current = { reference: reference("v1"), keyId: "v1" };
  const rows = createRows(
    { ...site.keyOf("administratorPassword"), vaultUrl: current.reference.vaultUrl, objectId: "", clientId: "", current },
    { ground: { ...site.ground, adminPassword: current.reference } },
  );

  /** One that has another password than those that it is told of refuses to change, unless it is told to reset. */
  const machines = createMachines<{ generation: number; password: string }>(
    schedule,
    seconds,
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
  for (const virtualMachine of site.virtualMachines) machines.add(virtualMachine, { generation: 1, password: "v1" });
  const look = (): void => {
    for (const { password } of machines.states()) if (!vault.readable(password)) lost++;
  };
  const callAt = callsAt(look);

  function activitiesAt(point: Point): Record<string, (input: never) => Promise<unknown>> {
    const call = callAt(point);
    const stores = rows.storesAt(call);
    const vaults = vault.vaultsAt(call);
    const versions = mutant === "makes another each time" ? () => call(() => []) : vaults.versions;
    const world = { clock: { now: () => seconds() * 1000 }, stores, vaults: { ...vaults, versions } } as unknown as RotationWorld;
    return {
      ...createResourceActivities(machines.clientsAt(call, world.stores)),
      ...createRotationActivities(world),
      ...createPasswordActivities(world),
    };
  }

  return {
    activitiesAt,
    credential: rows.credential,
    seconds,
    passUntil,
    lost: () => lost,
    /** And those who would make one with another. */
    others: () => {
      const wanted = rows.credential().current?.reference.version;
      const made = (rows.facts()["ground"] as Ground).adminPassword.version;
      return machines.states().filter(({ password }) => password !== wanted).length + (made === wanted ? 0 : 1);
    },
  };
}

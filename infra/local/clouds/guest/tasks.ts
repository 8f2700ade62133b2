/**
 * Plays the scheduled tasks of simulated machines: whoever has a task, its script and settings and a running Windows does what the script
 * would, on the task's modelled schedule, with a token of the identity that is assigned to the machine.
 */
import type * as z from "zod";
import { createEstate, keyOf, sameId, type Estate, type Stored } from "../arm/estate.ts";
import { createFailures } from "../arm/failures.ts";
import { createOperations } from "../arm/operations.ts";
import type { Collection, Platform } from "../simulator.ts";
import type { GuestState, ScheduledTask } from "./state.ts";

export const MINUTE = 60_000;
/** Even at tempo 0 machines don't report without a pause. */
const SHORTEST_ROUND_IN_MILLISECONDS = 1000;

/** A script that is recognised, and what it does. */
export interface TaskScript<Settings> {
  /** The task's name. */
  task: string;
  /** Name of script and settings in our folder. */
  script: string;
  version: number;
  settings: z.ZodType<Settings>;
  run(machine: TaskMachine, settings: Settings): Promise<void>;
}

export interface TaskMachine {
  platform: Platform;
  estate: Estate;
  guest: GuestState;
  machine: Stored;
  /** Undefined for an identity that the machine has not: the metadata endpoint then answers with 400. */
  token(identity: { identityClientId: string; audience: string }): Promise<string | undefined>;
}

/** A look at all machines each modelled minute; `stop` ends it. */
export function startTask<Settings>(platform: Platform, script: TaskScript<Settings>): { stop(): void } {
  // A second look at what ARM keeps; nothing is written through it.
  const estate = createEstate(platform, createOperations(platform), createFailures());
  const runs: Collection<{ lastAt: number }> = platform.collection(`guest.task-${script.script}`);
  let stopped = false;
  let timer: { cancel(): void };
  const round = async (): Promise<void> => {
    await Promise.allSettled(estate.guests.values().map((guest) => runWhenDue(guest)));
    if (!stopped) next();
  };
  const next = (): void => {
    timer = platform.after(Math.max(SHORTEST_ROUND_IN_MILLISECONDS, MINUTE * platform.tempo), () => void round());
  };

  async function runWhenDue(guest: GuestState): Promise<void> {
    const task = guest.tasks[script.task];
    const machine = estate.resource(guest.virtualMachineId);
    if (task?.enabled !== true || machine?.facts["power"] !== "running" || machine.facts["outage"] === true) return;
    const key = keyOf(guest.virtualMachineId);
    if (platform.now() < dueAt(task, runs.get(key), platform.tempo)) return;
    runs.set(key, { lastAt: platform.now() });
    const settings = settingsOf(guest, script);
    if (settings === undefined) return;
    const token: TaskMachine["token"] = async ({ identityClientId, audience }) =>
      assigned(platform, machine, identityClientId) ? platform.peers.tokenForIdentity?.(identityClientId, audience) : undefined;
    await script.run({ platform, estate, guest, machine, token }, settings);
  }

  next();
  return {
    stop: () => {
      stopped = true;
      timer.cancel();
    },
  };
}

/** A task first runs a minute after it was registered. */
const dueAt = ({ registeredAt, everyInMinutes }: ScheduledTask, last: { lastAt: number } | undefined, tempo: number): number =>
  last === undefined || last.lastAt < registeredAt
    ? registeredAt + MINUTE * tempo
    : last.lastAt + everyInMinutes * MINUTE * tempo;

function settingsOf<Settings>({ files }: GuestState, script: TaskScript<Settings>): Settings | undefined {
  const path = `c:\\program files\\gatehouse\\${script.script}`;
  if (!files[`${path}.ps1`]?.text.startsWith(`# gatehouse-guest-${script.script} ${script.version}`)) return undefined;
  try {
    return script.settings.parse(JSON.parse(files[`${path}.json`]?.text ?? ""));
  } catch {
    return undefined;
  }
}

/** The metadata endpoint gives tokens only of identities that are assigned to the machine. */
function assigned({ peers }: Platform, { body }: Stored, clientId: string): boolean {
  const { userAssignedIdentities = {} } = (body["identity"] ?? {}) as { userAssignedIdentities?: Record<string, unknown> };
  const identity = peers.identities?.().find((one) => sameId(one.clientId, clientId));
  return identity !== undefined && Object.keys(userAssignedIdentities).some((id) => sameId(id, identity.resourceId));
}

/** As the scripts write times. */
export const seconds = (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`;

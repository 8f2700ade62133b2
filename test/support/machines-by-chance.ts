/** Machines that are given documents under a schedule by chance: one run at a time, each whenever its machine gets to it. */
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { createResourceActivities } from "../../shared/resources/activities.ts";
import type { Guest, ActualGuest } from "../../shared/resources/guest.ts";
import { done, present, type Resource, unknown } from "../../shared/resources/resource.ts";
import type { Schedule } from "./schedules.ts";

/** One piece of I/O: others have their turns before its effect, and before its answer is heard. */
export type Call = <T>(effect: () => T) => Promise<T>;

/** How a run ends; of a failure the engine's code. */
type Ending = "Succeeded" | "Refused" | "PasswordUnknown";

interface Run {
  document: string;
  since: number;
  state: "Running" | Ending;
}

/** Azure gives up a run that takes longer; its machine may get to it all the same. */
const LONGEST_RUN_IN_SECONDS = 1800;

const documentOf = ({ document }: Guest): string => JSON.stringify(document);

/** `apply` is the engine: it changes a machine's state, whole, and says how that ended. */
export function createMachines<State extends object>(
  schedule: Schedule,
  seconds: () => number,
  apply: (state: State, document: Guest["document"]) => Ending,
) {
  const machines = new Map<string, { state: State; runs: Run[] }>();
  const machineOf = (name: string): { state: State; runs: Run[] } => {
    const found = machines.get(name);
    if (!found) throw new Error(`there is no machine ${name}`);
    return found;
  };
  const goesOn = ({ state, since }: Run): boolean => state === "Running" && seconds() < since + LONGEST_RUN_IN_SECONDS;

  const guest = (call: Call): Resource<Guest, ActualGuest> => {
    const begin = (desired: Guest) =>
      call(() => {
        const { state, runs } = machineOf(desired.virtualMachine);
        const run: Run = { document: documentOf(desired), since: seconds(), state: "Running" };
        const operationUrl = `${desired.virtualMachine}/${runs.push(run) - 1}`;
        schedule.spawn(async () => void (run.state = apply(state, desired.document)));
        return { state: "begun", operationUrl, retryAfterInSeconds: 60 } as const;
      });
    return {
      kind: "guest",
      observe: (desired) =>
        call(() => {
          const { runs } = machineOf(desired.virtualMachine);
          const run = runs.at(-1);
          if (run === undefined || run.document !== documentOf(desired)) return { state: "absent" } as const;
          if (goesOn(run)) return unknown("OperationUnderway", "the run has not ended");
          const failure = run.state === "Succeeded" ? null : { code: run.state, message: "the run has failed" };
          const { generation } = desired.document;
          const seen = { run: String(runs.length), inDesiredState: !failure, generation, differences: [], failure };
          return present({ ...seen, failures: 0 });
        }),
      diff: (_, { failure }) => (failure === null ? [] : [{ path: "failure", from: failure, to: null }]),
      create: begin,
      update: begin,
      remove: async () => done,
    };
  };

  /** Of Azure what waits for a run. */
  const azure = (call: Call) => ({
    pollOperation: ({ operationUrl }: { operationUrl: string }) =>
      call(() => {
        const [name = "", number = 0] = operationUrl.split("/");
        const run = machines.get(name)?.runs[Number(number)];
        return run && goesOn(run) ? { status: "running", retryAfterInSeconds: 60 } : { status: "succeeded" };
      }),
  });

  return {
    add: (name: string, state: State) => void machines.set(name, { state, runs: [] }),
    states: () => [...machines.values()].map(({ state }) => state),
    /** What the generic activities over resources work with; `others` are resources beside the machines. */
    clientsAt: (call: Call, stores: RotationWorld["stores"], others: Record<string, Resource<never, unknown>> = {}) =>
      ({
        resources: { ...others, guest: guest(call) },
        stores,
        azure: azure(call),
        certificates: { ownsOperation: () => false },
      }) as unknown as Parameters<typeof createResourceActivities>[0],
  };
}

/**
 * Manual, chapters 3.2 and 4.1; mission B2, B3, B5: what Windows inside the gateway looks like, set by Run Command from a guest document.
 *
 * A run is a run command of the machine, named `gatehouse-{mode}-{sequence}-{hash}`: the hash is the document's, the engine's and the
 * identity's, the sequence grows over all runs of a machine. `observe` reads what the newest run printed, so it costs two GETs and
 * never waits; if the newest run was for another document, this one is absent. A run says how the machine was when it ended: whoever
 * wants to know how it is now (drift, a proof) begins `testAgain`, polls it like any other write, and observes then.
 */
import { createHash } from "node:crypto";
import type { VirtualMachineRunCommand } from "@azure/arm-compute";
import type { Azure, AzureClients } from "../azure/client.ts";
import { isTerminal } from "../azure/client.ts";
import { readFailure } from "../azure/owned.ts";
import { ownedBy, ownershipTags, type Place } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import { encodeDocument, type GuestDocument, guestDocumentSchema } from "../guest/document.ts";
import { engineScript, type GuestMode, parseEngineOutput } from "../guest/engine.ts";
import { type Begun, type Done, done, type Observed, type PropertyChange, present, type Resource, unknown } from "./resource.ts";

export type Guest = Place & {
  /** Name of the virtual machine. */
  virtualMachine: string;
  /** Client id of the machine's identity: how it fetches the secrets that the document refers to. */
  identityClientId: string;
  document: GuestDocument;
};

export interface ActualGuest {
  /** Name of the run that says so. */
  run: string;
  inDesiredState: boolean;
  generation: number;
  /** Names of properties that differ, for example `smtp/smartHost`; never values. */
  differences: string[];
  /** Why the run failed, in the engine's words; null when it did not. */
  failure: { code: string; message: string } | null;
  /** How many of the newest runs of this document failed in a row. */
  failures: number;
}

export interface GuestResource extends Resource<Guest, ActualGuest> {
  /** Begins a run that only looks; once it has ended, `observe` tells what it saw. */
  testAgain(desired: Guest): Promise<Done | Begun>;
}

/** A feature that is installed, a role assignment that takes its time: long, but not Run Command's own 90 minutes. */
const TIMEOUT_IN_SECONDS = 1800;

/** One failure may be the machine still starting; a second one is the document's or the machine's fault. */
const MOST_FAILURES = 2;

export const guest = ({ azure }: { azure: Azure }): GuestResource => {
  const what = ({ virtualMachine }: Guest): string => `guest of ${virtualMachine}`;

  const list = (desired: Guest): Promise<Observed<Run[]>> =>
    azure.read(desired, async (clients) => {
      const runs: Run[] = [];
      const { virtualMachineRunCommands } = await clients.compute();
      for await (const found of virtualMachineRunCommands.listByVirtualMachine(desired.resourceGroup, desired.virtualMachine)) {
        const run = runFrom(found, desired);
        if (run !== undefined) runs.push(run);
      }
      return runs.sort((one, other) => other.sequence - one.sequence);
    });

  const outcomeOf = (desired: Guest, name: string): Promise<Observed<VirtualMachineRunCommand>> =>
    azure.read(desired, async (clients) =>
      (await clients.compute()).virtualMachineRunCommands.getByVirtualMachine(
        desired.resourceGroup,
        desired.virtualMachine,
        name,
        {
          expand: "instanceView",
        },
      ),
    );

  const observe = async (desired: Guest): Promise<Observed<ActualGuest>> => {
    const listed = await list(desired);
    if (listed.state !== "present") return listed;
    const hash = hashOf(desired);
    const [newest, ...others] = ours(listed.actual);
    if (newest === undefined || newest.hash !== hash) return { state: "absent" };
    const found = await outcomeOf(desired, newest.name);
    if (found.state !== "present") return found;
    const outcome = judge(newest.name, found.actual);
    if ("state" in outcome) return outcome;
    let failures = outcome.failure === null ? 0 : 1;
    for (const earlier of failures === 0 ? [] : others) {
      if (earlier.hash !== hash || failures >= MOST_FAILURES) break;
      const before = await outcomeOf(desired, earlier.name);
      if (before.state === "unknown") return before;
      if (before.state === "absent") break;
      const judged = judge(earlier.name, before.actual);
      if ("state" in judged || judged.failure === null) break;
      failures++;
    }
    return present({ ...outcome, failures });
  };

  /** Starts the next run and clears away all but the newest before it, which stays until this one has an outcome. */
  const run = async (desired: Guest, mode: GuestMode): Promise<Done | Begun> => {
    const listed = await list(desired);
    if (listed.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, listed);
    const runs = listed.state === "present" ? listed.actual : [];
    const hash = hashOf(desired);
    const name = `gatehouse-${mode}-${(runs[0]?.sequence ?? 0) + 1}-${hash}`;
    const begun = await azure.begin(
      `running the engine in mode ${mode} on ${what(desired)}`,
      desired,
      async (clients, onResponse) =>
        (await clients.compute()).virtualMachineRunCommands.beginCreateOrUpdate(
          desired.resourceGroup,
          desired.virtualMachine,
          name,
          runCommand(desired, mode),
          { onResponse },
        ),
    );
    await clear(
      desired,
      ours(runs)
        .slice(1)
        .filter((earlier) => earlier.hash !== hash),
    );
    return begun;
  };

  /** Best effort: what stays is cleared after the next run, and Azure admits many. */
  const clear = async (desired: Guest, runs: Run[]): Promise<void> => {
    await Promise.allSettled(
      runs.map(({ name }) =>
        azure.beginRemoval(`removing the run ${name}`, desired, (clients, onResponse) =>
          removeRun(clients, desired, name, onResponse),
        ),
      ),
    );
  };

  return {
    kind: "guest",
    observe,
    diff: (_, { inDesiredState, differences, failure }) => {
      if (failure !== null) return [{ path: "failure", from: failure, to: null }];
      const changes: PropertyChange[] = differences.map((path) => ({ path, from: "differs", to: "as desired" }));
      return inDesiredState || changes.length > 0 ? changes : [{ path: "inDesiredState", from: false, to: true }];
    },
    create: (desired) => run(desired, "set"),
    /** A document that failed twice in a row is given up; its runs are cleared away, so that the next operation starts afresh. */
    async update(desired, _, { failure, failures }) {
      if (failure === null || failures < MOST_FAILURES) return run(desired, "set");
      const listed = await list(desired);
      if (listed.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, listed);
      const hash = hashOf(desired);
      if (listed.state === "present")
        await clear(
          desired,
          ours(listed.actual).filter((earlier) => earlier.hash === hash),
        );
      throw new ControlPlaneError(
        "GuestFailed",
        `setting the ${what(desired)}: ${failure.code}: ${failure.message}`,
        502,
        false,
        { target: failure.code },
      );
    },
    testAgain: (desired) => run(desired, "test"),
    /** Takes the runs away; what they set inside Windows goes with the machine. */
    async remove(desired) {
      const listed = await list(desired);
      if (listed.state === "absent") return done;
      if (listed.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, listed);
      let last: Done | Begun = done;
      for (const { name } of ours(listed.actual))
        last = await azure.beginRemoval(`removing the run ${name}`, desired, (clients, onResponse) =>
          removeRun(clients, desired, name, onResponse),
        );
      return last;
    },
  };
};

interface Run {
  name: string;
  sequence: number;
  hash: string;
  /** One that doesn't carry our tags only takes its number. */
  ours: boolean;
}

const ours = (runs: Run[]): Run[] => runs.filter((run) => run.ours);

function runFrom({ name = "", tags, provisioningState }: VirtualMachineRunCommand, { owner }: Guest): Run | undefined {
  const [, sequence, hash] = /^gatehouse-(?:set|test)-(\d+)-([0-9a-f]{12})$/.exec(name) ?? [];
  if (sequence === undefined || hash === undefined || provisioningState === "Deleting") return undefined;
  return { name, sequence: Number(sequence), hash, ours: ownedBy(tags, owner) };
}

/** The run's own state says whether Azure ran it, its instance view whether the script did well, its output what it found. */
function judge(
  run: string,
  { provisioningState, instanceView }: VirtualMachineRunCommand,
): Omit<ActualGuest, "failures"> | Extract<Observed<never>, { state: "unknown" }> {
  const execution = instanceView?.executionState ?? "Unknown";
  if (!isTerminal(provisioningState ?? "Succeeded") || execution === "Running" || execution === "Pending")
    return unknown("OperationUnderway", `the run ${run} has not ended`);
  const output = parseEngineOutput(instanceView?.output ?? "");
  const failed = (failure: { code: string; message: string }): Omit<ActualGuest, "failures"> => ({
    run,
    inDesiredState: false,
    generation: output?.generation ?? 0,
    differences: output?.differences ?? [],
    failure,
  });
  if (output?.error !== undefined) return failed(output.error);
  if (execution !== "Succeeded" || (instanceView?.exitCode ?? 0) !== 0 || output === undefined)
    return failed({
      code: execution === "TimedOut" ? "GuestTimedOut" : "GuestFailed",
      message: instanceView?.executionMessage ?? `the run ended as ${execution} and printed nothing that the engine prints`,
    });
  const { inDesiredState, generation, differences } = output;
  return { run, inDesiredState, generation, differences, failure: null };
}

/** Canonical through the document's schema, so that a document which travelled through JSON hashes the same. */
const hashOf = ({ document, identityClientId }: Guest): string =>
  createHash("sha256")
    .update([JSON.stringify(guestDocumentSchema.parse(document)), identityClientId.toLowerCase(), engineScript].join("\n"))
    .digest("hex")
    .slice(0, 12);

/** Nothing but base64url, a word and a GUID: the parameters pass through cmd.exe and stay readable on the machine. */
const runCommand = ({ owner, region, document, identityClientId }: Guest, mode: GuestMode): VirtualMachineRunCommand => ({
  location: region,
  tags: ownershipTags(owner),
  source: { script: engineScript },
  parameters: [
    { name: "Document", value: encodeDocument(document) },
    { name: "Mode", value: mode },
    { name: "IdentityClientId", value: identityClientId },
  ],
  asyncExecution: false,
  timeoutInSeconds: TIMEOUT_IN_SECONDS,
  // The outcome is read from the instance view, where the engine says what is wrong; Azure's own error would hide it.
  treatFailureAsDeploymentFailure: false,
});

const removeRun = async (
  clients: AzureClients,
  { resourceGroup, virtualMachine }: Guest,
  name: string,
  onResponse: Parameters<Parameters<Azure["begin"]>[2]>[1],
) => (await clients.compute()).virtualMachineRunCommands.beginDelete(resourceGroup, virtualMachine, name, { onResponse });

/**
 * Manual, chapters 3.2 and 4.1; mission B2, B3, B5: what Windows inside the gateway looks like, set by Run Command from a guest document.
 *
 * A run is a run command of the machine, named `gatehouse-{mode}-{sequence}-{hash}`: the hash is the document's, the engine's and the
 * identity's, the sequence grows over all runs of a machine. `observe` reads what the newest run printed, so it costs two GETs and
 * never waits; if the newest run was for another document, this one is absent. A run says how the machine was when it ended: whoever
 * wants to know how it is now (drift, a proof) begins `testAgain`, polls it like any other write, and observes then.
 *
 * Two tries that overlap begin one run: the same name says the same, and who finds a newer run than it has observed looks again.
 *
 * A document that doesn't fit into one run goes in parts, one run each: the machine takes them in order, so each `update` starts the
 * first part that is missing or differs, and the whole is as desired when all parts are.
 */
import { createHash } from "node:crypto";
import type { VirtualMachineRunCommand } from "@azure/arm-compute";
import type { Azure, AzureClients } from "../azure/client.ts";
import { isTerminal } from "../azure/client.ts";
import { readFailure } from "../azure/owned.ts";
import { ownedBy, ownershipTags, type Place } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import type { GuestDocument } from "../guest/document.ts";
import { encodeDocument, partsOf } from "../guest/encoding.ts";
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
  /** Of a document in several parts: the first one that is not as desired or was not set yet; left out when all are. */
  part?: number;
  /** How many pages of differences there are, where they are more than the one that is told. */
  pages?: number;
}

export interface GuestResource extends Resource<Guest, ActualGuest> {
  /** Begins a run that only looks, at each part; once it has ended, `observe` tells what it saw, that page of it. */
  testAgain(desired: Guest, page?: number): Promise<Done | Begun>;
  /**
   * Runs a document beside the guest's own, under a name `{kind}-{request}`; what has run is not run again. Runs of the same kind for earlier
   * requests, which nobody forgot because they failed, are taken away once they have ended.
   */
  runOnce(desired: Guest, name: string): Promise<Done | Begun>;
  /** What came of it. */
  outcomeOf(desired: Guest, name: string): Promise<Observed<RunOutcome>>;
  /** Takes the run away, best effort: what it did stays. */
  forgetRun(desired: Guest, name: string): Promise<void>;
}

export type RunOutcome = Omit<ActualGuest, "failures">;

/** A feature that is installed, a role assignment that takes its time: long, but not Run Command's own 90 minutes. */
const TIMEOUT_IN_SECONDS = 1800;

/** One failure may be the machine still starting; a second one is the document's or the machine's fault. */
const MOST_FAILURES = 2;

export const guest = ({ azure }: { azure: Azure }): GuestResource => {
  const what = ({ virtualMachine }: Guest): string => `guest of ${virtualMachine}`;

  const listAll = (desired: Guest): Promise<Observed<VirtualMachineRunCommand[]>> =>
    azure.read(desired, async (clients) => {
      const found: VirtualMachineRunCommand[] = [];
      const { virtualMachineRunCommands } = await clients.compute();
      for await (const one of virtualMachineRunCommands.listByVirtualMachine(desired.resourceGroup, desired.virtualMachine))
        found.push(one);
      return found;
    });

  const list = async (desired: Guest): Promise<Observed<Run[]>> => {
    const found = await listAll(desired);
    if (found.state !== "present") return found;
    const runs = found.actual.map((each) => runFrom(each, desired)).filter((run) => run !== undefined);
    return present(runs.sort((one, other) => other.sequence - one.sequence));
  };

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
    const runs = ours(listed.actual);
    const hashes = hashesOf(desired);
    const [newest] = runs;
    if (newest === undefined || !hashes.includes(newest.hash)) return { state: "absent" };
    const outcomes: ActualGuest[] = [];
    for (const hash of hashes) {
      const last = runs.find((run) => run.hash === hash);
      // Its turn comes once the parts before it are as they should be.
      if (last === undefined) break;
      const outcome = await outcomeWithFailures(desired, last, runs);
      if (outcome.state !== "present") return outcome;
      outcomes.push(outcome.actual);
    }
    return present(together(newest.name, outcomes, hashes.length));
  };

  /** What a part's last run says, and how many of its newest runs failed in a row. */
  const outcomeWithFailures = async (desired: Guest, last: Run, runs: Run[]): Promise<Observed<ActualGuest>> => {
    const found = await outcomeOf(desired, last.name);
    if (found.state !== "present") return found;
    const outcome = judge(last.name, found.actual);
    if ("state" in outcome) return outcome;
    let failures = outcome.failure === null ? 0 : 1;
    for (const earlier of failures === 0 ? [] : runs.slice(runs.indexOf(last) + 1)) {
      if (earlier.hash !== last.hash || failures >= MOST_FAILURES) break;
      const before = await outcomeOf(desired, earlier.name);
      if (before.state === "unknown") return before;
      if (before.state === "absent") break;
      const judged = judge(earlier.name, before.actual);
      if ("state" in judged || judged.failure === null) break;
      failures++;
    }
    return present({ ...outcome, failures });
  };

  /** The next run of some parts: of the first one that is to be set, or of all that are to be looked at. */
  const run = async (
    desired: Guest,
    mode: GuestMode,
    wanted: number[],
    { page = 1, unless }: { page?: number | undefined; unless?: (newest: Run) => boolean } = {},
  ): Promise<Done | Begun> => {
    const listed = await list(desired);
    if (listed.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, listed);
    const runs = listed.state === "present" ? listed.actual : [];
    const hashes = hashesOf(desired);
    const [newest] = ours(runs);
    if (newest && unless?.(newest) === true) {
      const message = `another try has begun the run ${newest.name} on the ${what(desired)} meanwhile`;
      throw new ControlPlaneError("OperationUnderway", message, 409, true);
    }
    const parts = partsOf(desired.document);
    let sequence = runs[0]?.sequence ?? 0;
    let last: Done | Begun = done;
    for (const index of wanted) {
      const document = parts[index];
      if (document === undefined) continue;
      sequence += 1;
      const name = `${prefixOf(desired)}-${mode}-${sequence}-${hashes[index]}`;
      last = await send({ ...desired, document }, name, mode, page);
    }
    // All but the newest before it, which stays until this one has an outcome. What this document came to before another one was set is past.
    const before = ours(runs);
    const another = before.findIndex((earlier) => !hashes.includes(earlier.hash));
    if (another !== -1) await clear(desired, before.slice(Math.max(1, another)));
    return last;
  };

  const send = (desired: Guest, name: string, mode: GuestMode, page: number): Promise<Done | Begun> =>
    azure.begin(`running the engine in mode ${mode} on ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.compute()).virtualMachineRunCommands.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.virtualMachine,
        name,
        runCommand(desired, mode, page),
        { onResponse },
      ),
    );

  /** Best effort: what stays is cleared after the next run, and Azure admits many. */
  const clear = async (desired: Guest, runs: Pick<Run, "name">[]): Promise<void> => {
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
    create: (desired) => run(desired, "set", [0], { unless: ({ hash }) => hashesOf(desired).includes(hash) }),
    /** A document that failed twice in a row is given up; its runs are cleared away, so that the next operation starts afresh. */
    async update(desired, _, { run: seen, failure, failures, part = 1 }) {
      if (failure === null || failures < MOST_FAILURES)
        return run(desired, "set", [part - 1], { unless: ({ name }) => name !== seen });
      const listed = await list(desired);
      if (listed.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, listed);
      const hashes = hashesOf(desired);
      if (listed.state === "present")
        await clear(
          desired,
          ours(listed.actual).filter((earlier) => hashes.includes(earlier.hash)),
        );
      throw new ControlPlaneError(
        "GuestFailed",
        `setting the ${what(desired)}: ${failure.code}: ${failure.message}`,
        502,
        false,
        { target: failure.code },
      );
    },
    testAgain: (desired, page) =>
      run(
        desired,
        "test",
        hashesOf(desired).map((_, index) => index),
        { page },
      ),
    async runOnce(desired, name) {
      const all = await listAll(desired);
      if (all.state === "unknown") throw readFailure(`the runs on the ${what(desired)}`, all);
      const found = await outcomeOf(desired, name);
      if (found.state === "unknown") throw readFailure(`the run ${name} on the ${what(desired)}`, found);
      const ended = found.state === "present" && !("state" in judge(name, found.actual));
      const begun = ended ? done : await send(desired, name, "set", 1);
      if (all.state === "present") await clear(desired, endedBefore(name, all.actual, desired));
      return begun;
    },
    async outcomeOf(desired, name) {
      const found = await outcomeOf(desired, name);
      if (found.state !== "present") return found;
      const outcome = judge(name, found.actual);
      return "state" in outcome ? outcome : present(outcome);
    },
    forgetRun: (desired, name) => clear(desired, [{ name }]),
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

/** Runs of a document beside the machine's own are counted apart: neither of the two takes the other's runs for its own. */
const prefixOf = ({ document: { beside } }: Guest): string => (beside === undefined ? "gatehouse" : `gatehouse-${beside}`);

function runFrom({ name = "", tags, provisioningState }: VirtualMachineRunCommand, desired: Guest): Run | undefined {
  const { owner } = desired;
  const [, sequence, hash] = new RegExp(`^${prefixOf(desired)}-(?:set|test)-(\\d+)-([0-9a-f]{12})$`).exec(name) ?? [];
  if (sequence === undefined || hash === undefined || provisioningState === "Deleting") return undefined;
  return { name, sequence: Number(sequence), hash, ours: ownedBy(tags, owner) };
}

/** Those for other requests of its kind; one that is underway stays, since its script would be cut off in the middle. */
const endedBefore = (name: string, runs: VirtualMachineRunCommand[], { owner }: Guest): { name: string }[] =>
  runs.flatMap(({ name: other = "", tags, provisioningState = "" }) => {
    const sameKind = other !== name && other.replace(/-[0-9a-f]+$/, "") === name.replace(/-[0-9a-f]+$/, "");
    return sameKind && ownedBy(tags, owner) && isTerminal(provisioningState) ? [{ name: other }] : [];
  });

/** The run's own state says whether Azure ran it, its instance view whether the script did well, its output what it found. */
function judge(
  run: string,
  { provisioningState, instanceView }: VirtualMachineRunCommand,
): RunOutcome | Extract<Observed<never>, { state: "unknown" }> {
  const execution = instanceView?.executionState ?? "Unknown";
  const state = provisioningState ?? "Succeeded";
  const waits = execution === "Running" || execution === "Pending";
  // Where Azure gave it up, the machine's agent never took it up: it waits for good.
  if (!isTerminal(state) || (waits && /^succeeded$/i.test(state)))
    return unknown("OperationUnderway", `the run ${run} has not ended`);
  const output = parseEngineOutput(instanceView?.output ?? "");
  const failed = (failure: { code: string; message: string }): RunOutcome => ({
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
      message:
        instanceView?.executionMessage ||
        `the run ended as ${state}, its script as ${execution}; nothing was printed that the engine prints`,
    });
  const { inDesiredState, generation, differences, pages } = output;
  return { run, inDesiredState, generation, differences, failure: null, ...(pages > 1 ? { pages } : {}) };
}

/** One outcome of all parts' outcomes, in their order; one that has no run yet differs as a whole. */
function together(run: string, outcomes: ActualGuest[], of: number): ActualGuest {
  const [only] = outcomes;
  if (of === 1 && only !== undefined) return only;
  const wrong = outcomes.findIndex(({ inDesiredState, failure }) => !inDesiredState || failure !== null);
  const at = wrong === -1 ? outcomes.length : wrong;
  const missing = outcomes.length < of ? [`part/${outcomes.length + 1}`] : [];
  const pages = Math.max(...outcomes.map((outcome) => outcome.pages ?? 1));
  return {
    run,
    inDesiredState: at === of,
    generation: outcomes.at(-1)?.generation ?? 0,
    differences: [...outcomes.flatMap(({ differences }) => differences), ...missing],
    failure: outcomes[at]?.failure ?? null,
    failures: outcomes[at]?.failures ?? 0,
    ...(at === of ? {} : { part: at + 1 }),
    ...(pages > 1 ? { pages } : {}),
  };
}

/**
 * Of each part with those before it, since the last one restarts what reads any of them; canonical through the document's schema, so that
 * a document which travelled through JSON hashes the same.
 */
const hashesOf = ({ document, identityClientId }: Guest): string[] =>
  partsOf(document).map((_, index, parts) =>
    createHash("sha256")
      .update(
        [...parts.slice(0, index + 1).map((part) => JSON.stringify(part)), identityClientId.toLowerCase(), engineScript].join(
          "\n",
        ),
      )
      .digest("hex")
      .slice(0, 12),
  );

/** Nothing but base64url, a word and a GUID: the parameters pass through cmd.exe and stay readable on the machine. */
const runCommand = (
  { owner, region, document, identityClientId }: Guest,
  mode: GuestMode,
  page: number,
): VirtualMachineRunCommand => ({
  location: region,
  tags: ownershipTags(owner),
  source: { script: engineScript },
  parameters: [
    { name: "Document", value: encodeDocument(document) },
    { name: "Mode", value: mode },
    { name: "IdentityClientId", value: identityClientId },
    ...(page === 1 ? [] : [{ name: "Page", value: String(page) }]),
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

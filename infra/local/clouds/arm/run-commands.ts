/**
 * Microsoft.Compute/virtualMachines/runCommands: managed Run Command. Source: "Run scripts in your Windows VM by using managed Run
 * Commands" (2025): parallel runs, 90 minutes by default, the last 4 KB of output, exit code and state of the script in the instance view;
 * protected parameters never come back.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import type { SecretReference } from "../../../../shared/vault/reference.ts";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { keyOf, sameId, type Estate, type Stored } from "./estate.ts";
import { readScript, runEngine, waitsForSetUp, wouldChange, type ScriptResult } from "../guest/engine.ts";
import type { GuestState } from "../guest/state.ts";
import type { Effect, Failure } from "./operations.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const parametersSchema = z.array(z.looseObject({ name: z.string(), value: z.string() }));

const runCommandSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    source: z.looseObject({ script: z.string().optional() }),
    parameters: parametersSchema.optional(),
    protectedParameters: parametersSchema.optional(),
    runAsPassword: z.string().optional(),
    asyncExecution: z.boolean().default(false),
    timeoutInSeconds: z.number().int().min(1).max(86_400).default(5400),
    treatFailureAsDeploymentFailure: z.boolean().default(false),
  }),
});

const type = "Microsoft.Compute/virtualMachines/runCommands";
const OUTPUT_IN_BYTES = 4096;

export const runCommands = (estate: Estate): ResourceType => ({
  type,
  manner: "compute",
  putInSeconds: 10,
  deleteInSeconds: 2,
  putOperation: "runCommand",
  put: ({ id, name, body, existing }: Put) => {
    const { location, tags, properties } = parseBody(runCommandSchema, body);
    const machine = runningMachineOf(estate, id);
    if (machine.location !== location)
      throw new ArmError(
        409,
        "InvalidResourceLocation",
        `The resource '${name}' cannot be created in location '${location}': its virtual machine is in '${machine.location}'.`,
      );
    const { protectedParameters, runAsPassword: _runAsPassword, parameters, ...shown } = properties;
    for (const { value } of protectedParameters ?? []) estate.platform.secrets.add(value);
    const script = properties.source.script;
    if (script === undefined) throw new ArmError(501, "NotModelled", "The simulator runs inline scripts only.");
    const digest = createHash("sha256")
      .update(JSON.stringify([properties]))
      .digest("hex");
    // Whether Azure runs an unchanged command again is undocumented; a client that relies on it would break, so here it does not.
    const unchanged = existing?.facts["digest"] === digest && existing.body.properties["provisioningState"] === "Succeeded";
    const engine = readScript(script, [...(parameters ?? []), ...(protectedParameters ?? [])]);
    const guest = estate.guests.get(keyOf(machine.id));
    const writes = !("error" in engine) && guest !== undefined && wouldChange(guest, engine, estate.platform.now());
    return {
      location,
      unchanged,
      effect: writes ? "write" : "none",
      facts: {
        digest,
        mode: "error" in engine ? "unknown" : engine.mode,
        // Only what the script itself was given survives here, never shown; protected parameters are for the run alone.
        parameters: [...(parameters ?? []), ...(protectedParameters ?? [])],
      },
      body: {
        name,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        properties: {
          ...shown,
          ...(parameters === undefined ? {} : { parameters }),
          instanceView: { executionState: "Pending", executionMessage: "", exitCode: 0, output: "", error: "" },
        },
      },
    };
  },
  present: (resource, { expand }) => {
    const { instanceView, ...properties } = resource.body.properties;
    return {
      ...resource.body,
      properties: expand?.toLowerCase() === "instanceview" ? { ...properties, instanceView } : properties,
    };
  },
  deleteEffect: (resource) => (resource.facts["mode"] === "test" ? "none" : "write"),
});

/** The machine above a run command or an extension, which has to be there and to run. */
export function runningMachineOf(estate: Estate, childId: string): Stored {
  const machine = estate.resource(childId.split("/").slice(0, -2).join("/"));
  if (machine === undefined)
    throw new ArmError(
      404,
      "ParentResourceNotFound",
      "Can not perform requested operation on nested resource. Parent resource not found.",
    );
  const state = machine.body.properties["provisioningState"];
  if (state === "Creating" || state === "Deleting" || state === "Failed")
    throw new ArmError(
      409,
      "Conflict",
      "The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.",
    );
  if (machine.facts["power"] !== "running")
    throw new ArmError(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.");
  return machine;
}

export type Fetch = (url: string, init: { headers: Record<string, string>; signal: AbortSignal }) => Promise<Response>;

/** The deadline of a run: the script runs on the machine, and what it printed is kept. */
export function runCommandEffect(estate: Estate, fetch: Fetch): Effect {
  const queues = new Map<string, Promise<unknown>>();
  return async (operation) => {
    const command = estate.resource(operation.target);
    if (command === undefined) return { code: "OperationPreempted", message: "The run command was removed while it ran." };
    const machineKey = keyOf(command.id.split("/").slice(0, -2).join("/"));
    // The engine's mutex: one run after the other on the same machine.
    const before = queues.get(machineKey) ?? Promise.resolve();
    const running = before.then(() => execute(estate, command, machineKey, fetch));
    queues.set(
      machineKey,
      running.catch(() => undefined),
    );
    const startedAt = operation.startedAt;
    const result = await running;
    return conclude(estate, command, { result, startedAt });
  };
}

async function execute(estate: Estate, command: Stored, machineKey: string, fetch: Fetch): Promise<ScriptResult> {
  const guest = estate.guests.get(machineKey);
  const parameters = (command.facts["parameters"] ?? []) as { name: string; value: string }[];
  const engine = readScript(String((command.body.properties["source"] as Json)["script"]), parameters);
  if (guest === undefined) return { exitCode: -1, output: "", error: "The virtual machine is gone." };
  if ("error" in engine)
    return {
      exitCode: 1,
      output: "",
      error: `${engine.error}\r\n    + CategoryInfo          : InvalidArgument: (:) [], ParentContainsErrorRecordException\r\n    + FullyQualifiedErrorId : ScriptFailed\r\n`,
    };
  if (waitsForSetUp(guest, engine)) await setUpEnded(estate, guest);
  const result = await runEngine(estate.guests.get(machineKey) ?? guest, engine, {
    readSecret: (reference, identityClientId) => secretOf(estate, { machineKey, reference, identityClientId, fetch }),
    now: estate.platform.now(),
  });
  if (result.guest !== undefined && estate.guests.get(machineKey) !== undefined) estate.guests.set(machineKey, result.guest);
  return result;
}

/** The engine waits for an image's own set-up, a quarter of an hour at most. */
async function setUpEnded({ platform, duration }: Estate, { setUp }: GuestState): Promise<void> {
  const left = Math.min((setUp?.endsAt ?? 0) - platform.now(), duration(900));
  if (left > 0) await new Promise<void>((resolve) => void platform.after(left, resolve));
}

function conclude(
  estate: Estate,
  command: Stored,
  { result, startedAt }: { result: ScriptResult; startedAt: number },
): Failure | undefined {
  const succeeded = result.exitCode === 0;
  const treatAsFailure = command.body.properties["treatFailureAsDeploymentFailure"] === true;
  const failed = !succeeded && treatAsFailure;
  const current = estate.resource(command.id);
  const { parameters: _parameters, ...facts } = current?.facts ?? {};
  if (current !== undefined)
    estate.save({
      ...current,
      facts,
      body: {
        ...current.body,
        properties: {
          ...current.body.properties,
          provisioningState: failed ? "Failed" : "Succeeded",
          instanceView: {
            executionState: succeeded ? "Succeeded" : "Failed",
            executionMessage: succeeded ? "" : `Execution failed with exit code ${result.exitCode}`,
            exitCode: result.exitCode,
            output: lastBytes(result.output),
            error: lastBytes(result.error),
            startTime: new Date(startedAt).toISOString(),
            endTime: new Date(estate.platform.now()).toISOString(),
            statuses: [],
          },
        },
      },
    });
  if (!failed) return undefined;
  return {
    code: "VMExtensionProvisioningError",
    message: `VM has reported a failure when processing extension '${command.name}' (publisher 'Microsoft.CPlat.Core' and type 'RunCommandHandlerWindows'). Error message: 'Finished executing command: exit code ${result.exitCode}'.`,
  };
}

const lastBytes = (text: string): string => Buffer.from(text, "utf8").subarray(-OUTPUT_IN_BYTES).toString("utf8");

/** A secret as the machine gets it: token from its own metadata endpoint, value from the vault; the engine tries for ten minutes. */
async function secretOf(
  estate: Estate,
  {
    machineKey,
    reference,
    identityClientId,
    fetch,
  }: { machineKey: string; reference: SecretReference; identityClientId: string; fetch: Fetch },
): Promise<string> {
  const deadline = estate.platform.now() + estate.duration(600);
  for (let looks = 1; ; looks += 1) {
    const answer = await requestSecret(estate, { machineKey, reference, identityClientId, fetch });
    if ("value" in answer) {
      estate.platform.secrets.add(answer.value);
      return answer.value;
    }
    // Where modelled time is no time, a replica that lags is still asked again.
    if (estate.platform.now() >= deadline && looks > estate.platform.lag)
      throw new Error(`reading the secret ${reference.name}: ${answer.reason}`);
    const pause = Math.max(0, Math.min(estate.duration(15), deadline - estate.platform.now()));
    await new Promise<void>((resolve) => void estate.platform.after(pause, resolve));
  }
}

async function requestSecret(
  estate: Estate,
  {
    machineKey,
    reference,
    identityClientId,
    fetch,
  }: { machineKey: string; reference: SecretReference; identityClientId: string; fetch: Fetch },
): Promise<{ value: string } | { reason: string }> {
  const identity = assignedIdentity(estate, machineKey, identityClientId);
  const { platform } = estate;
  const token =
    identity === undefined ? undefined : await platform.peers.tokenForIdentity?.(identity, platform.environment.vault.audience);
  if (token === undefined) return { reason: "the answer was 400" };
  const pattern = platform.environment.vault.url.split("{name}").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!new RegExp(`^${pattern.join("[A-Za-z0-9-]+")}/?$`).test(reference.vaultUrl)) return { reason: "WebException" };
  const url = `${reference.vaultUrl.replace(/\/$/, "")}/secrets/${encodeURIComponent(reference.name)}/${encodeURIComponent(reference.version)}?api-version=7.4`;
  try {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(30_000) });
    if (!response.ok) return { reason: `the answer was ${response.status}` };
    const { value } = z.object({ value: z.string() }).parse(await response.json());
    return { value };
  } catch {
    return { reason: "WebException" };
  }
}

/** The metadata endpoint gives tokens only of identities that are assigned to the machine. */
function assignedIdentity(estate: Estate, machineKey: string, clientId: string): string | undefined {
  const machine = estate.resource(machineKey);
  const assigned = (machine?.body["identity"] as { userAssignedIdentities?: Record<string, { clientId: string }> } | undefined)
    ?.userAssignedIdentities;
  const known = estate.ofType("Microsoft.ManagedIdentity/userAssignedIdentities");
  return Object.keys(assigned ?? {})
    .map((id) => known.find((identity) => sameId(identity.id, id))?.body.properties["clientId"])
    .find((candidate): candidate is string => typeof candidate === "string" && sameId(candidate, clientId));
}

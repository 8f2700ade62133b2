/**
 * Loop GUIDs under schedules by chance, each with the second operation that drops the old one, on two machines and all rules that know it,
 * while drift is mended beside. A rule takes whatever is written last. The host ends an execution after `functionTimeout`, however long it
 * sleeps: that, and nothing else, is known of somebody who is late.
 */
import { readFileSync } from "node:fs";
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import { createLoopGuidActivities } from "../../functions/rotation/loop-guid-activities.ts";
import { type LoopGuidRotation, rotateLoopGuid } from "../../functions/rotation/loop-guid.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { LATEST_WRITE_IN_SECONDS } from "../../shared/desired/loop-guid-in-force.ts";
import { markedRules } from "../../shared/desired/marked-rules.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { done, present, type Resource } from "../../shared/resources/resource.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { type Call, createMachines } from "./machines-by-chance.ts";
import {
  callsAt,
  createGenerated,
  createRows,
  createTime,
  HOUR,
  type Play,
  type Played,
  site,
  twoInARow,
} from "./rotations-by-chance.ts";
import { createSchedule, type Point, type Schedule } from "./schedules.ts";

/** What is left out, or done wrongly, to see that it is noticed. */
export type LoopGuidMutant =
  | "without the fence"
  | "without the look before a write"
  | "without the wait for who is late"
  | "drops the old one before machines have the new one";

/** About how many steps two rotations take. */
const LENGTH = 500;

const { functionTimeout } = JSON.parse(readFileSync("host.json", "utf8")) as { functionTimeout: string };
export const LONGEST_EXECUTION_IN_SECONDS = functionTimeout.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);

/**
 * Wrong: a machine marked mail with a GUID that some rule did not know. Left: rules that know another than the current one at the end, and
 * the first one if it can still be read.
 */
export const twoLoopGuids: Play<LoopGuidMutant> = async (drawn, mutant) => {
  const schedule = createSchedule({ ...drawn, length: LENGTH });
  return played(schedule, createClouds(schedule, mutant), mutant);
};

/** The first try's flip changes the tenant's facts, and is refused the credential's row: for good, so that another try begins. */
export const twoAfterHalfAFlip: Play<never> = async (drawn) => {
  const schedule = createSchedule({ ...drawn, length: LENGTH });
  const clouds = createClouds(schedule, undefined);
  const activitiesAt: typeof clouds.activitiesAt = (point) => {
    const activities = clouds.activitiesAt(point);
    const half = clouds.activitiesAt(point, { readOnlyRow: true });
    return {
      ...activities,
      flipLoopGuid: (given) => (given.work.operationId === "rotation-contoso-1" ? half : activities).flipLoopGuid(given),
    };
  };
  return played(schedule, { ...clouds, activitiesAt }, undefined);
};

async function played(
  schedule: Schedule,
  clouds: ReturnType<typeof createClouds>,
  mutant: LoopGuidMutant | undefined,
): Promise<Played> {
  const finished = await twoInARow(schedule, clouds, {
    orchestrator: rotateLoopGuid,
    inputOf: (credential, operationId): LoopGuidRotation => ({
      ...site.inputOf(credential, operationId),
      ground: clouds.ground(),
      live: true,
      // Whether a probe mail comes back is another story.
      bypassed: true,
      settleInSeconds: mutant === "without the wait for who is late" ? 0 : LATEST_WRITE_IN_SECONDS,
      ...(credential.previous !== undefined && { finish: true }),
    }),
    mostTries: 16,
    // The old one is accepted for a while; the next rotation may be asked for as soon as it is gone.
    pauseInSeconds: ({ previous }: CredentialRecord) => (previous === undefined ? 0 : 25 * HOUR),
    beside: () => schedule.spawn((point) => clouds.mendDrift(point)),
  });
  clouds.passUntil(clouds.seconds() + HOUR);
  await clouds.mendDrift(async () => undefined);
  return { finished, wrong: clouds.refused(), left: clouds.others(), steps: schedule.steps() };
}

type Marks = Pick<Ground, "loopGuid" | "otherLoopGuid">;

const reference = (version: string): SecretReference => site.referenceOf("loop-guid", version);
const wordsOf = ({ loopGuid, otherLoopGuid }: Marks): string[] => [
  loopGuid.version,
  ...(otherLoopGuid ? [otherLoopGuid.version] : []),
];

function createClouds(schedule: Schedule, mutant: LoopGuidMutant | undefined) {
  const { seconds, passUntil } = createTime();
  let refused = 0;
  const vault = createGenerated(reference, seconds);
  const current = { reference: reference("v1"), keyId: "v1" };
  const rows = createRows(
    { ...site.keyOf("loopGuid"), vaultUrl: current.reference.vaultUrl, objectId: "", clientId: "", current },
    { ground: site.ground },
  );
  const ground = () => rows.facts()["ground"] as Ground;
  const rules = new Map(markedRules(site.target, ground(), true).map(({ kind }) => [kind as string, ["v1"]]));
  const machines = createMachines<{ generation: number; mark: string }>(
    schedule,
    seconds,
    (machine, { generation, registry = [] }) => {
      if (mutant !== "without the fence" && generation < machine.generation) return "Refused";
      const mark = registry.find(({ name }) => name === "AdditionalInjectHeaders")?.secret?.version;
      Object.assign(machine, { generation, ...(mark !== undefined && { mark }) });
      look();
      return "Succeeded";
    },
  );
  for (const virtualMachine of site.virtualMachines) machines.add(virtualMachine, { generation: 1, mark: "v1" });
  const look = (): void => {
    for (const { mark } of machines.states()) if ([...rules.values()].some((known) => !known.includes(mark))) refused++;
  };
  const everyCallAt = callsAt(look);

  /** Of one execution, which began now. */
  function callAt(point: Point): Call {
    const until = seconds() + LONGEST_EXECUTION_IN_SECONDS;
    return everyCallAt(async () => {
      await point();
      if (seconds() > until) throw new Error("the host has ended this execution");
    });
  }

  function ruleOf(kind: string, call: Call): Resource<Marks, string[]> {
    const wantedOf = (wanted: Marks): string[] =>
      mutant === "drops the old one before machines have the new one" ? wordsOf(wanted).slice(-1) : wordsOf(wanted).toSorted();
    /** Words are read from the vault at the last moment. */
    async function write({ loopGuid, otherLoopGuid }: Marks) {
      const { read } = vault.vaultsAt(call);
      for (const one of [loopGuid, otherLoopGuid ?? loopGuid]) await read(one);
      return call(() => (rules.set(kind, wantedOf({ loopGuid, otherLoopGuid })), done));
    }
    return {
      kind,
      observe: () => call(() => present(rules.get(kind) ?? [])),
      diff: (wanted, words) =>
        String(words) === String(wantedOf(wanted)) ? [] : [{ path: "loopGuid", from: words, to: wantedOf(wanted) }],
      create: write,
      update: write,
      remove: async () => done,
    };
  }

  function activitiesAt(point: Point, { readOnlyRow = false } = {}) {
    const call = callAt(point);
    const stores = readOnlyRow ? withReadOnlyRow(rows.storesAt(call)) : rows.storesAt(call);
    const world = { clock: { now: () => seconds() * 1000 }, stores, vaults: vault.vaultsAt(call) } as unknown as RotationWorld;
    const marked = Object.fromEntries([...rules.keys()].map((kind) => [kind, ruleOf(kind, call)]));
    const clients = machines.clientsAt(call, world.stores, marked);
    const tenants = { ...clients.stores.tenants, find: async () => undefined };
    const unseeing =
      mutant === "without the look before a write" ? { ...clients, stores: { ...clients.stores, tenants } } : clients;
    return {
      ...createResourceActivities(unseeing),
      ...createRotationActivities(world),
      ...createLoopGuidActivities(world),
      readMailRoute: async () => site.mailRoute,
    };
  }

  return {
    activitiesAt,
    credential: rows.credential,
    ground,
    seconds,
    passUntil,
    refused: () => refused,
    /** By what it has seen of the facts: one execution for each rule. What is refused is found again. */
    async mendDrift(point: Point): Promise<void> {
      await point();
      const seen = ground();
      const work = { ...site.target.work, operationId: "repair-contoso" };
      for (const { kind, wanted } of markedRules(site.target, seen, true)) {
        const { ensureResource } = activitiesAt(point);
        await ensureResource({ work, step: kind, kind, desired: wanted }).catch(() => undefined);
      }
    },
    others: () =>
      [...rules.values()].filter((words) => String(words) !== rows.credential().current?.reference.version).length +
      (vault.readable("v1") ? 1 : 0),
  };
}

function withReadOnlyRow(stores: ReturnType<ReturnType<typeof createRows>["storesAt"]>): typeof stores {
  const { credentials } = stores;
  const change: typeof credentials.change = (key, decide) =>
    credentials.change(key, (row) => {
      if (decide(row) === undefined) return undefined;
      throw new ControlPlaneError("StorageRefused", "the row can be read only", 403);
    });
  return { ...stores, credentials: { ...credentials, change } };
}

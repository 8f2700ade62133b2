/**
 * What durable execution costs: how often orchestrators are called, how long their histories get, and how much goes to and fro, for our own
 * onboarding beside one flat orchestrator of the same steps. Counts in virtual time on the host's own engine: each run gives the same.
 */
import { readFileSync } from "node:fs";
import { createVirtualClock, type VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import { chapters, onboardTenant, waitForAccess } from "../../functions/onboarding/orchestrator.ts";
import type { Onboarding } from "../../functions/onboarding/orchestrator.ts";
import { begin, buildGateway, connectMailFlow, registerApplications, type TenantChapter } from "../../shared/runbook/runbook.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { newAddressesOf } from "../../shared/desired/new-addresses.ts";
import { FIRST_GENERATION, type Ground } from "../../shared/desired/state.ts";
import type { Screened } from "../../shared/dns/screening.ts";
import { branch, together } from "../../shared/durable/branches.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { type Episode, play, type Playable } from "../support/play.ts";
import { type BenchmarkOptions, row } from "./rounds.ts";

/** What to reach; the first three without poll ticks. */
const GOALS = { episodes: 20, events: 80, largest: 100, growth: 11, fanOut: 1 / 25 };

/** They exist to wait: one look a tick, in a child of its own, so that its parent's history stays short. */
const WAITING = new Set(["waitForAccess", "waitForOperation", "proveLoop"]);

export async function economy({ print, brief }: BenchmarkOptions): Promise<void> {
  const onboarding = await onboard();
  const all = accountOf(onboarding.episodes);
  const working = accountOf(onboarding.episodes.filter(({ orchestrator }) => !WAITING.has(orchestrator)));
  const steps = onboarding.steps;
  const flat = accountOf(await playFlat(steps));

  print(`Durable economy of an onboarding: ${steps} activities besides polls, counted in virtual time`);
  print(row(12, "", "episodes", "/minimum", "events", "longest", "bytes", "/last", "worker"));
  const line = (name: string, { episodes, events, largest, bytes, last, milliseconds }: Account): string =>
    row(
      12,
      name,
      String(episodes),
      (episodes / (steps + 1)).toFixed(2),
      String(events),
      String(largest),
      kilobytes(bytes),
      (bytes / last).toFixed(1),
      `${milliseconds.toFixed(0)} ms`,
    );
  print(line("our onboarding, everything", all));
  print(line("our onboarding, without poll ticks", working));
  print(line("one flat orchestrator of the same steps", flat));
  print(row(12, "goal", `<= ${GOALS.episodes}`, "", `<= ${GOALS.events}`, `<= ${GOALS.largest}`, "", "", ""));
  print(
    "Minimum: one step after another in one instance, an episode each and one to begin. Longest: events of the longest history. " +
      "/last: over the bytes of the last episode of each execution.",
  );

  const once = accountOf(await branches(1)).bytes;
  const tenfold = accountOf(await branches(10)).bytes;
  const flatTenfold = accountOf(await playFlat(10 * steps)).bytes;
  print("");
  print("Ten times the steps: bytes to and fro");
  print(row(16, "our branches, ten times under one parent", `${(tenfold / once).toFixed(1)}x`, `goal <= ${GOALS.growth}x`));
  print(row(16, "one flat orchestrator", `${(flatTenfold / flat.bytes).toFixed(1)}x`));

  const width = brief ? 64 : 1000;
  const wide = accountOf(await fanOut(width, width)).bytes;
  const split = accountOf(await fanOut(width, Math.ceil(Math.sqrt(width)))).bytes;
  print("");
  print(`A fan-out of ${width} activities that end one after another: bytes to and fro`);
  print(row(16, "flat", kilobytes(wide)));
  print(row(16, "split into branches", kilobytes(split), `1/${(wide / split).toFixed(0)}`, `goal <= 1/${1 / GOALS.fanOut}`));
}

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(0)} kB`;

interface Account {
  episodes: number;
  /** Over all executions of all instances. */
  events: number;
  /** Events of the longest history. */
  largest: number;
  /** To the orchestrators and back. */
  bytes: number;
  /** Of each execution's last episode, to it and back. */
  last: number;
  milliseconds: number;
}

function accountOf(episodes: Episode[]): Account {
  const executions: Episode[] = [];
  const open = new Map<string, Episode>();
  for (const episode of episodes) {
    const before = open.get(episode.instanceId);
    // After continueAsNew the history begins again.
    if (before !== undefined && before.events >= episode.events) executions.push(before);
    open.set(episode.instanceId, episode);
  }
  executions.push(...open.values());
  const sum = (of: (episode: Episode) => number, list = episodes): number => list.reduce((total, one) => total + of(one), 0);
  const bytesOf = ({ given, answered }: Episode): number => given + answered;
  // The last episode adds its completion and the orchestration's.
  const eventsOf = ({ events }: Episode): number => events + 2;
  return {
    episodes: episodes.length,
    events: sum(eventsOf, executions),
    largest: Math.max(...executions.map(eventsOf)),
    bytes: sum(bytesOf),
    last: sum(bytesOf, executions),
    milliseconds: sum(({ milliseconds }) => milliseconds),
  };
}

// Our onboarding

const { tenantId, ...body } = JSON.parse(readFileSync(new URL("../../examples/contoso.json", import.meta.url), "utf8")) as {
  tenantId: string;
};
const spec = tenantSpecSchema.parse(body);
export const tenant: Onboarding = {
  work: { partnerId: "northwind", tenantId, operationId: "operation-1" },
  spec,
  names: namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions }),
  piloted: false,
  pace: {
    patience: { tries: 12, firstWaitInSeconds: 5, longestWaitInSeconds: 120 },
    operationDeadlineInSeconds: 3600,
    consentCheckIntervalInSeconds: 300,
    consentExpiryInSeconds: 14 * 86_400,
    probeIntervalInSeconds: 30,
    probeDeadlineInSeconds: 5400,
  },
};

/** None of it stands, and the first that Azure gives is clean. */
export const newAddresses = newAddressesOf({ id: tenantId, facts: {} }, tenant.names, () => true, 1);
export const screened: Screened = { lists: [], silent: [], asked: 4 };

const id = (type: string, name: string): string =>
  `/subscriptions/${spec.azure.subscriptionId}/resourceGroups/gatehouse-contoso/providers/${type}/${name}`;
export const secret = { vaultUrl: "https://contoso.vault.example", name: "secret", version: "1" };
const fqdn = "contoso.westeurope.cloudapp.azure.example";

/** What a resource is once it is there, as far as others need it. */
export const actual: Record<string, object> = {
  vault: { id: id("Microsoft.KeyVault/vaults", "contoso"), url: secret.vaultUrl },
  vmIdentity: {
    id: id("Microsoft.ManagedIdentity/userAssignedIdentities", "gateway-identity"),
    principalId: "c0ffee00-0000-4000-8000-0000000000b1",
    clientId: "c0ffee00-0000-4000-8000-0000000000b2",
  },
  publicIpAddress: { id: id("Microsoft.Network/publicIPAddresses", "gateway-1-address"), ipAddress: "203.0.113.10", fqdn },
  virtualNetwork: { id: id("Microsoft.Network/virtualNetworks", "n"), subnetId: id("Microsoft.Network/virtualNetworks", "n/s") },
};

/** Seconds that Azure works on after it has taken the request. */
const WORKS_ON: Record<string, number> = {
  publicIpAddress: 4,
  networkSecurityGroup: 3,
  virtualNetwork: 5,
  networkInterface: 9,
  gatewayVm: 71,
  guest: 120,
};
const POLLED_EVERY_SECONDS = 10;

const ground: Ground = {
  loopGuid: secret,
  adminPassword: secret,
  identityId: "identity",
  identityClientId: "client",
  regions: [{ machines: [{ id: "address", ipAddress: "203.0.113.10", fqdn }] }],
};

interface Asked {
  work: Onboarding["work"];
  kind: string;
  step: string;
  operationUrl: string;
  subject: string;
}

/** Nothing fails; Azure's own work takes what it typically takes, consent is given after an hour, a rule works after fifteen minutes. */
function activitiesOf(clock: VirtualClock, ran: (name: string) => void): Record<string, (input: never) => unknown> {
  const began = clock.now();
  const elapsed = (): number => (clock.now() - began) / 1000;
  const working = new Map<string, number>();
  const answers: Record<string, (input: Asked) => unknown> = {
    beginOnboarding: () => undefined,
    checkAccess: () => (elapsed() > 3600 ? { state: "granted" } : { state: "pending", expired: {} }),
    checkPreflight: () => ({ newAddresses }),
    screenNewAddress: () => screened,
    choosePlacement: () => ({ availabilitySet: false, machines: [[{ size: "Standard_D4as_v5", zone: "1" }]], missing: [0] }),
    readOwnPrincipal: () => ({ principalId: "c0ffee00-0000-4000-8000-0000000000b3" }),
    ensureSecret: () => secret,
    ensureResource: ({ work, kind, step }) => {
      const takes = WORKS_ON[kind];
      const operationUrl = `${work.operationId}/${step}`;
      if (takes === undefined || working.has(operationUrl)) return { change: "created", actual: actual[kind] ?? { id: kind } };
      working.set(operationUrl, clock.now() + takes * 1000);
      return { change: "created", begun: { state: "begun", operationUrl, retryAfterInSeconds: POLLED_EVERY_SECONDS } };
    },
    pollOperation: ({ operationUrl }) =>
      (working.get(operationUrl) ?? 0) > clock.now()
        ? { status: "running", retryAfterInSeconds: POLLED_EVERY_SECONDS }
        : { status: "succeeded" },
    confirmResource: ({ kind }) => actual[kind] ?? { id: kind },
    readMailRoute: () => ({ smartHost: "contoso-example.mail.protection.outlook.example", relayFrom: [] }),
    readGuestGeneration: () => FIRST_GENERATION,
    checkStartTls: () => undefined,
    sendProbe: () => undefined,
    checkProbe: ({ subject }) =>
      elapsed() > 3600 + 900 ? { found: "looped", evidence: { subject, hops: [], at: "" } } : { found: "pending" },
    keepForDayTwo: () => undefined,
    finishOnboarding: () => undefined,
    failOnboarding: (input) => {
      throw new Error(`the onboarding failed: ${JSON.stringify(input)}`);
    },
  };
  return Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      async (input: never) => {
        ran(name);
        await clock.sleep(1000);
        return answer(input);
      },
    ]),
  );
}

const POLLS = new Set(["pollOperation", "checkAccess", "checkProbe"]);
export const orchestrators: Playable[] = [...Object.values(chapters), waitForAccess, proveLoop, waitForOperation];

async function onboard(): Promise<{ episodes: Episode[]; steps: number }> {
  const clock = createVirtualClock();
  const episodes: Episode[] = [];
  let steps = 0;
  const activities = activitiesOf(clock, (name) => (steps += POLLS.has(name) ? 0 : 1));
  const episode = (one: Episode): void => void episodes.push(one);
  const { error } = await play({ start: onboardTenant, input: tenant, orchestrators, activities, clock, episode });
  if (error !== undefined) throw new Error(error);
  return { episodes, steps };
}

/** The three branches of an onboarding, `times` over, as for a customer of so many gateways. */
async function branches(times: number): Promise<Episode[]> {
  const parent = function* severalGateways(context: OrchestrationContext, input: TenantChapter): Routine<void> {
    const copies = Array.from({ length: times }, (_, copy) => {
      const own = { ...input, tenant: { ...input.tenant, work: { ...input.tenant.work, operationId: `operation-${copy}` } } };
      return [
        begin(buildGateway, { ...own, region: 0 }, `gateway-${copy}`),
        begin(registerApplications, own, `directory-${copy}`),
        begin(connectMailFlow, own, `mail-flow-${copy}`),
      ];
    });
    yield* together(context, ...copies.flat());
  };
  const clock = createVirtualClock();
  const episodes: Episode[] = [];
  const activities = activitiesOf(clock, () => undefined);
  const episode = (one: Episode): void => void episodes.push(one);
  const { error } = await play({ start: parent, input: { tenant, ground }, orchestrators, activities, clock, episode });
  if (error !== undefined) throw new Error(error);
  return episodes.filter(({ orchestrator }) => !WAITING.has(orchestrator));
}

// What it is compared with

/** As large as an ensured resource's desired state. */
const STEP_INPUT = {
  work: tenant.work,
  step: "networkInterface",
  kind: "networkInterface",
  desired: { ...ground, owner: tenant.work },
};

async function playFlat(steps: number): Promise<Episode[]> {
  const flat = function* oneAfterAnother(context: OrchestrationContext, count: number): Routine<void> {
    for (let step = 0; step < count; step += 1) yield context.df.callActivity("ensureResource", STEP_INPUT);
  };
  const clock = createVirtualClock();
  const episodes: Episode[] = [];
  const ensureResource = async (): Promise<unknown> => {
    await clock.sleep(1000);
    return { change: "created", actual: { id: id("Microsoft.Network/networkInterfaces", "gateway-1-interface") } };
  };
  const episode = (one: Episode): void => void episodes.push(one);
  await play({ start: flat, input: steps, activities: { ensureResource }, clock, episode });
  return episodes;
}

/** `count` activities, `width` of them in an instance; each ends at an instant of its own, as in a cloud. */
async function fanOut(count: number, width: number): Promise<Episode[]> {
  const all = branch("runAll", function* (context, { from, to }: { from: number; to: number }): Routine<void> {
    const tasks = Array.from({ length: to - from }, (_, index) => context.df.callActivity("work", { item: from + index }));
    yield context.df.Task.all(tasks);
  });
  const parent = function* fanOutAll(context: OrchestrationContext): Routine<void> {
    const parts = Math.ceil(count / width);
    const starts = Array.from({ length: parts }, (_, part) => ({
      name: all.name,
      input: { from: part * width, to: Math.min(count, (part + 1) * width) },
      suffix: `part-${part}`,
    }));
    yield* together(context, ...starts);
  };
  const clock = createVirtualClock();
  const episodes: Episode[] = [];
  const work = async ({ item }: { item: number }): Promise<unknown> => {
    await clock.sleep(10 + 10 * ((item * 7919) % count));
    return { item, done: true };
  };
  const episode = (one: Episode): void => void episodes.push(one);
  await play({ start: parent, input: null, orchestrators: [all], activities: { work }, clock, episode });
  return episodes;
}

/**
 * How long an onboarding takes beside how long it has to take: our own orchestrators on the host's engine in virtual time, beside the critical
 * path of the same drawn latencies with the same poll ticks. What has to wait for what is found by walking the runbook: a step waits for those
 * whose results its desired state names, for its resource group, and for what protects mail.
 */
import { onboardTenant } from "../../functions/onboarding/orchestrator.ts";
import type { ActualOf } from "../../shared/durable/resources.ts";
import { typical, typicalSeconds } from "../../shared/plans/durations.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { type Begun, type Hands, install, type Walk } from "../../shared/runbook/runbook.ts";
import { createVirtualClock, type VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { type Address, FIRST_GENERATION, machineAddress } from "../../shared/desired/state.ts";
import { play } from "../support/play.ts";
import { createRandom } from "../support/random.ts";
import { actual, newAddresses, orchestrators, screened, secret, tenant } from "./economy.ts";
import { type BenchmarkOptions, row } from "./rounds.ts";

const GOALS = { typical: 1.01, provisioning: 1.05 };
const DRAWS = Number(process.env["DRAWS"] ?? 1000);
/** Of the logarithm of a latency. */
const SIGMA = 0.5;

export async function makespan({ print, brief }: BenchmarkOptions): Promise<void> {
  const steps = stepsOfRunbook();
  const names = ["ours", "sequential", "waves"] as const;
  const ratios = { typical: makeRatios(), provisioning: makeRatios() };
  const critical: number[] = [];
  const draws = brief ? 3 : DRAWS;
  for (let draw = 1; draw <= draws; draw += 1) {
    const latency = drawn(draw);
    const measured = { ours: await playOurs(latency), sequential: sequentially(steps, latency), waves: inWaves(steps, latency) };
    const least = onCriticalPath(steps, latency);
    critical.push(least.proven);
    for (const name of names) {
      ratios.typical[name].push(measured[name].proven / least.proven);
      ratios.provisioning[name].push(measured[name].built / least.built);
    }
  }

  print(
    `Makespan of an onboarding over its critical path: ${draws} draws of latencies (log-normal, sigma ${SIGMA}), in virtual time`,
  );
  print(row(12, "", "p50", "p95", "most", "goal (p95)"));
  const lines = {
    ours: "our orchestrators",
    sequential: "one step after another",
    waves: "level by level, all of a level at once",
  };
  const scenarios = { typical: "from nothing to a proven pilot", provisioning: "until all is built and connected" };
  for (const scenario of ["typical", "provisioning"] as const) {
    print(scenarios[scenario]);
    for (const name of names) {
      const figures = ratios[scenario][name].toSorted((a, b) => a - b);
      const cells = [at(figures, 0.5), at(figures, 0.95), at(figures, 1)].map((figure) => figure.toFixed(3));
      print(row(12, `  ${lines[name]}`, ...cells, name === "ours" ? `<= ${GOALS[scenario]}` : ""));
    }
  }
  const seconds = at(
    critical.toSorted((a, b) => a - b),
    0.5,
  );
  print(
    `${steps.length} steps besides proofs; the critical path takes ${(seconds / 60).toFixed(1)} minutes (median), without people.`,
  );
}

const makeRatios = (): Record<"ours" | "sequential" | "waves", number[]> => ({ ours: [], sequential: [], waves: [] });
const at = (sorted: number[], share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;

// What has to wait for what

interface Step {
  name: string;
  kind?: keyof Resources;
  after: string[];
}

/** What a step's result stands for in the desired state of others: a name that can't exist (RFC 2606). */
const resultOf = (step: string): unknown => new Proxy({}, { get: () => `${step}.later.invalid` });
const named = (wanted: unknown): string[] => [
  ...new Set([...(JSON.stringify(wanted) ?? "").matchAll(/([\w-]+)\.later\.invalid/g)].map(([, step = ""]) => step)),
];

/** What protects mail, and what a machine needs before Windows in it is prepared. */
const protects: Record<string, string[]> = {
  approvalRule: ["guardRule"],
  // Rules have places in one list, so that they are made one after another.
  stripRule: ["approvalRule"],
  forwardingRule: ["approvalRule", "stripRule", "inboundConnector", "outboundConnector", "connectionFilter"],
  gatewayVm: ["placement"],
  // As late as can be: a credential that was rotated meanwhile is not taken away again.
  guestGeneration: ["gatewayVm"],
  guest: ["gatewayVm", "vaultAccessForGateway", "mailRoute", "guestGeneration"],
  loopGuid: ["vaultAccessForGatehouse"],
  adminPassword: ["vaultAccessForGatehouse"],
};

function stepsOfRunbook(): Step[] {
  const steps: Step[] = [];
  const note = (name: string, wanted: unknown, kind?: keyof Resources): unknown => {
    const inGroup = kind !== undefined && kind !== "resourceGroup" && "resourceGroup" in (wanted as object);
    const after = [...named(wanted), ...(protects[name] ?? []), ...(inGroup ? ["resourceGroup"] : [])];
    const known = new Set(steps.map((step) => step.name));
    steps.push({ name, ...(kind && { kind }), after: after.filter((one) => known.has(one)) });
    return resultOf(name);
  };
  const nothing = function* (): Walk<never, never> {
    throw new Error("a first onboarding doesn't come by here");
  };
  const hands: Hands<never> = {
    *ensure(kind, step, wanted) {
      return note(step, wanted, kind) as ActualOf<Resources[typeof kind]>;
    },
    ensureIfPossible: nothing,
    remove: nothing,
    drop: nothing,
    proveSmartHosts: nothing,
    settled: nothing,
    drained: nothing,
    forget: nothing,
    *cleanAddress() {
      const [region] = tenant.names.regions;
      const [machine] = region?.machines ?? [];
      if (!region || !machine) throw new Error("the tenant has no machine");
      const made = note("publicIpAddress", machineAddress(tenant, { region, machine }), "publicIpAddress") as Address;
      const { id, ipAddress, fqdn } = note("screened", { address: made.ipAddress }) as Address;
      return { id, ipAddress, fqdn };
    },
    *placement() {
      note("placement", {});
      return { availabilitySet: false, missing: [], machines: [[{ size: "Standard_D4as_v5", zone: "1" }]] };
    },
    rolePlacement: nothing,
    *ownPrincipal() {
      note("ownPrincipal", {});
      return "ownPrincipal.later.invalid";
    },
    *secret({ step, vaultUrl }) {
      note(step, { vaultUrl });
      return { vaultUrl: `https://${step}.later.invalid`, name: step, version: "1" };
    },
    namedSecrets: nothing,
    certificate: nothing,
    showsCertificate: nothing,
    *mailRoute() {
      note("mailRoute", {});
      return { smartHost: "mailRoute.later.invalid", relayFrom: [] };
    },
    *guestGeneration() {
      note("guestGeneration", {});
      return FIRST_GENERATION;
    },
    begunWith: () => true,
    *abreast<Results extends unknown[]>(...walks: { [Index in keyof Results]: Walk<never, Results[Index]> }) {
      const results: unknown[] = [];
      for (const walk of walks) results.push(yield* walk);
      return results as Results;
    },
    *together<Results extends unknown[]>(...chapters: { [Index in keyof Results]: Begun<Results[Index]> }) {
      const results: unknown[] = [];
      for (const chapter of chapters as Begun<unknown>[]) results.push(yield* chapter.walk(this));
      return results as Results;
    },
    *beside<Results extends unknown[], Result>(
      chapters: { [Index in keyof Results]: Begun<Results[Index]> },
      walk: (...ends: { [Index in keyof Results]: () => Walk<never, Results[Index]> }) => Walk<never, Result>,
    ) {
      const ends: (() => Walk<never, unknown>)[] = [];
      for (const chapter of chapters as Begun<unknown>[]) {
        const result = yield* chapter.walk(this);
        ends.push(function* () {
          return result;
        });
      }
      return yield* walk(...(ends as { [Index in keyof Results]: () => Walk<never, Results[Index]> }));
    },
  };
  install(hands, tenant, newAddresses).next();
  return steps;
}

// How long each step takes

/** Seconds of a step or an activity; the same ones for whoever asks in the same draw. */
type Latency = (name: string, usual: number) => number;

const drawn =
  (draw: number): Latency =>
  (name, usual) => {
    const seed = Buffer.from(name).reduce((hash, byte) => (Math.imul(hash, 31) + byte) | 0, draw * 7919);
    const random = createRandom(seed);
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return usual * Math.exp(SIGMA * normal);
  };

/** Azure goes on working after it has taken the request. */
const WORKS_ON = new Set<string>([
  "publicIpAddress",
  "networkSecurityGroup",
  "virtualNetwork",
  "networkInterface",
  "gatewayVm",
  "guest",
]);
const POLLED_EVERY = 10;
const POLL = 0.5;
const LOOKED_EVERY = tenant.pace.probeIntervalInSeconds;
const A_RECORD = 0.2;
const A_READ = 1;
const PREFLIGHT = 5;

const callOf = (latency: Latency, { name, kind }: Pick<Step, "name" | "kind">): number =>
  latency(name, kind === undefined || WORKS_ON.has(kind) ? A_READ : typicalSeconds(kind, "create"));
const workOf = (latency: Latency, name: string, kind: keyof Resources): number =>
  latency(`${name} in the cloud`, typicalSeconds(kind, "create"));

/** With the ticks at which the cloud's work is looked at, and the read afterwards. */
function lasts(latency: Latency, step: Step): number {
  const call = callOf(latency, step);
  if (step.kind === undefined || !WORKS_ON.has(step.kind)) return call;
  const work = workOf(latency, step.name, step.kind);
  let waited = 0;
  while (waited < work) waited += POLLED_EVERY + POLL;
  return call + waited + call;
}

const propagates = (latency: Latency, step: string): number => latency(`${step} everywhere`, typical.propagation);

/** Mail after mail until one was sent when every server knew the rule. */
function proves(latency: Latency, began: number, step: string, knownFrom: number): number {
  const [send, check] = [latency(`${step} sent`, A_READ), latency(`${step} looked for`, A_READ)];
  for (let now = began; ; ) {
    now += send;
    const sent = now;
    now += LOOKED_EVERY + check;
    if (sent >= knownFrom) return now;
  }
}

interface Taken {
  /** Until all is built and connected. */
  built: number;
  /** Until the pilot is proven. */
  proven: number;
}

const beginning = (latency: Latency): number =>
  A_RECORD + Math.max(latency("consent", A_READ), latency("azureAccess", A_READ)) + latency("preflight", PREFLIGHT);

/** The proof, from when machine and mail flow stand. */
function proof(latency: Latency, ready: number, forwarded: number): number {
  const looked = Math.max(latency("inboundConnectorReadBack", A_READ), latency("approvalRuleReadBack", A_READ));
  const answered = ready + looked + latency("startTls", typical.startTls);
  const proven = proves(latency, answered, "probeMail", forwarded + propagates(latency, "forwardingRule"));
  const widened = proven + callOf(latency, { name: "pilotScope", kind: "forwardingRule" });
  return proves(latency, widened, "pilotProbeMail", widened + propagates(latency, "pilotScope")) + 2 * A_RECORD;
}

// Those that are compared

function onCriticalPath(steps: Step[], latency: Latency): Taken {
  const from = beginning(latency);
  const ends = new Map<string, number>();
  for (const step of steps) {
    const begins = Math.max(from, ...step.after.map((name) => ends.get(name) ?? 0));
    ends.set(step.name, begins + lasts(latency, step));
  }
  const built = Math.max(...ends.values());
  return { built, proven: proof(latency, built, ends.get("forwardingRule") ?? 0) };
}

function sequentially(steps: Step[], latency: Latency): Taken {
  let now = beginning(latency);
  let forwarded = 0;
  for (const step of steps) {
    now += lasts(latency, step);
    if (step.name === "forwardingRule") forwarded = now;
  }
  return { built: now, proven: proof(latency, now, forwarded) };
}

function inWaves(steps: Step[], latency: Latency): Taken {
  const levels = new Map<string, number>();
  for (const { name, after } of steps) levels.set(name, 1 + Math.max(0, ...after.map((one) => levels.get(one) ?? 0)));
  let now = beginning(latency);
  let forwarded = 0;
  for (let level = 1; level <= Math.max(...levels.values()); level += 1) {
    now += Math.max(...steps.filter(({ name }) => levels.get(name) === level).map((step) => lasts(latency, step)));
    if (levels.get("forwardingRule") === level) forwarded = now;
  }
  return { built: now, proven: proof(latency, now, forwarded) };
}

async function playOurs(latency: Latency): Promise<Taken> {
  const clock = createVirtualClock();
  const began = clock.now();
  let built = 0;
  const activities = activitiesOf(clock, latency, () => (built ||= (clock.now() - began) / 1000));
  // Longer than any latency that is drawn: nothing gives up.
  const input = { ...tenant, pace: { ...tenant.pace, probeDeadlineInSeconds: 86_400 } };
  const { error, elapsedInMilliseconds } = await play({ start: onboardTenant, input, orchestrators, activities, clock });
  if (error !== undefined) throw new Error(error);
  return { built, proven: elapsedInMilliseconds / 1000 };
}

interface Asked {
  kind: keyof Resources;
  step: string;
  wanted: string;
  operationUrl: string;
  subject: string;
  purpose: string;
}

/** Nothing fails, and access is there. */
function activitiesOf(clock: VirtualClock, latency: Latency, isBuilt: () => void): Record<string, (input: never) => unknown> {
  const until = new Map<string, number>();
  const known = new Map<string, number>();
  const sent = new Map<string, number>();
  const takes: Record<string, { seconds: (input: Asked) => number; answer?: (input: Asked) => unknown }> = {
    beginOnboarding: { seconds: () => A_RECORD },
    checkAccess: { seconds: ({ wanted }) => latency(wanted, A_READ), answer: () => ({ state: "granted" }) },
    checkPreflight: { seconds: () => latency("preflight", PREFLIGHT), answer: () => ({ newAddresses }) },
    screenNewAddress: { seconds: () => latency("screened", A_READ), answer: () => screened },
    choosePlacement: {
      seconds: () => latency("placement", A_READ),
      answer: () => ({ availabilitySet: false, machines: [[{ size: "Standard_D4as_v5", zone: "1" }]], missing: [0] }),
    },
    readOwnPrincipal: {
      seconds: () => latency("ownPrincipal", A_READ),
      answer: () => ({ principalId: "c0ffee00-0000-4000-8000-0000000000b3" }),
    },
    ensureSecret: { seconds: ({ step }) => latency(step, A_READ), answer: () => secret },
    ensureResource: {
      seconds: ({ step, kind }) => callOf(latency, { name: step, kind }),
      answer: ({ step, kind }) => {
        if (step === "forwardingRule" || step === "pilotScope") known.set(step, clock.now() + 1000 * propagates(latency, step));
        if (!WORKS_ON.has(kind) || until.has(step)) return { change: "created", actual: actual[kind] ?? { id: kind } };
        until.set(step, clock.now() + 1000 * workOf(latency, step, kind));
        const begun = { state: "begun", operationUrl: step, retryAfterInSeconds: POLLED_EVERY };
        return { change: "created", begun };
      },
    },
    pollOperation: {
      seconds: () => POLL,
      answer: ({ operationUrl }) =>
        (until.get(operationUrl) ?? 0) > clock.now()
          ? { status: "running", retryAfterInSeconds: POLLED_EVERY }
          : { status: "succeeded" },
    },
    readMailRoute: {
      seconds: () => latency("mailRoute", A_READ),
      answer: () => ({ smartHost: "contoso-example.mail.protection.outlook.example", relayFrom: [] }),
    },
    readGuestGeneration: { seconds: () => latency("guestGeneration", A_READ), answer: () => FIRST_GENERATION },
    confirmResource: {
      seconds: ({ step }) => {
        isBuilt();
        return latency(step, A_READ);
      },
      answer: ({ kind }) => actual[kind] ?? { id: kind },
    },
    checkStartTls: { seconds: () => latency("startTls", typical.startTls) },
    sendProbe: {
      seconds: ({ step }) => latency(`${step} sent`, A_READ),
      answer: ({ subject }) => void sent.set(subject, clock.now()),
    },
    checkProbe: {
      seconds: ({ step }) => latency(`${step} looked for`, A_READ),
      answer: ({ step, subject }) => {
        const rule = step === "probeMail" ? "forwardingRule" : "pilotScope";
        return (sent.get(subject) ?? 0) >= (known.get(rule) ?? Number.POSITIVE_INFINITY)
          ? { found: "looped", evidence: { subject, hops: [], at: "" } }
          : { found: "bypassed" };
      },
    },
    keepForDayTwo: { seconds: () => A_RECORD },
    finishOnboarding: { seconds: () => A_RECORD },
    failOnboarding: {
      seconds: () => 0,
      answer: (input) => {
        throw new Error(`the onboarding failed: ${JSON.stringify(input)}`);
      },
    },
  };
  return Object.fromEntries(
    Object.entries(takes).map(([name, { seconds, answer }]) => [
      name,
      async (input: never) => {
        await clock.sleep(1000 * seconds(input));
        return answer?.(input);
      },
    ]),
  );
}

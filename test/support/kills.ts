/** Onboardings during which processes of the platform are killed at random instants, over the real command; replayable by its seed. */
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import type { Screen } from "../../infra/local/progress.ts";
import { onboardFromFile } from "../../infra/local/customer.ts";
import type { Operation } from "../../shared/api/operation.ts";
import {
  type Command,
  type Endpoints,
  type NewCustomer,
  endpointsOf,
  newCustomer,
  openCloudsIn,
  partnerOf,
  recordOf,
  startCommand,
} from "./command.ts";
import { canonical, type Estate, estateOf, oneOfEach, type OpenClouds } from "./estate.ts";
import { type Violation, violations, watchedOf } from "./invariants.ts";
import { type Fates, createWitness } from "./messages.ts";
import { createRandom } from "./random.ts";

/** `KILL_SEED=… npx vitest run …` repeats a run's victims and instants; what happens at them still depends on the machine. */
export const seed = Number(process.env["KILL_SEED"] ?? Date.now() % 1_000_000);

/** Azurite isn't among them: it loses its last seconds when it is killed, which Table Storage doesn't. */
const victims = ["host", "clouds", "serviceBus"] as const;
type Victim = (typeof victims)[number];

export interface Survived {
  tenantId: string;
  killed: Victim | "nobody";
  status: Operation["status"];
  error: Operation["error"] | undefined;
  /** What the clouds hold of it, without what is its own: name, address, loop GUID. */
  estate: string;
  violations: Violation[];
}

export interface Survival {
  /** Of a customer during whose onboarding nobody was killed. */
  undisturbed: Survived;
  survived: Survived[];
  kills: Record<Victim, number>;
  messages: Fates;
  seconds: number;
}

/** Onboards one customer in peace, then so many more, some at a time, with one kill during each; messages are sent all the while. */
export async function onboardUnderKills(folder: string, customers: number, atATime: number): Promise<Survival> {
  const began = performance.now();
  const random = createRandom(seed);
  const command = startCommand("--idle", "--port", "0", "--data", folder);
  try {
    await command.untilPrinted("Running");
    const witness = createWitness((await endpointsOf(folder)).serviceBus);
    const beforeAny = performance.now();
    const undisturbed = await onboardKilled(folder, { customer: newCustomer("undisturbed"), killed: "nobody", after: 0 });
    // So long an onboarding takes here and now; a kill comes somewhere in it.
    const onboardingInMilliseconds = performance.now() - beforeAny;
    const kills = { host: 0, clouds: 0, serviceBus: 0 };
    const queue = Array.from({ length: customers }, (_, index) => ({
      customer: newCustomer(`customer-${index + 1}`),
      killed: victims[Math.floor(random() * victims.length)] ?? "host",
      after: random() * onboardingInMilliseconds,
    }));
    const survived: Survived[] = [];
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        await witness.send();
        survived.push(await onboardKilled(folder, next));
        kills[next.killed] += 1;
      }
    };
    await Promise.all(Array.from({ length: atATime }, worker));
    const messages = await witness.fates();
    return { undisturbed, survived, kills, messages, seconds: Math.round((performance.now() - began) / 1000) };
  } finally {
    await stopped(command);
  }
}

/** All ended as the undisturbed one did, with one of each thing in the same state, and every message is where it belongs. */
export function expectNothingLost({ undisturbed, survived, messages }: Survival): void {
  const { estate } = undisturbed;
  expect(undisturbed).toMatchObject({ status: "Succeeded", violations: [] });
  expect(JSON.parse(estate)).toMatchObject({ ...oneOfEach, azure: expect.any(Array) });
  for (const { tenantId, killed, ...run } of survived)
    expect({ tenantId, killed, ...run }).toEqual({
      tenantId,
      killed,
      status: "Succeeded",
      error: undefined,
      estate,
      violations: [],
    });
  expect(messages).toEqual({ sent: messages.sent, lost: [], doubled: [] });
}

interface Run {
  customer: NewCustomer;
  killed: Victim | "nobody";
  /** Milliseconds since its beginning. */
  after: number;
}

async function onboardKilled(folder: string, { customer, killed, after }: Run): Promise<Survived> {
  const endpoints = await endpointsOf(folder);
  const kill = killed === "nobody" ? undefined : pause(after).then(() => killProcess(folder, killed));
  const { status, error } = await onboard(endpoints, customer);
  await kill;
  const { tenantId, spec } = customer;
  return {
    tenantId,
    killed,
    status,
    error,
    estate: await anonymousEstate(folder, customer),
    violations: violations(await recordOf(endpoints), watchedOf(spec)),
  };
}

/** By the process id that endpoints.json names at that moment; one that has just been killed isn't there any more. */
export async function killProcess(folder: string, victim: Victim): Promise<void> {
  const { pids } = await endpointsOf(folder);
  try {
    process.kill(pids[victim], "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Without what is its own: name, address, GUIDs. */
export const anonymousEstate = async (folder: string, customer: NewCustomer): Promise<string> =>
  anonymous(await estateIn(folder, customer), customer);

/**
 * Client secrets and runs on the machine come and go: a rotation may be under way. So do addresses that are held for a while beside the
 * one in use.
 */
export async function estateIn(folder: string, { spec }: NewCustomer): Promise<Estate> {
  const clouds = openCloudsIn(folder, await endpointsOf(folder));
  try {
    const estate = await estateOf(clouds, { spec });
    const used = await addressInUse(clouds, spec.azure.subscriptionId);
    const { "webclient-client-secret": _, ...secrets } = estate.secrets;
    const held = (type: string): boolean => used !== undefined && type === ADDRESS;
    const azure = estate.azure.filter((type) => !type.endsWith("/runCommands") && !held(type));
    return { ...estate, azure, secrets, publicIpAddress: used ?? estate.publicIpAddress };
  } finally {
    clouds.close();
  }
}

export function anonymous(estate: Estate, { tenantId }: NewCustomer): string {
  const { fqdn = "", address = "" } = estate.publicIpAddress ?? {};
  return (
    [fqdn, address, tenantId]
      .filter((own) => own !== "")
      .reduce((text, own) => text.replaceAll(own, "{own}"), canonical(estate))
      .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "{GUID}")
      // Two of them stand in the order of the alphabet.
      .replaceAll('"{GUID}","{loop GUID}"', '"{loop GUID}","{GUID}"')
  );
}

const ADDRESS = "Microsoft.Network/publicIPAddresses";

interface Resource {
  id: string;
  type: string;
  location: string;
  properties: { ipConfigurations?: unknown[]; ipAddress?: string; dnsSettings?: { fqdn?: string } };
}

/** Until those that were replaced are released. */
export async function untilOneAddress(folder: string, { spec }: NewCustomer): Promise<void> {
  const clouds = openCloudsIn(folder, await endpointsOf(folder));
  const addresses = async () => (await ownResources(clouds, spec.azure.subscriptionId)).filter(({ type }) => type === ADDRESS);
  while ((await addresses()).length > 1) await pause(1000);
  clouds.close();
}

async function ownResources(clouds: OpenClouds, subscription: string): Promise<Resource[]> {
  const { resources } = (await clouds.state("arm")) as { resources: Resource[] };
  return resources.filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${subscription}/`));
}

/** Of one machine. */
async function addressInUse(clouds: OpenClouds, subscription: string): Promise<Estate["publicIpAddress"]> {
  const own = await ownResources(clouds, subscription);
  const interfaces = own.flatMap(({ properties }) => properties.ipConfigurations ?? []);
  const named = JSON.stringify(interfaces).toLowerCase();
  const used = own.find(({ id, type }) => type === ADDRESS && named.includes(`"${id.toLowerCase()}"`));
  if (used === undefined) return undefined;
  const { ipAddress: address = "", dnsSettings } = used.properties;
  return { fqdn: dnsSettings?.fqdn ?? "", address, region: used.location };
}

export const onboard = (endpoints: Endpoints, { tenantId, spec }: NewCustomer): Promise<Operation> =>
  onboardFromFile({
    partner: partnerOf(endpoints),
    control: endpoints.control,
    file: { path: tenantId, tenantId, spec: { ...spec } },
    ask: false,
    screen: { say: () => undefined, show: () => undefined, finish: () => undefined } satisfies Screen,
  });

export async function stopped(command: Command): Promise<number | null> {
  command.signal("SIGTERM");
  return command.ended;
}

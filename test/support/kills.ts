/** Onboardings during which the app's host is killed at random instants, over the real command; replayable by its seed. */
import { setTimeout as pause } from "node:timers/promises";
import type { Screen } from "../../infra/local/progress.ts";
import { onboardFromFile } from "../../infra/local/customer.ts";
import type { Operation } from "../../shared/api/operation.ts";
import {
  type Command,
  type Endpoints,
  type NewCustomer,
  endpointsOf,
  holdingsOf,
  newCustomer,
  partnerOf,
  recordOf,
  startCommand,
} from "./command.ts";
import { type Violation, violations } from "./invariants.ts";
import { createRandom } from "./random.ts";

/** `KILL_SEED=… npx vitest run …` repeats a run's instants; what happens at them still depends on the machine. */
export const seed = Number(process.env["KILL_SEED"] ?? Date.now() % 1_000_000);

/** An onboarding takes about this long here; a kill comes somewhere in it. */
const ONBOARDING_IN_MILLISECONDS = 15_000;

export interface Survived {
  tenantId: string;
  status: Operation["status"];
  error: Operation["error"] | undefined;
  holdings: Awaited<ReturnType<typeof holdingsOf>>;
  violations: Violation[];
}

/** What one onboarding leaves in a customer's clouds, killed or not. */
export const oneOfEach: Survived["holdings"] = {
  azure: [
    "Microsoft.Compute/disks",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/virtualNetworks",
  ],
  inboundConnectors: 1,
  outboundConnectors: 1,
  transportRules: 3,
  applications: 1,
};

/** Onboards customers, some at a time, and kills the host once for each at a random instant of its onboarding. */
export async function onboardUnderKills(folder: string, customers: number, atATime: number): Promise<Survived[]> {
  const random = createRandom(seed);
  const command = startCommand("--idle", "--port", "0", "--data", folder);
  try {
    await command.untilPrinted("Running");
    const queue = Array.from({ length: customers }, (_, index) => ({
      customer: newCustomer(`customer-${index + 1}`),
      killAfterInMilliseconds: random() * ONBOARDING_IN_MILLISECONDS,
    }));
    const survived: Survived[] = [];
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) survived.push(await onboardKilled(folder, next));
    };
    await Promise.all(Array.from({ length: atATime }, worker));
    return survived;
  } finally {
    await stopped(command);
  }
}

async function onboardKilled(
  folder: string,
  { customer, killAfterInMilliseconds }: { customer: NewCustomer; killAfterInMilliseconds: number },
): Promise<Survived> {
  const endpoints = await endpointsOf(folder);
  const killed = pause(killAfterInMilliseconds).then(() => killHost(folder));
  const operation = await onboard(endpoints, customer);
  await killed;
  return survivedOf(endpoints, customer, operation);
}

/** By the process id that endpoints.json names at that moment; one that has just been killed isn't there any more. */
async function killHost(folder: string): Promise<void> {
  const { pids } = await endpointsOf(folder);
  try {
    process.kill(pids.host, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

export const onboard = (endpoints: Endpoints, { tenantId, spec }: NewCustomer): Promise<Operation> =>
  onboardFromFile({
    partner: partnerOf(endpoints),
    control: endpoints.control,
    file: { path: tenantId, tenantId, spec: { ...spec } },
    ask: false,
    screen: { say: () => undefined, show: () => undefined, finish: () => undefined } satisfies Screen,
  });

export async function survivedOf(
  endpoints: Endpoints,
  { tenantId, spec }: NewCustomer,
  { status, error }: Operation,
): Promise<Survived> {
  const watched = { ...spec.microsoft365, organization: spec.microsoft365.tenantId };
  return {
    tenantId,
    status,
    error,
    holdings: await holdingsOf(endpoints, spec),
    violations: violations(await recordOf(endpoints), watched),
  };
}

export async function stopped(command: Command): Promise<number | null> {
  command.signal("SIGTERM");
  return command.ended;
}

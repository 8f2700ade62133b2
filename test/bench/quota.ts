/**
 * Onboardings that all begin at once in one subscription, against the simulated Azure's token buckets, in virtual time: how long the last one takes
 * over what the buckets allow at best, how many requests are sent over those needed, and how many are refused.
 *
 * The requests are those of one onboarding on the local platform, in their order; an answer takes a fifth of a second, long-running work as long as
 * Azure asks us to wait before the next look. Three instances share the governor's table. The others have none: one obeys
 * Retry-After, as the SDKs do by themselves, one waits twice as long each time, by chance.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createThrottle } from "../../infra/local/clouds/arm/throttle.ts";
import { createGovernor } from "../../shared/azure/governor.ts";
import { limitsOf } from "../../shared/azure/limits.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createQuotaStore } from "../../shared/stores/quotas.ts";
import type { Storage } from "../../shared/stores/storage.ts";
import { recordLeftIn, runCommand } from "../support/command.ts";
import { createRandom } from "../support/random.ts";
import { memoryStorage } from "../support/memory-storage.ts";
import { type BenchmarkOptions, row } from "./rounds.ts";

interface Request {
  method: string;
  url: string;
}

interface Outcome {
  /** When the last onboarding had its last answer. */
  seconds: number;
  sent: number;
  refused: number;
  /** Table operations of the governors. */
  leases: number;
}

const INSTANCES = 3;
const ANSWER_IN_SECONDS = 0.2;
const LOOK_AFTER_SECONDS = 10;
const SUBSCRIPTION = "00000000-0000-4000-8000-000000000001";

export async function quota({ print, brief }: BenchmarkOptions): Promise<void> {
  const requests = await requestsOfOneOnboarding();
  const sizes = brief ? [2] : [1, 25, 100, 1000];
  print(
    `${requests.length} requests to Azure Resource Manager an onboarding, all in one subscription, begun at once; virtual time`,
  );
  print(row(10, "", "begun", "seconds", "of bound", "sent/need", "refused", "table"));
  for (const onboardings of sizes) {
    const bound = leastSeconds(requests, onboardings);
    const needed = requests.length * onboardings;
    for (const [name, policy] of Object.entries(policies)) {
      // Without a governor a thousand make millions of requests, which say no more than a hundred's.
      if (name !== "governor" && onboardings > 100) continue;
      for (const stranger of name === "governor" && onboardings > 1 ? [0, 0.3] : [0]) {
        const { seconds, sent, refused, leases } = await play(requests, onboardings, policy, stranger);
        const least = Math.max(bound / (1 - stranger), longest(requests));
        print(
          row(
            10,
            stranger > 0 ? `${name}, others take ${stranger * 100} %` : name,
            String(onboardings),
            seconds.toFixed(0),
            (least / seconds).toFixed(3),
            (sent / needed).toFixed(3),
            `${((100 * refused) / sent).toFixed(2)} %`,
            String(leases),
          ),
        );
      }
    }
  }
  print("goal of the governor: at least 0.97 of the bound at 1,000, at most 1.005 of the requests, less than 0.1 % refused");
}

async function requestsOfOneOnboarding(): Promise<Request[]> {
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-quota-"));
  try {
    const { code, output } = await runCommand("--once", "--port", "0", "--data", folder);
    if (code !== 0) throw new Error(output);
    return recordLeftIn(folder)
      .filter(({ cloud, url }) => cloud === "arm" && /\/subscriptions\//i.test(url) && !url.includes("/vaults/gatehouse"))
      .map(({ method, url }) => ({ method, url: url.replace(/(\/subscriptions\/)[^/?]+/i, `$1${SUBSCRIPTION}`) }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of the fullest bucket: what doesn't fit into it at first, at the rate at which it fills. */
function leastSeconds(requests: Request[], onboardings: number): number {
  const work = new Map<string, { count: number; size: number; perSecond: number }>();
  for (const { method, url } of requests)
    for (const { bucket, size, perSecond } of limitsOf(method, url)) {
      const known = work.get(bucket) ?? { count: 0, size, perSecond };
      work.set(bucket, { ...known, count: known.count + onboardings });
    }
  return Math.max(...[...work.values()].map(({ count, size, perSecond }) => (count - size) / perSecond));
}

/** Each onboarding has a machine of its own, which Compute counts by itself. */
const ofItsOwn = (url: string, number: number): string =>
  url.replace(/(\/virtualMachines\/[^/?]+|\/operations\/[^/?]+)/gi, `$1-${number}`);

const isLook = ({ url }: Request): boolean => /\/operations\//i.test(url);
const longest = (requests: Request[]): number =>
  requests.reduce((sum, request) => sum + ANSWER_IN_SECONDS + (isLook(request) ? LOOK_AFTER_SECONDS : 0), 0);

/** How many seconds to wait before try number `tries + 1`, after a refusal that asked for `retryAfter`. */
type Policy = { governed: true } | { governed: false; wait: (tries: number, retryAfter: number, random: () => number) => number };

const policies: Record<string, Policy> = {
  governor: { governed: true },
  "Retry-After": { governed: false, wait: (_, retryAfter) => retryAfter },
  doubling: { governed: false, wait: (tries, retryAfter, random) => Math.max(retryAfter, 2 ** Math.min(tries, 7) * random()) },
};

async function play(requests: Request[], onboardings: number, policy: Policy, stranger: number): Promise<Outcome> {
  let now = 0;
  const clock = { now: () => now * 1000 };
  const random = createRandom(onboardings);
  const throttle = createThrottle({ now: () => now * 1000, tempo: 1 });
  let leases = 0;
  const memory = memoryStorage();
  const storage: Storage = {
    ...memory,
    table: (name) => {
      leases += 1;
      return memory.table(name);
    },
  };
  const governors = Array.from({ length: INSTANCES }, () => createGovernor({ quotas: createQuotaStore(storage, clock), clock }));
  const outcome = { seconds: 0, sent: 0, refused: 0 };
  const agenda = createAgenda();

  const refusalOf = ({ method, url }: Request): { retryAfter: number } | Record<string, string> => {
    try {
      return throttle.take({ method, path: new URL(url).pathname, principalId: "ours" });
    } catch (error) {
      return { retryAfter: Number((error as { headers: Record<string, string> }).headers["retry-after"]) };
    }
  };
  const send = async (request: Request, tries: number): Promise<{ wait: number; tries: number } | undefined> => {
    const { method, url } = request;
    const governor = policy.governed ? governors[Math.floor(random() * INSTANCES)] : undefined;
    try {
      await governor?.admit(method, url);
    } catch (error) {
      if (!(error instanceof ControlPlaneError)) throw error;
      return { wait: error.retryAfterInSeconds ?? 1, tries };
    }
    outcome.sent += 1;
    const answer = refusalOf(request);
    if (!("retryAfter" in answer)) {
      governor?.learn(method, url, (name) => answer[name]);
      return undefined;
    }
    outcome.refused += 1;
    const retryAfter = Number(answer["retryAfter"]);
    return { wait: policy.governed ? retryAfter : policy.wait(tries + 1, retryAfter, random), tries: tries + 1 };
  };
  let under = onboardings;
  const onboard = async (number: number, index: number, tries: number): Promise<void> => {
    const general = requests[index];
    if (general === undefined) {
      under -= 1;
      outcome.seconds = now;
      return;
    }
    const request = { ...general, url: ofItsOwn(general.url, number) };
    const again = await send(request, tries);
    if (again) agenda.add(now + again.wait, () => onboard(number, index, again.tries));
    else agenda.add(now + ANSWER_IN_SECONDS + (isLook(request) ? LOOK_AFTER_SECONDS : 0), () => onboard(number, index + 1, 0));
  };
  /** Somebody else under the same principal, who takes a part of each bucket's refill. */
  const meddle = async (): Promise<void> => {
    if (under === 0) return;
    for (const [method, perSecond] of [
      ["GET", 25],
      ["PUT", 10],
    ] as const)
      for (let taken = 0; taken < perSecond * stranger; taken += 1)
        refusalOf({ method, url: `https://management.example/subscriptions/${SUBSCRIPTION}/resourceGroups/strange` });
    agenda.add(now + 1, meddle);
  };

  for (let number = 0; number < onboardings; number += 1) agenda.add(0, () => onboard(number, 0, 0));
  if (stranger > 0) agenda.add(0, meddle);
  for (let next = agenda.next(); next; next = agenda.next()) {
    now = next.at;
    await next.act();
  }
  return { ...outcome, leases };
}

interface Entry {
  at: number;
  act: () => Promise<void>;
}

/** What is to happen, by time; what is due at the same time, as it was added. */
function createAgenda(): { add: (at: number, act: Entry["act"]) => void; next: () => Entry | undefined } {
  const times = new Map<number, Entry[]>();
  const sorted: number[] = [];
  return {
    add: (at, act) => {
      const entries = times.get(at) ?? [];
      if (entries.length === 0) {
        times.set(at, entries);
        let low = 0;
        for (let high = sorted.length; low < high; ) {
          const middle = (low + high) >> 1;
          if ((sorted[middle] ?? 0) > at) low = middle + 1;
          else high = middle;
        }
        sorted.splice(low, 0, at);
      }
      entries.push({ at, act });
    },
    next: () => {
      for (;;) {
        const at = sorted.at(-1);
        if (at === undefined) return undefined;
        const entry = times.get(at)?.shift();
        if (entry) return entry;
        times.delete(at);
        sorted.pop();
      }
    },
  };
}

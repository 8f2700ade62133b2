/** Blocklists for tests: zones of the simulated DNS, a world over them on the test run's Azurite, and one tenant whose gateway may be listed. */
import { readFileSync } from "node:fs";
import type { BlocklistsWorld } from "../../functions/blocklists/world.ts";
import type { DelistingWorld } from "../../functions/delisting/world.ts";
import type { HeartbeatWorld } from "../../functions/gateways/heartbeat.ts";
import type { PlainMail } from "../../shared/graph/mail.ts";
import type { OutgoingMessage } from "../../shared/messages/sender.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Clock } from "../../shared/clock.ts";
import { type BlocklistZone, blocklistZonesSchema } from "../../shared/dns/blocklist-zones.ts";
import { type BlocklistsOptions, createBlocklists } from "../../shared/dns/blocklists.ts";
import { createResolver } from "../../shared/dns/resolver.ts";
import type { QueueWorld } from "../../shared/triggers.ts";
import { createLog } from "../../shared/log.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { TestClouds } from "./clouds.ts";
import { testStores, unique } from "./stores.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));

export const testZone = (id: string, more: Partial<BlocklistZone> = {}): BlocklistZone => ({
  id,
  title: `The ${id} list`,
  zone: `${id}.lists.example`,
  codes: { "127.0.0.2": { meaning: "spam source" }, "127.0.0.10": { meaning: "policy" } },
  weight: "high",
  removal: { kind: "form", link: "https://lists.example/remove?ip={address}", note: "Ask once." },
  ...more,
});

/** `POST /blocklists` of the control door. @param id of a test's list, or a zone's whole name */
export async function changeList(clouds: Pick<TestClouds, "control">, id: string, body: object): Promise<void> {
  const response = await fetch(`${clouds.control}/blocklists`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ zone: id.includes(".") ? id : `${id}.lists.example`, ...body }),
  });
  if (!response.ok) throw new Error(await response.text());
}

export interface ListingTest {
  world: BlocklistsWorld & DelistingWorld;
  partnerId: string;
  tenantId: string;
  /** What went to the queue. */
  sent: OutgoingMessage[];
  logged: string[];
  /** What was sent to lists, by subject. */
  mails: Map<string, PlainMail>;
}

/** One tenant with gateways at `addresses`. Time is the clock's; nothing is waited for. */
export async function listingTest(
  clouds: { environment: Pick<TestClouds["environment"], "dnsServers"> },
  clock: Clock,
  zones: BlocklistZone[],
  addresses: string[],
  { stores = testStores(clock), ...more }: Partial<BlocklistsOptions> & { stores?: ReturnType<typeof testStores> } = {},
): Promise<ListingTest> {
  const partnerId = unique("partner");
  const tenantId = unique("contoso");
  await stores.tenants.add(partnerId, tenantId, tenantSpecSchema.parse(contoso));
  const sent: OutgoingMessage[] = [];
  const mails = new Map<string, PlainMail>();
  const logged: string[] = [];
  const servers = clouds.environment.dnsServers;
  const api: Omit<ApiWorld, "authenticate" | "signer" | "settings"> = {
    stores: { ...stores, listings: alone(stores.listings, partnerId) },
    log: createLog("debug", (_level, line) => logged.push(line)),
    clock,
  };
  const world = {
    ...api,
    blocklists: createBlocklists({
      servers,
      zones: blocklistZonesSchema.parse(zones),
      readKey: () => Promise.reject(new Error("no keys here")),
      timeoutInSeconds: 0.2,
      queriesPerSecond: 10_000,
      ...more,
    }),
    resolver: createResolver({ servers, timeoutInSeconds: 0.2 }),
    // New ones, which are asked about as often as the pace says.
    addresses: () =>
      Promise.resolve(addresses.map((address) => ({ partnerId, tenantId, address, since: new Date(clock.now()).toISOString() }))),
    sender: {
      send: (_queue, message) => {
        sent.push(message);
        return Promise.resolve();
      },
    },
    listingPace: { confirmAfterInSeconds: 60, pollEveryInSeconds: 60 },
    delistingPace: {
      patience: { tries: 3, firstWaitInSeconds: 1, longestWaitInSeconds: 10 },
      firstWaitInSeconds: 15 * 60,
      deadlineInSeconds: 8 * 24 * 60 * 60,
      confirmAfterInSeconds: 60,
    },
    pausedLists: [],
    probes: {
      sendOnce: (_organization, _mailbox, mail) => {
        mails.set(mail.subject, mail);
        return Promise.resolve();
      },
    },
    canaryMailbox: { organization: "00000000-0000-4000-8000-00000000000a", address: "gatehouse@northwind.example" },
    reportFailure: (activity, error) => logged.push(`${activity}: ${String(error)}`),
  } satisfies Omit<BlocklistsWorld & DelistingWorld, "authenticate" | "signer" | "settings">;
  // The doors' part is tested over the wire; whoever reaches for it here has gone too far.
  return { world: world as unknown as ListingTest["world"], partnerId, tenantId, sent, logged, mails };
}

/** Other tests of this run share the tables: their addresses and the times of their runs are none of ours. */
function alone(listings: BlocklistsWorld["stores"]["listings"], partnerId: string): typeof listings {
  let last: number | undefined;
  return {
    ...listings,
    all: () => listings.of(partnerId),
    lastPolledAt: () => Promise.resolve(last),
    recordPoll: (at) => {
      last = at;
      return listings.recordPoll(at);
    },
  };
}

interface Playing {
  world: ListingTest["world"] & HeartbeatWorld;
  queues: QueueWorld;
}
let current: Playing | undefined;

/** For test/support/listing-app, which the host loads without arguments. */
export function worldOfListings(): Playing {
  if (!current) throw new Error("no test has set a world yet");
  return current;
}

export const playListings = (playing: Playing): void => {
  current = playing;
};

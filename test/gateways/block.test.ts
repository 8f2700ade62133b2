/** Microsoft's block of a gateway's address: told once while it lasts, when two probes in a row agree on it, and whatever else happens. */
import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type HeartbeatWorld, postHeartbeat } from "../../functions/gateways/heartbeat.ts";
import type { HeartbeatInput } from "../../shared/api/heartbeat.ts";
import { vmIdOf } from "../../shared/api/heartbeat.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createLog } from "../../shared/log.ts";
import { parseListing } from "../../shared/messages/listing.ts";
import { readReply } from "../../shared/smtp/microsoft-block.ts";
import { createCaseStore } from "../../shared/stores/cases.ts";
import { createGatewayStore } from "../../shared/stores/gateways.ts";
import { createHeartbeatStore } from "../../shared/stores/heartbeats.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const MINUTE = 60_000;
const partnerId = "northwind";
const replies = {
  accepted: "250 2.1.5 Recipient OK",
  portal: "550 5.7.606 Access denied, banned sending IP [203.0.113.7]",
  mail: "550 5.7.511 Access denied, banned sender[203.0.113.7]. To request removal forward this message to delist@microsoft.com",
  busy: "451 4.7.500 Server busy",
  nobody: "",
};
type Reply = keyof typeof replies;
const lists: Partial<Record<Reply, string>> = { portal: "microsoft-portal", mail: "microsoft-mail" };

async function gateway() {
  let time = Date.UTC(2030, 0, 1);
  let probedAt = time;
  let brokerAway = false;
  const clock = { now: () => time };
  const storage = memoryStorage();
  const stores = {
    cases: createCaseStore(storage, clock),
    gateways: createGatewayStore(storage, clock),
    heartbeats: createHeartbeatStore(storage, clock),
    tenants: createTenantStore(storage, clock),
  };
  const identity = { entraTenantId: randomUUID(), virtualMachineId: "/subscriptions/s/machine", tenantId: "contoso", partnerId };
  const { gateway: known } = await stores.gateways.put({
    ...identity,
    subscriptionId: "s",
    address: "203.0.113.7",
    fqdn: "contoso.westeurope.cloudapp.azure.example",
    region: "westeurope",
    state: { health: "healthy", reason: "LoopProven" },
  });
  const clientId = randomUUID();
  await stores.heartbeats.register({ ...identity, gatewayId: known.id, clientId });
  const sent: { id: string; list: string; codes: string[]; since: string }[] = [];
  const sender: HeartbeatWorld["sender"] = {
    send: (queue, { messageId, body }) => {
      if (brokerAway) return Promise.reject(new ControlPlaneError("ServiceUnavailable", "sending", 503, true));
      const { list, codes, since } = parseListing(body);
      sent.push({ id: `${queue} ${messageId}`, list, codes, since });
      return Promise.resolve();
    },
  };
  const log = createLog("error", () => undefined);
  const door = postHeartbeat({ stores, sender, clock, log, heartbeatEveryInSeconds: 600 } as unknown as HeartbeatWorld);
  return {
    stores,
    sent,
    broker: (away: boolean) => void (brokerAway = away),
    /** Ten minutes later; a probe that is older than that is told again. */
    async beat(reply: Reply, { again = false, minutes = 10, refused = [] as string[] } = {}): Promise<void> {
      time += minutes * MINUTE;
      if (!again) probedAt = time;
      // A minute before it is told.
      const lastAt = new Date(time - MINUTE).toISOString();
      const body: HeartbeatInput = {
        version: 1,
        sentAt: new Date(time).toISOString(),
        queue: null,
        badmail: null,
        services: [],
        certificate: null,
        probe: { at: new Date(probedAt).toISOString(), host: "mx.example", stage: "RCPT", reply: replies[reply] },
        refused: refused.map((code) => ({ reply: code, count: 3, lastAt })),
        applied: { generation: 1, part: 1 },
        scanners: [],
      };
      const caller = { role: "Machine", entraTenantId: identity.entraTenantId, clientId, virtualMachineId: undefined };
      const call = { caller, params: { vmId: vmIdOf(partnerId, known.id) }, body } as unknown as Parameters<typeof door>[0];
      expect(await door(call, {} as Parameters<typeof door>[1])).toMatchObject({ status: 202 });
    },
    now: () => time,
    /** As the queue's reader does with the last message. */
    async open(): Promise<void> {
      const { id = "", list = "", codes = [], since = "" } = sent.at(-1) ?? {};
      const about = { partnerId, tenantId: "contoso", address: "203.0.113.7", list, listTitle: list, codes };
      await stores.cases.open({ ...about, id: id.replace("delisting ", ""), listedSince: since, deadline: since });
    },
    async close(): Promise<void> {
      for (const { id } of (await stores.cases.list(partnerId, {}, 100)).items)
        await stores.cases.change(partnerId, id, () => ({ state: "closed", outcome: "delisted" }));
    },
  };
}

test("one reading says nothing, two in a row ask for a case, and a third asks for none", async () => {
  const { beat, sent } = await gateway();
  await beat("portal");
  // The machine looks every fifteen minutes and reports every ten: one look told twice is one reading.
  await beat("portal", { again: true });
  expect(sent).toEqual([]);
  await beat("portal");
  await beat("portal");
  expect(sent).toEqual([
    {
      id: "delisting delisting-microsoft-portal-203.0.113.7-20300101t001000z",
      list: "microsoft-portal",
      codes: ["5.7.606"],
      since: "2030-01-01T00:10:00.000Z",
    },
  ]);
});

test("mail that was refused by the service's log says it as well, and as often as the probe does", async () => {
  const { beat, sent } = await gateway();
  await beat("busy", { refused: ["550 5.7.606"] });
  await beat("busy", { refused: ["451 4.7.500", "550 5.1.10"] });
  expect(sent).toEqual([]);
  await beat("busy", { refused: ["550 5.7.606"] });
  expect(sent).toMatchObject([{ list: "microsoft-portal", codes: ["5.7.606"], since: "2030-01-01T00:10:00.000Z" }]);
  // Each is one reading of its own.
  const other = await gateway();
  await other.beat("mail", { refused: ["550 5.7.1 blocked using blocklist"] });
  expect(other.sent).toMatchObject([{ list: "microsoft-mail", codes: ["5.7.511"] }]);
});

test("a probe that is accepted after the mail was refused ends it, one that is told once more does not", async () => {
  const { beat, sent } = await gateway();
  await beat("accepted", { refused: ["550 5.7.606"] });
  await beat("accepted", { refused: ["550 5.7.606"] });
  expect(sent).toEqual([]);
  await beat("accepted", { again: true, refused: ["550 5.7.606"] });
  await beat("accepted", { again: true, refused: ["550 5.7.606"] });
  expect(sent).toHaveLength(1);
});

test("an accepted reply in between begins anew, others don't; another code is another list", async () => {
  const { beat, sent } = await gateway();
  for (const reply of ["portal", "accepted", "portal", "busy", "nobody", "portal", "mail", "busy", "mail"] as const)
    await beat(reply);
  expect(sent.map(({ list }) => list)).toEqual(["microsoft-portal", "microsoft-mail"]);
});

test("what the broker does not take is told by the next heartbeat, under the same id; what was lost on its way, an hour later", async () => {
  const { beat, broker, sent, open } = await gateway();
  broker(true);
  for (let times = 0; times < 3; times += 1) await beat("portal");
  broker(false);
  await beat("nobody");
  expect(sent).toHaveLength(1);
  for (let times = 0; times < 5; times += 1) await beat("portal");
  expect(sent).toHaveLength(1);
  await beat("portal");
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
  expect(sent).toHaveLength(2);
  await open();
  for (let times = 0; times < 30; times += 1) await beat("portal");
  expect(sent).toHaveLength(2);
});

test("whatever is replied, and however often: a message only where two probes in a row agree, and one while it lasts", async () => {
  const step = fc.record({
    reply: fc.constantFrom<Reply>("accepted", "portal", "portal", "mail", "busy", "nobody"),
    again: fc.boolean(),
    away: fc.boolean(),
    closes: fc.boolean(),
    minutes: fc.constantFrom(1, 10, 15, 600),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { beat, broker, close, now, open, sent } = await gateway();
      const expected: string[] = [];
      const cases = new Map<string, { since: number; open: boolean }>();
      let block: { list: string; since: number; probes: number; toldAt?: number } | undefined;
      let before: Reply = "nobody";
      for (const { reply, again, away, closes, minutes } of steps) {
        // A probe that is told again says the same.
        before = again ? before : reply;
        broker(away);
        await beat(before, { again, minutes });
        const list = lists[before];
        if (before === "accepted") block = undefined;
        else if (list !== undefined && list !== block?.list) block = { list, since: now(), probes: 1 };
        else if (block && list !== undefined && !again) block.probes += 1;
        if (block && block.probes > 1 && now() - (block.toldAt ?? 0) >= 60 * MINUTE) {
          const last = cases.get(block.list);
          const caseMissing = !last || (!last.open && last.since < block.since);
          if (caseMissing && !away) {
            expected.push(block.list);
            cases.set(block.list, { since: block.since, open: true });
            await open();
          }
          if (!caseMissing || !away) block.toldAt = now();
        }
        expect(sent.map((message) => message.list)).toEqual(expected);
        if (closes) {
          await close();
          for (const one of cases.values()) one.open = false;
        }
      }
    }),
    { numRuns: 30 },
  );
});

test("the enhanced code says what it is about, and words only where the code is the general one", () => {
  const said = {
    "250 2.1.5 Recipient OK": "accepted",
    "550 5.7.605 Access denied": "nothing",
    "550 5.7.606 Access denied, banned sending IP [203.0.113.7]": "microsoft-portal 5.7.606",
    "550-5.7.649 Access denied, banned sending IP [203.0.113.7]": "microsoft-portal 5.7.649",
    "550 5.7.650 something else": "nothing",
    "550 5.7.511 Access denied, banned sender": "microsoft-mail 5.7.511",
    "550 5.7.1 Service unavailable; client blocked using Blocklist 1. To be removed, mail delist@microsoft.com":
      "microsoft-mail 5.7.1",
    "550 5.7.1 Service unavailable; blocked using Spamhaus": "nothing",
    "550 5.7.64 TenantAttribution; Relay Access Denied. It is not about 5.7.606": "nothing",
    "451 4.7.650 The mail server [203.0.113.7] has been temporarily rate limited": "nothing",
    "": "nothing",
  };
  const read = (reply: string): string => {
    const answer = readReply(reply);
    return answer.says === "blocked" ? `${answer.list} ${answer.code}` : answer.says;
  };
  expect(Object.fromEntries(Object.keys(said).map((reply) => [reply, read(reply)]))).toEqual(said);
});

/**
 * The whole way, over Service Bus and the host: a listing that the timer finds by real UDP, and a block that a machine's heartbeats tell;
 * case, a person's form, and the case is closed. One message, one case.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHost, type Host } from "../../infra/local/functions-host/host.ts";
import { createServiceBus, type ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { createAuthentication } from "../../shared/api/authentication.ts";
import { systemClock } from "../../shared/clock.ts";
import { createDeadLetters, type DeadLetters } from "../../shared/messages/dead-letters.ts";
import { createSender, type Sender } from "../../shared/messages/sender.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import { changeList, listingTest, type ListingTest, playListings, testZone } from "../support/blocklists.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { startTokenIssuer, type TokenIssuer } from "../support/token-issuer.ts";

let clouds: TestClouds;
let bus: ServiceBus;
let sender: Sender;
let deadLetters: DeadLetters;
let host: Host;
let under: ListingTest;
let issuer: TokenIssuer;
const identityId = "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gateway";
const sent: string[] = [];

beforeAll(async () => {
  clouds = await startClouds();
  const name = "gw.westeurope.cloudapp.azure.example";
  clouds.platform.peers.publicAddresses = () => [{ fqdn: name, reverseFqdn: name, address: "203.0.113.7" }];
  bus = await createServiceBus({ queues: JSON.parse(readFileSync("infra/local/service-bus/queues.json", "utf8")) });
  const settings = {
    connection: bus.connectionString,
    credential: { getToken: () => Promise.reject(new Error("a connection string needs no credential")) },
  };
  sender = createSender(settings);
  deadLetters = createDeadLetters(settings);
  const zones = [testZone("whole"), testZone("open"), testZone("wild"), testZone("empty"), testZone("still")];
  await changeList(clouds, "whole", {});
  for (const [id, behaviour] of [
    ["open", "127.255.255.254"],
    ["wild", "everything"],
    ["empty", "nothing"],
    ["still", "silent"],
  ] as const)
    await changeList(clouds, id, { behaviour });
  under = await listingTest(clouds, systemClock, zones, ["203.0.113.7"]);
  issuer = await startTokenIssuer();
  const { applicationId, authorityHost, homeTenantId } = issuer;
  const { partners } = under.world.stores;
  const world: Parameters<typeof playListings>[0]["world"] = {
    ...under.world,
    authenticate: createAuthentication({
      environment: { authorityHost },
      applicationId,
      homeTenantId,
      partners,
      clock: systemClock,
    }),
    settings: { applicationId, authorityHost, homeTenantId, publicUrl: "http://127.0.0.1" },
    heartbeatEveryInSeconds: 1,
    sender: {
      send: (queue, message) => {
        sent.push(message.messageId);
        return sender.send(queue, message);
      },
    },
    listingPace: { confirmAfterInSeconds: 1, pollEveryInSeconds: 1 },
    delistingPace: { ...under.world.delistingPace, firstWaitInSeconds: 1, confirmAfterInSeconds: 1, deadlineInSeconds: 600 },
  };
  playListings({ world, queues: { deadLetters, sender, clock: systemClock } });
  process.env["BLOCKLISTS_SCHEDULE"] = "* * * * * *";
  process.env["ServiceBusConnection"] = bus.connectionString;
  host = await createHost({ appDirectory: "test/support/listing-app", stateFile: ":memory:", port: 0, log: () => undefined });
}, 60_000);
afterAll(async () => {
  await host.stop();
  await issuer.stop();
  await sender.close();
  await deadLetters.close();
  await bus.stop();
  await clouds.stop();
});

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(100);
  }
}
const cases = async (tenantId = under.tenantId): Promise<CaseRecord[]> =>
  (await under.world.stores.cases.list(under.partnerId, { tenantId }, 10)).items;
const listedStatus = async () =>
  (await under.world.stores.tenants.get(under.partnerId, under.tenantId)).conditions.find(({ type }) => type === "Listed")
    ?.status;

test("a listing is found, told once, and becomes one case; removing it closes the case; blind lists open none", async () => {
  await changeList(clouds, "whole", { list: ["203.0.113.7"] });
  const ready = await until(async () => (await cases()).find(({ state }) => state === "ready"));
  expect(ready).toMatchObject({ list: "whole", address: "203.0.113.7", task: { kind: "askForRemoval" } });
  expect(await listedStatus()).toBe("True");

  // What the task asks of a person.
  const form = { address: "203.0.113.7", mailbox: "postmaster@contoso.example", reason: ready.task?.text ?? "" };
  const portal = `${clouds.control}/portal/whole.lists.example`;
  expect((await fetch(portal, { method: "POST", body: new URLSearchParams(form) })).status).toBe(202);

  const closed = await until(async () => (await cases()).find(({ state }) => state === "closed"));
  expect(closed).toMatchObject({ id: ready.id, outcome: "delisted" });
  await until(async () => ((await listedStatus()) === "False" ? true : undefined));
  expect([sent.filter((id) => id.includes("whole")), (await cases()).map(({ id }) => id)]).toEqual([[ready.id], [ready.id]]);

  const healths = Object.fromEntries((await under.world.stores.listings.healths()).map(({ list, health }) => [list, health]));
  expect(healths).toMatchObject({
    whole: "ok",
    open: "refused",
    wild: "listsEverything",
    empty: "listsNothing",
    still: "unreachable",
  });
}, 120_000);

test("a block that a machine's heartbeats tell becomes one case, and accepted mail closes it", async () => {
  const address = "203.0.113.99";
  const { partnerId, tenantId } = under;
  const { gateways, heartbeats, tenants } = under.world.stores;
  const blocked = `${tenantId}-blocked`;
  await tenants.add(partnerId, blocked, (await tenants.get(partnerId, tenantId)).spec);
  const machine = { partnerId, tenantId: blocked, virtualMachineId: `/subscriptions/s/${blocked}`, entraTenantId: randomUUID() };
  const state = { health: "healthy", reason: "LoopProven" } as const;
  const rest = { subscriptionId: "s", address, fqdn: "gw.westeurope.cloudapp.azure.example", region: "westeurope", state };
  const { gateway } = await gateways.put({ ...machine, ...rest });
  const clientId = randomUUID();
  await heartbeats.register({ ...machine, gatewayId: gateway.id, clientId });
  const claims = { tid: machine.entraTenantId, azp: clientId, xms_mirid: identityId };
  const token = await issuer.token(claims);
  const beat = async (reply: string): Promise<void> => {
    const now = new Date().toISOString();
    const probe = { at: now, host: "contoso-example.mail.protection.outlook.example", stage: "RCPT", reply };
    const told = { version: 1, sentAt: now, queue: null, badmail: null, services: [], certificate: null, probe };
    const answer = await fetch(`${host.url}/api/agents/${partnerId}.${gateway.id}/heartbeat?api-version=2026-11-01`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ ...told, applied: { generation: 1, part: 1 }, scanners: [] }),
    });
    expect(answer.status).toBe(202);
  };
  const mine = async () => (await cases(blocked)).find((one) => one.address === address);

  for (let times = 0; times < 2; times += 1) await beat("550 5.7.606 Access denied, banned sending IP [203.0.113.99]");
  const known = await until(async () => {
    const one = await mine();
    return one?.state !== "opened" ? one : undefined;
  });
  expect(known).toMatchObject({ list: "microsoft-portal", listTitle: "Microsoft 365", tenantId: blocked, confirmed: true });
  expect(known.evidence).toMatchObject({ codes: [{ code: "5.7.606" }], reply: expect.stringContaining("5.7.606") });

  const closed = await until(async () => {
    await beat("250 2.1.5 Recipient OK");
    const one = await mine();
    return one?.state === "closed" ? one : undefined;
  });
  expect([closed.outcome, sent.filter((id) => id.includes("microsoft"))]).toEqual(["delisted", [closed.id]]);
}, 120_000);

test("a message that can't be read is dead-lettered with its reason", async () => {
  await sender.send("delisting", { messageId: "poison", body: { list: "whole" } });
  const dead = await until(() => Promise.resolve(bus.state().queues.find(({ name }) => name === "delisting")?.deadLetters[0]));
  expect(dead).toMatchObject({ messageId: "poison", reason: "MessageMalformed" });
  expect(JSON.stringify(dead)).toContain("address: ");
}, 60_000);

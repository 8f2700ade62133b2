/** Keys with rights: each opens what it is for, and nothing else. */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import type { AuthorizationRule, ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { bodies, connect, peekLock, queue, receiveAll, rulesOf, startBus, topic } from "../support/service-bus.ts";

const rule = (name: string, ...rights: AuthorizationRule["rights"]): AuthorizationRule => ({
  name,
  rights,
  primaryKey: `key of ${name}`,
});

const startWithKeys = () =>
  startBus(
    [
      { ...queue, authorizationRules: [rule("sender", "Send"), rule("listener", "Listen"), rule("both", "Send", "Listen")] },
      { ...queue, name: "rotation" },
    ],
    {
      topics: [{ ...topic, authorizationRules: [rule("reader", "Listen"), rule("owner", "Manage", "Send", "Listen")] }],
      authorizationRules: [rule("everywhere", "Listen")],
    },
  );

const endpoint = ({ port }: ServiceBus): string => `Endpoint=sb://127.0.0.1:${port};UseDevelopmentEmulator=true;`;
const as = (bus: ServiceBus, name: string) =>
  connect(`${endpoint(bus)}SharedAccessKeyName=${name};SharedAccessKey=key of ${name}`);
const refused = { code: "UnauthorizedAccess" };

test("who may send only sends, schedules and cancels, but receives, peeks and renews nothing", async () => {
  const { bus, clock } = await startWithKeys();
  const client = as(bus, "sender");
  const sender = client.createSender("delisting");
  await sender.sendMessages({ body: 1 });
  const numbers = await sender.scheduleMessages({ body: 2 }, new Date(clock.now() + 60_000));
  await sender.cancelScheduledMessages(numbers);
  await expect(receiveAll(peekLock(client))).rejects.toMatchObject(refused);
  await expect(peekLock(client).peekMessages(1)).rejects.toMatchObject(refused);
  await client.close();
});

test("who may listen only receives, peeks and settles, but sends and schedules nothing", async () => {
  const { bus, clock, client: root } = await startWithKeys();
  await root.createSender("delisting").sendMessages({ body: 1 });
  const client = as(bus, "listener");
  const receiver = peekLock(client);
  expect(bodies(await receiver.peekMessages(1))).toEqual([1]);
  const [message] = await receiver.receiveMessages(1);
  await receiver.renewMessageLock(message!);
  await receiver.completeMessage(message!);
  const sender = client.createSender("delisting");
  await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject(refused);
  await expect(sender.scheduleMessages({ body: 3 }, new Date(clock.now() + 60_000))).rejects.toMatchObject(refused);
  await client.close();
});

test("a queue's key is good for that queue only, a namespace's everywhere, a topic's for its subscriptions", async () => {
  const { bus } = await startWithKeys();
  const both = as(bus, "both");
  await both.createSender("delisting").sendMessages({ body: 1 });
  expect(bodies(await receiveAll(peekLock(both)))).toEqual([1]);
  await expect(both.createSender("rotation").sendMessages({ body: 1 })).rejects.toMatchObject(refused);
  await both.close();
  const everywhere = as(bus, "everywhere");
  expect(await peekLock(everywhere, "rotation").peekMessages(1)).toEqual([]);
  expect(await peekLock(everywhere, "delisting").peekMessages(1)).toMatchObject([{ body: 1 }]);
  await everywhere.close();
  const reader = as(bus, "reader");
  expect(await receiveAll(reader.createReceiver("alerts", "archive"))).toEqual([]);
  await expect(reader.createSender("alerts").sendMessages({ body: 1 })).rejects.toMatchObject(refused);
  await expect(peekLock(reader, "delisting").peekMessages(1)).rejects.toMatchObject(refused);
  await reader.close();
});

test("rules are read by who may listen, and changed by who may manage", async () => {
  const { bus } = await startWithKeys();
  const [reader, owner] = [as(bus, "reader"), as(bus, "owner")];
  const reading = reader.createRuleManager("alerts", "archive");
  expect((await rulesOf(reading)).map(({ name }) => name)).toEqual(["$Default"]);
  await expect(reading.createRule("mine", { subject: "a" })).rejects.toMatchObject(refused);
  await expect(reading.deleteRule("$Default")).rejects.toMatchObject(refused);
  await owner.createRuleManager("alerts", "archive").createRule("ours", { subject: "a" });
  expect((await rulesOf(reading)).map(({ name }) => name)).toEqual(["$Default", "ours"]);
  await reader.close();
  await owner.close();
});

/** As whoever was given a signature and not the key. */
function signed(bus: ServiceBus, { key, path, expiresAt }: { key: string; path: string; expiresAt: number }) {
  const audience = encodeURIComponent(`sb://127.0.0.1:${bus.port}/${path}`);
  const expiry = Math.floor(expiresAt / 1000);
  const signature = createHmac("sha256", key).update(`${audience}\n${expiry}`).digest("base64");
  return connect(
    `${endpoint(bus)}SharedAccessSignature=SharedAccessSignature sr=${audience}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=both`,
  );
}

test.each([
  ["is good until it expires", { lasts: 60_000 }, undefined],
  ["is refused once it has expired", { lasts: -1000 }, "expired"],
  ["is refused for another path than the signed one", { path: "rotation" }, "invalid signature"],
  ["is refused for a path beside the signed one", { path: "delisting/more" }, "does not cover"],
  ["is refused when another key has signed it", { key: "somebody's" }, "invalid signature"],
])(
  "a signature %s",
  async (_what, {
    lasts = 60_000,
    path = "delisting",
    key = "key of both",
  }: { lasts?: number; path?: string; key?: string }, reason) => {
    const { bus, clock } = await startWithKeys();
    const client = signed(bus, { key, path, expiresAt: clock.now() + lasts });
    const sending = client.createSender("delisting").sendMessages({ body: 1 });
    if (reason === undefined) await sending;
    else await expect(sending).rejects.toMatchObject({ ...refused, message: expect.stringContaining(reason) as string });
    await client.close();
  },
);

test("the right to manage comes with those to send and to listen, as in Azure", async () => {
  await expect(startBus([{ ...queue, authorizationRules: [rule("half", "Manage")] }])).rejects.toThrow("needs Send and Listen");
});

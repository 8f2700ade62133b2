/** Topics: what is sent once arrives in each subscription that takes it, and lives its own life there. */
import { readFileSync } from "node:fs";
import type { ServiceBusReceiver } from "@azure/service-bus";
import { expect, test } from "vitest";
import type { TopicOptions } from "../../infra/local/service-bus/service-bus.ts";
import { accept, bodies, deadLetters, peekLock, receive, receiveAll, startBus, topic } from "../support/service-bus.ts";

const minutes = (count: number): number => count * 60_000;
const archive = "alerts/Subscriptions/archive";

const startTopic = async (options = {}) => {
  const started = await startBus([], { topics: [{ ...topic, ...options }] });
  const from = (subscription: string): ServiceBusReceiver =>
    started.client.createReceiver("alerts", subscription, { maxAutoLockRenewalDurationInMs: 0 });
  const [alerts] = started.bus.state().topics;
  expect(alerts?.subscriptions.map(({ name }) => name)).toEqual(
    (options as typeof topic).subscriptions?.map(({ name }) => name) ?? ["archive", "urgent"],
  );
  return {
    ...started,
    from,
    sender: started.client.createSender("alerts"),
    subscriptions: () => started.bus.state().topics[0]!.subscriptions,
  };
};

test("the README's example is what the broker takes", async () => {
  const readme = readFileSync(new URL("../../infra/local/service-bus/README.md", import.meta.url), "utf8");
  const [, example = ""] = /```json\n([\s\S]+?)```/.exec(readme) ?? [];
  const { bus } = await startBus([], { topics: JSON.parse(example) as TopicOptions[] });
  expect(bus.state().topics).toMatchObject([{ name: "alerts", subscriptions: [{ name: "archive" }, { name: "urgent" }] }]);
});

test("what a topic may not have is refused at start", async () => {
  const forwarding = { ...topic, subscriptions: [{ name: "archive", forwardTo: "delisting" }] };
  await expect(startBus([], { topics: [forwarding] })).rejects.toThrow("forwardTo");
  await expect(startBus([{ name: "Alerts" }], { topics: [topic] })).rejects.toThrow("two entities");
});

test("each subscription gets its copy, and settles it for itself", async () => {
  const { from, sender, subscriptions } = await startTopic();
  await sender.sendMessages([
    { messageId: "1", body: "disk", subject: "urgent" },
    { messageId: "2", body: "news", subject: "weekly" },
  ]);
  const [archived, urgent] = [from("archive"), from("urgent")];
  expect(bodies(await archived.receiveMessages(2))).toEqual(["disk", "news"]);
  const message = await receive(urgent);
  expect(message).toMatchObject({ messageId: "1", body: "disk" });
  await urgent.completeMessage(message);
  expect(subscriptions()).toMatchObject([
    { name: "archive", active: 0, locked: 2 },
    { name: "urgent", active: 0, locked: 0 },
  ]);
});

test("a message that no subscription takes is gone", async () => {
  const { sender, subscriptions } = await startTopic({ subscriptions: [{ name: "urgent", rules: [] }] });
  await sender.sendMessages({ body: "nobody asked" });
  expect(subscriptions()).toMatchObject([{ active: 0, deadLetters: [] }]);
});

test("a subscription counts deliveries and dead-letters for itself, into its own dead letters", async () => {
  const { client, from, sender, subscriptions } = await startTopic();
  await sender.sendMessages({ messageId: "poison", body: 1, subject: "urgent" });
  const archived = from("archive");
  for (let attempt = 0; attempt < 3; attempt += 1) await archived.abandonMessage(await receive(archived));
  expect(subscriptions()).toMatchObject([
    { active: 0, deadLetters: [{ messageId: "poison" }] },
    { active: 1, deadLetters: [] },
  ]);
  const letters = client.createReceiver("alerts", "archive", { subQueueType: "deadLetter" });
  const dead = await receive(letters);
  expect(dead).toMatchObject({ deadLetterReason: "MaxDeliveryCountExceeded", deadLetterSource: archive });
  await letters.completeMessage(dead);
  expect(subscriptions()).toMatchObject([{ deadLetters: [] }, { active: 1 }]);
});

test("dead letters of a subscription are at its path, as those of a queue", async () => {
  const { client, from, sender } = await startTopic();
  await sender.sendMessages({ messageId: "bad", body: 1 });
  const archived = from("archive");
  await archived.deadLetterMessage(await receive(archived), { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  expect(await receive(peekLock(client, `${archive}/$DeadLetterQueue`))).toMatchObject({
    messageId: "bad",
    deadLetterReason: "Bad",
  });
  expect(await deadLetters(client, archive).peekMessages(1)).toMatchObject([{ messageId: "bad" }]);
});

test("defer, lock expiry and peek work in a subscription as in a queue", async () => {
  const { clock, from, sender } = await startTopic();
  await sender.sendMessages([{ body: 1 }, { body: 2 }]);
  const archived = from("archive");
  const [first, second] = await archived.receiveMessages(2);
  await archived.deferMessage(first!);
  clock.advance(minutes(1));
  await expect(archived.completeMessage(second!)).rejects.toMatchObject({ code: "MessageLockLost" });
  expect(bodies(await archived.peekMessages(10))).toEqual([1, 2]);
  expect(await receive(archived)).toMatchObject({ body: 2, deliveryCount: 1 });
  expect(await archived.receiveDeferredMessages(first!.sequenceNumber!)).toMatchObject([{ body: 1 }]);
});

test("the shortest time to live holds: of message, topic or subscription", async () => {
  const { bus, clock, sender, subscriptions } = await startTopic({
    defaultMessageTimeToLive: "PT1M",
    subscriptions: [
      { name: "short", defaultMessageTimeToLive: "PT30S", deadLetteringOnMessageExpiration: true },
      { name: "long", defaultMessageTimeToLive: "PT1H" },
    ],
  });
  await sender.sendMessages([
    { body: 1, timeToLive: 10_000 },
    { body: 2, timeToLive: minutes(60) },
  ]);
  const left = (): number[] => subscriptions().map(({ active }) => active);
  expect(left()).toEqual([2, 2]);
  clock.advance(10_000);
  expect(left()).toEqual([1, 1]);
  clock.advance(20_000);
  expect(left()).toEqual([0, 1]);
  clock.advance(30_000);
  expect(left()).toEqual([0, 0]);
  expect(bus.state().topics[0]?.subscriptions[0]?.deadLetters).toHaveLength(2);
});

test("a scheduled message waits in the topic, and filters look at it when its time has come", async () => {
  const { bus, client, clock, from, sender } = await startTopic();
  const at = new Date(clock.now() + minutes(30));
  const [number] = await sender.scheduleMessages({ body: "never" }, at);
  await sender.scheduleMessages({ body: "check again", correlationId: "case-1" }, at);
  await sender.cancelScheduledMessages(number!);
  await expect(sender.cancelScheduledMessages(number!)).rejects.toMatchObject({ code: "MessageNotFound" });
  expect(bus.state().topics).toMatchObject([{ scheduled: 1, subscriptions: [{ active: 0, scheduled: 0 }, { active: 0 }] }]);
  await client.createRuleManager("alerts", "urgent").createRule("case-1", { correlationId: "case-1" });
  clock.advance(minutes(30));
  for (const name of ["archive", "urgent"])
    expect(await receive(from(name))).toMatchObject({ body: "check again", enqueuedTimeUtc: at });
});

test("a topic that detects duplicates drops them for all its subscriptions", async () => {
  const { clock, from, sender } = await startTopic({ requiresDuplicateDetection: true });
  for (let body = 0; body < 2; body += 1) await sender.sendMessages({ messageId: "once", body, subject: "urgent" });
  for (const name of ["archive", "urgent"]) expect(bodies(await receiveAll(from(name)))).toEqual([0]);
  clock.advance(minutes(10));
  await sender.sendMessages({ messageId: "once", body: 2, subject: "urgent" });
  expect(bodies(await receiveAll(from("urgent")))).toContain(2);
});

test("a subscription may have sessions; what has none is dead-lettered there, and there only", async () => {
  const { client, from, sender, subscriptions } = await startTopic({
    subscriptions: [{ name: "plain" }, { name: "ordered", requiresSession: true }],
  });
  await sender.sendMessages([{ body: 1, sessionId: "one" }, { body: 2 }]);
  const session = await client.acceptSession("alerts", "ordered", "one", { maxAutoLockRenewalDurationInMs: 0 });
  expect(bodies(await receiveAll(session))).toEqual([1]);
  await session.setSessionState("seen 1");
  expect(await session.getSessionState()).toBe("seen 1");
  expect(bodies(await receiveAll(from("plain")))).toEqual([1, 2]);
  expect(subscriptions()[1]?.deadLetters).toMatchObject([{ reason: "Session ID is null" }]);
  await expect(accept(client, "one", "alerts/Subscriptions/plain")).rejects.toThrow("Failed to create a receiver");
});

test("a topic can't be received from, a subscription or dead-letter queue can't be sent to", async () => {
  const { client } = await startTopic();
  await expect(receiveAll(peekLock(client, "alerts"))).rejects.toThrow("cannot be received from");
  for (const path of [archive, `${archive}/$DeadLetterQueue`])
    await expect(client.createSender(path).sendMessages({ body: 1 })).rejects.toThrow("cannot be sent to");
  await expect(receiveAll(client.createReceiver("alerts", "nobody"))).rejects.toMatchObject({ code: "MessagingEntityNotFound" });
});

test("the control door shows topics, subscriptions and their dead letters", async () => {
  const { bus, from, sender } = await startTopic();
  await sender.sendMessages([{ messageId: "bad", body: 1 }, { body: 2 }]);
  const archived = from("archive");
  await archived.deadLetterMessage(await receive(archived), { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  const get = async (path: string): Promise<unknown> => (await fetch(`${bus.control}${path}`)).json();
  expect(await get("/topics")).toMatchObject({
    value: [
      { name: "alerts", scheduled: 0, subscriptions: [{ name: "archive", active: 1, deadLetters: 1 }, { name: "urgent" }] },
    ],
  });
  expect(await get("/topics/alerts/subscriptions/archive/deadletters")).toMatchObject({
    value: [{ messageId: "bad", reason: "Bad" }],
  });
  for (const nobody of [
    "/topics/nobody/subscriptions/archive/deadletters",
    "/topics/alerts/subscriptions/nobody/deadletters",
    "/topics/alerts",
  ])
    expect(await get(nobody)).toMatchObject({ error: { code: "NotFound" } });
});

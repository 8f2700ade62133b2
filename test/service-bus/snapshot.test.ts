/** Snapshots: the broker goes back to an earlier moment, with everything that was in it and nothing that came later. */
import { expect, test } from "vitest";
import {
  accept,
  bodies,
  connect,
  deadLetters,
  peekLock,
  queue,
  receive,
  receiveAll,
  rulesOf,
  sessionQueue,
  startBus,
  topic,
} from "../support/service-bus.ts";

test("after restoring everything is as it was, and what came later is gone", async () => {
  const { bus, clock, client } = await startBus([queue, sessionQueue], { topics: [topic] });
  const sender = client.createSender("delisting");
  await sender.sendMessages(["dead", "deferred", "held", "waiting"].map((messageId) => ({ messageId, body: messageId })));
  await sender.scheduleMessages({ messageId: "scheduled", body: "scheduled" }, new Date(clock.now() + 60_000));
  const receiver = peekLock(client);
  await receiver.deadLetterMessage(await receive(receiver), { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  const deferred = await receive(receiver);
  await receiver.deferMessage(deferred);
  const held = await receive(receiver);
  await client.createSender("rotation").sendMessages({ body: "of a session", sessionId: "one" });
  const session = await accept(client, "one");
  await session.setSessionState({ step: 1 });
  await client.createSender("alerts").sendMessages({ body: "alert", subject: "urgent" });
  await client.createRuleManager("alerts", "archive").createRule("mine", { subject: "mine" });
  const before = bus.state();
  const snapshot = bus.snapshot();
  expect(bus.state()).toEqual(before);

  await receiver.completeMessage(held);
  await receiver.completeMessage(await receive(receiver));
  await sender.sendMessages({ messageId: "later", body: "later" });
  await session.setSessionState({ step: 2 });
  await receiveAll(client.createReceiver("alerts", "urgent", { receiveMode: "receiveAndDelete" }));
  await client.createRuleManager("alerts", "archive").deleteRule("mine");
  await receiver.deferMessage(await receive(receiver));
  await client.close();
  bus.restore(snapshot);

  const [delisting] = bus.state().queues;
  expect(delisting).toMatchObject({ active: 2, locked: 0, scheduled: 1, deferred: 1, deadLetters: [{ messageId: "dead" }] });
  const again = connect(bus.connectionString);
  const receiving = peekLock(again);
  // Sequence numbers too, and the ids of what is gone are not known as duplicates, those of what was there are.
  expect(await receiving.receiveDeferredMessages(deferred.sequenceNumber!)).toMatchObject([{ messageId: "deferred" }]);
  await again.createSender("delisting").sendMessages(["later", "dead"].map((messageId) => ({ messageId, body: messageId })));
  expect(bodies(await receiveAll(receiving))).toEqual(["held", "waiting", "later"]);
  clock.advance(60_000);
  expect(await receive(deadLetters(again))).toMatchObject({ messageId: "dead", deadLetterReason: "Bad" });
  expect(bus.state().queues[0]).toMatchObject({ scheduled: 0 });
  const sessionAgain = await accept(again);
  expect(await sessionAgain.getSessionState()).toEqual({ step: 1 });
  expect(bodies(await receiveAll(sessionAgain))).toEqual(["of a session"]);
  expect(bodies(await receiveAll(again.createReceiver("alerts", "urgent")))).toEqual(["alert"]);
  expect((await rulesOf(again.createRuleManager("alerts", "archive"))).map(({ name }) => name)).toEqual(["$Default", "mine"]);
  await again.close();
});

test("a client that is connected while the broker goes back loses its locks, and goes on by itself", async () => {
  const { bus, client } = await startBus([queue, sessionQueue]);
  await client.createSender("delisting").sendMessages({ messageId: "first", body: 1 });
  await client.createSender("rotation").sendMessages({ body: 1, sessionId: "one" });
  const snapshot = bus.snapshot();
  const receiver = peekLock(client);
  const held = await receive(receiver);
  const session = await accept(client, "one");
  const heldOfSession = await receive(session);
  bus.restore(snapshot);
  expect(bus.state().queues).toMatchObject([
    { active: 1, locked: 0 },
    { active: 1, locked: 0 },
  ]);
  await expect.poll(() => session.isClosed).toBe(true);
  await expect(session.completeMessage(heldOfSession)).rejects.toMatchObject({ code: "SessionLockLost" });
  await expect.poll(() => receiver.completeMessage(held).catch(({ code }: { code: string }) => code)).toBe("MessageLockLost");
  await client.createSender("delisting").sendMessages({ messageId: "second", body: 2 });
  expect(bodies(await peekLock(client).receiveMessages(2))).toEqual([1, 2]);
  expect(bodies(await receiveAll(await accept(client, "one")))).toEqual([1]);
});

test("a snapshot is restored as often as one likes, also by another broker of the same entities", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages({ messageId: "kept", body: 1 });
  const snapshot = bus.snapshot();
  const other = await startBus();
  for (let time = 0; time < 2; time += 1) {
    other.bus.restore(snapshot);
    const again = connect(other.bus.connectionString);
    expect(bodies(await receiveAll(again.createReceiver("delisting", { receiveMode: "receiveAndDelete" })))).toEqual([1]);
    await again.close();
  }
  expect(other.bus.state().queues[0]).toMatchObject({ active: 0 });
  expect(bus.state().queues[0]).toMatchObject({ active: 1 });
});

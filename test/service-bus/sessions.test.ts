/** Sessions: an exclusive lock, order within, state, and what becomes of messages when the lock ends. */
import type { ServiceBusReceivedMessage } from "@azure/service-bus";
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
  sessionQueue,
  startBus,
} from "../support/service-bus.ts";

const minutes = (count: number): number => count * 60_000;
const startSessions = (options = {}) => startBus([{ ...sessionQueue, ...options }]);

test("messages of a session arrive in order, whatever is sent in between, and reach its holder only", async () => {
  const { client } = await startSessions();
  const sender = client.createSender("rotation");
  for (let body = 0; body < 6; body += 1) await sender.sendMessages({ body, sessionId: body % 2 ? "odd" : "even" });
  const [even, odd] = [await accept(client, "even"), await accept(client, "odd")];
  expect(bodies(await receiveAll(even))).toEqual([0, 2, 4]);
  await sender.sendMessages({ body: 7, sessionId: "odd" });
  expect(bodies(await receiveAll(odd))).toEqual([1, 3, 5, 7]);
});

test("a session is held by one receiver, until that closes", async () => {
  const { bus, client } = await startSessions();
  const first = await accept(client, "one");
  const other = connect(bus.connectionString);
  await expect(accept(other, "one")).rejects.toMatchObject({ code: "SessionCannotBeLocked" });
  await first.close();
  await (await accept(other, "one")).close();
  await other.close();
});

test("the next session is the free one whose message waits longest", async () => {
  const { client } = await startSessions();
  const sender = client.createSender("rotation");
  await sender.sendMessages(["b", "a", "c"].map((sessionId) => ({ body: sessionId, sessionId })));
  const accepted = [await accept(client), await accept(client), await accept(client)];
  expect(accepted.map(({ sessionId }) => sessionId)).toEqual(["b", "a", "c"]);
});

test("whoever waits for a session gets the one to which a message is sent", async () => {
  const { client } = await startSessions();
  const waiting = [accept(client), accept(client)];
  const sender = client.createSender("rotation");
  await sender.sendMessages({ body: 1, sessionId: "first" });
  await sender.sendMessages({ body: 2, sessionId: "second" });
  const accepted = await Promise.all(waiting);
  expect(accepted.map(({ sessionId }) => sessionId).sort()).toEqual(["first", "second"]);
  for (const receiver of accepted) expect(await receiveAll(receiver)).toHaveLength(1);
});

test("whoever waits for a session in vain is told so when the time is over", async () => {
  const { client, clock } = await startSessions();
  const waiting = accept(client);
  const told = expect(waiting).rejects.toMatchObject({ code: "ServiceTimeout" });
  // The request is on its way; the broker's time stands still until it is there.
  await client
    .createSender("rotation")
    .sendMessages({ body: "of another", sessionId: "held", scheduledEnqueueTimeUtc: new Date(clock.now() + minutes(9)) });
  await accept(client, "held");
  clock.advance(minutes(0.5));
  await told;
});

test("a client that goes while it waits for a session leaves nothing locked", async () => {
  const { bus, client } = await startSessions();
  const other = connect(bus.connectionString);
  const waiting = accept(other);
  waiting.catch(() => undefined);
  await accept(client, "makes sure that the other one's request has come");
  await other.close();
  await client.createSender("rotation").sendMessages({ body: 1, sessionId: "one" });
  expect(await accept(client)).toMatchObject({ sessionId: "one" });
});

test("a session's lock is one for all its messages; renewed, it holds for its whole duration again", async () => {
  const { client, clock } = await startSessions();
  await client.createSender("rotation").sendMessages([1, 2].map((body) => ({ body, sessionId: "one" })));
  const receiver = await accept(client, "one");
  expect(receiver.sessionLockedUntilUtc.getTime()).toBe(clock.now() + minutes(1));
  const [first, second] = await receiver.receiveMessages(2);
  expect(first?.lockedUntilUtc).toEqual(receiver.sessionLockedUntilUtc);
  clock.advance(minutes(0.9));
  expect((await receiver.renewSessionLock()).getTime()).toBe(clock.now() + minutes(1));
  clock.advance(minutes(0.9));
  await receiver.completeMessage(first!);
  await receiver.completeMessage(second!);
});

test("when a session's lock ends its messages go back, counted, and the holder is told", async () => {
  const { bus, client, clock } = await startSessions();
  await client.createSender("rotation").sendMessages([1, 2].map((body) => ({ body, sessionId: "one" })));
  const receiver = await accept(client, "one");
  const message = await receive(receiver);
  clock.advance(minutes(1));
  expect(bus.state().queues[0]).toMatchObject({ active: 2, locked: 0 });
  await expect.poll(() => receiver.isClosed).toBe(true);
  await expect(receiver.completeMessage(message)).rejects.toMatchObject({ code: "SessionLockLost" });
  await expect(receiver.renewSessionLock()).rejects.toMatchObject({ code: "SessionLockLost" });
  const again = await receiveAll(await accept(client, "one"));
  expect(again.map(({ body, deliveryCount }) => [body, deliveryCount] as unknown)).toEqual([
    [1, 1],
    [2, 0],
  ]);
});

test("session locks that end often enough dead-letter the message they were over", async () => {
  const { bus, client, clock } = await startSessions();
  await client.createSender("rotation").sendMessages({ messageId: "poison", body: 1, sessionId: "one" });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await receive(await accept(client));
    clock.advance(minutes(1));
  }
  expect(bus.state().queues[0]).toMatchObject({
    active: 0,
    deadLetters: [{ messageId: "poison", reason: "MaxDeliveryCountExceeded" }],
  });
});

test("what a closed session held comes again at once, in order and uncounted", async () => {
  const { client } = await startSessions();
  await client.createSender("rotation").sendMessages([1, 2, 3].map((body) => ({ body, sessionId: "one" })));
  const first = await accept(client, "one");
  await first.receiveMessages(2);
  await first.close();
  const again = await receiveAll(await accept(client, "one"));
  expect(again.map(({ body, deliveryCount }) => [body, deliveryCount] as unknown)).toEqual([
    [1, 0],
    [2, 0],
    [3, 0],
  ]);
});

test("an abandoned message is the next one again, before those behind it", async () => {
  const { client } = await startSessions();
  await client.createSender("rotation").sendMessages([1, 2].map((body) => ({ body, sessionId: "one" })));
  const receiver = await accept(client, "one");
  await receiver.abandonMessage(await receive(receiver));
  expect(await receive(receiver)).toMatchObject({ body: 1, deliveryCount: 1 });
});

test("a session has a state, which outlives its messages and its receivers until it is cleared", async () => {
  const { client } = await startSessions();
  const first = await accept(client, "one");
  expect(await first.getSessionState()).toBeNull();
  await first.setSessionState({ step: 2, addresses: ["203.0.113.7"] });
  await first.close();
  const second = await accept(client, "one");
  expect(await second.getSessionState()).toEqual({ step: 2, addresses: ["203.0.113.7"] });
  await second.setSessionState(null);
  expect(await second.getSessionState()).toBeNull();
});

test("a deferred message of a session is received by its number under the session's lock, and settled there", async () => {
  const { bus, client } = await startSessions();
  await client.createSender("rotation").sendMessages(["one", "one", "two"].map((sessionId, body) => ({ body, sessionId })));
  const receiver = await accept(client, "one");
  const [first, second] = await receiver.receiveMessages(2);
  await receiver.deferMessage(first!);
  await receiver.deferMessage(second!);
  const stranger = await accept(client, "two");
  await expect(stranger.receiveDeferredMessages(first!.sequenceNumber!)).rejects.toMatchObject({ code: "MessageNotFound" });
  const deferred = await receiver.receiveDeferredMessages([first!.sequenceNumber!, second!.sequenceNumber!]);
  expect(bodies(deferred)).toEqual([0, 1]);
  await receiver.completeMessage(deferred[0]!);
  await receiver.deadLetterMessage(deferred[1]!, { deadLetterReason: "Late", deadLetterErrorDescription: "tomorrow" });
  expect(bus.state().queues[0]).toMatchObject({ active: 1, locked: 0, deferred: 0, deadLetters: [{ reason: "Late" }] });
});

test("dead letters of sessions are received without sessions", async () => {
  const { client } = await startSessions();
  await client.createSender("rotation").sendMessages({ messageId: "bad", body: 1, sessionId: "one" });
  const receiver = await accept(client, "one");
  await receiver.deadLetterMessage(await receive(receiver), { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  const letters = deadLetters(client, "rotation");
  const dead = await receive(letters);
  expect(dead).toMatchObject({ messageId: "bad", sessionId: "one", deadLetterReason: "Bad" });
  await letters.completeMessage(dead);
});

test("peeking under a session sees its messages only; without, all of them", async () => {
  const { bus, client } = await startSessions();
  await client.createSender("rotation").sendMessages(["one", "two", "one"].map((sessionId, body) => ({ body, sessionId })));
  expect(bodies(await (await accept(client, "one")).peekMessages(10))).toEqual([0, 2]);
  // Another client, because each goes on peeking where it has come to.
  const other = connect(bus.connectionString);
  expect(bodies(await other.createReceiver("rotation").peekMessages(10))).toEqual([0, 1, 2]);
  await other.close();
});

test("a message without a session, a receiver without one, and a session where there are none are refused", async () => {
  const { bus, client } = await startBus([sessionQueue, queue]);
  const refused = { code: "GeneralError" };
  await expect(client.createSender("rotation").sendMessages([{ body: 1, sessionId: "one" }, { body: 2 }])).rejects.toMatchObject(
    refused,
  );
  await expect(receiveAll(peekLock(client, "rotation"))).rejects.toThrow("requires sessions");
  await expect(accept(client, "one", "delisting")).rejects.toThrow("Failed to create a receiver");
  expect(bus.state().queues).toMatchObject([{ active: 0 }, { active: 0 }]);
});

test("receivers in parallel: each session's messages stay in order, and each is handled once", async () => {
  const { bus, client } = await startSessions({ maxDeliveryCount: 10 });
  const sender = client.createSender("rotation");
  const messages = Array.from({ length: 60 }, (_, body) => ({ body, sessionId: `session-${body % 6}` }));
  await sender.sendMessages(messages);
  const handled = new Map<string, unknown[]>();
  const work = async (): Promise<void> => {
    for (let session = 0; session < 2; session += 1) {
      const receiver = await accept(client);
      for (let received: ServiceBusReceivedMessage[] = await receiver.receiveMessages(3); received.length > 0; ) {
        for (const message of received) {
          handled.set(receiver.sessionId, [...(handled.get(receiver.sessionId) ?? []), message.body]);
          await receiver.completeMessage(message);
        }
        received = await receiver.receiveMessages(3, { maxWaitTimeInMs: 100 });
      }
      await receiver.close();
    }
  };
  await Promise.all([work(), work(), work()]);
  expect(bus.state().queues[0]).toMatchObject({ active: 0, locked: 0 });
  for (let session = 0; session < 6; session += 1)
    expect(handled.get(`session-${session}`)).toEqual(messages.flatMap(({ body }) => (body % 6 === session ? [body] : [])));
});

test("a subscription to a session gets what is there and what comes", async () => {
  const { bus, client } = await startSessions();
  const sender = client.createSender("rotation");
  await sender.sendMessages([1, 2].map((body) => ({ body, sessionId: "one" })));
  const receiver = await accept(client, "one");
  const seen: unknown[] = [];
  const done = Promise.withResolvers<void>();
  receiver.subscribe({
    async processMessage({ body }: { body: unknown }) {
      seen.push(body);
      if (body === 2) await sender.sendMessages({ body: 3, sessionId: "one" });
      if (body === 3) done.resolve();
    },
    processError: async () => undefined,
  });
  await done.promise;
  expect(seen).toEqual([1, 2, 3]);
  await expect.poll(() => bus.state().queues[0]).toMatchObject({ active: 0, locked: 0 });
});

test("who takes a session's messages by receive-and-delete has them for good", async () => {
  const { bus, client } = await startSessions();
  await client.createSender("rotation").sendMessages([1, 2].map((body) => ({ body, sessionId: "one" })));
  const receiver = await client.acceptSession("rotation", "one", { receiveMode: "receiveAndDelete" });
  expect(bodies(await receiveAll(receiver))).toEqual([1, 2]);
  expect(bus.state().queues[0]).toMatchObject({ active: 0, locked: 0 });
});

test("scheduled, expired and repeated messages of sessions are as those without", async () => {
  const { bus, client, clock } = await startSessions();
  const sender = client.createSender("rotation");
  await sender.scheduleMessages({ body: "later", sessionId: "one" }, new Date(clock.now() + minutes(5)));
  await sender.sendMessages({ body: "short", sessionId: "one", timeToLive: 1000 });
  for (let time = 0; time < 2; time += 1) await sender.sendMessages({ messageId: "same", body: "once", sessionId: "one" });
  clock.advance(minutes(5));
  expect(bodies(await receiveAll(await accept(client, "one")))).toEqual(["once", "later"]);
  expect(bus.state().queues[0]?.deadLetters).toMatchObject([{ reason: "TTLExpiredException" }]);
});

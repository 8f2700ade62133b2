/** From sending to settling, with the unmodified client. */
import { expect, test } from "vitest";
import { deadLetters, peekLock, queue, receive, receiveAll, startBus } from "../support/service-bus.ts";

test("a message arrives as it was sent, and is gone once completed", async () => {
  const { bus, clock, client } = await startBus();
  const sent = {
    messageId: "listing-1",
    body: { address: "203.0.113.7", lists: ["zen.example"] },
    subject: "listed",
    correlationId: "operation-1",
    contentType: "application/json",
    applicationProperties: { attempt: 1, urgent: true },
  };
  await client.createSender("delisting").sendMessages(sent);
  const receiver = peekLock(client);
  const message = await receive(receiver);
  expect(message).toMatchObject({ ...sent, deliveryCount: 0, state: "active" });
  expect(message.enqueuedTimeUtc?.getTime()).toBe(clock.now());
  expect(message.lockedUntilUtc?.getTime()).toBe(clock.now() + 60_000);
  await receiver.completeMessage(message);
  expect(bus.state().queues).toEqual([{ name: "delisting", active: 0, locked: 0, scheduled: 0, deferred: 0, deadLetters: [] }]);
});

test("an abandoned message comes again, counted and with the properties that were changed", async () => {
  const { client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1, applicationProperties: { tried: 0, kept: "yes" } });
  const receiver = peekLock(client);
  await receiver.abandonMessage(await receive(receiver), { tried: 1 });
  const again = await receive(receiver);
  expect(again).toMatchObject({ deliveryCount: 1, applicationProperties: { tried: 1, kept: "yes" } });
});

test("a message that is abandoned too often is dead-lettered", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages({ messageId: "poison", body: 1 });
  const receiver = peekLock(client);
  for (let attempt = 0; attempt < 3; attempt += 1) await receiver.abandonMessage(await receive(receiver));
  const dead = await receive(deadLetters(client));
  expect(dead).toMatchObject({
    messageId: "poison",
    deadLetterReason: "MaxDeliveryCountExceeded",
    deadLetterSource: "delisting",
    deliveryCount: 3,
  });
  expect(bus.state().queues[0]?.deadLetters).toMatchObject([
    {
      messageId: "poison",
      reason: "MaxDeliveryCountExceeded",
      description: "Message could not be consumed after 3 delivery attempts.",
    },
  ]);
});

test("a message is dead-lettered with reason, description and properties, and can be completed there", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages({ messageId: "bad", body: 1 });
  const receiver = peekLock(client);
  await receiver.deadLetterMessage(await receive(receiver), {
    deadLetterReason: "MessageMalformed",
    deadLetterErrorDescription: "address is missing",
    part: "address",
  });
  const fromDeadLetters = deadLetters(client);
  const dead = await receive(fromDeadLetters);
  expect(dead).toMatchObject({
    deadLetterReason: "MessageMalformed",
    deadLetterErrorDescription: "address is missing",
    applicationProperties: { part: "address" },
  });
  await fromDeadLetters.completeMessage(dead);
  expect(bus.state().queues[0]?.deadLetters).toEqual([]);
});

test("a dead letter that is abandoned stays, however often", async () => {
  const { client } = await startBus();
  await client.createSender("delisting").sendMessages({ messageId: "bad", body: 1 });
  const receiver = peekLock(client);
  await receiver.deadLetterMessage(await receive(receiver));
  const fromDeadLetters = deadLetters(client);
  for (let attempt = 0; attempt < 5; attempt += 1) await fromDeadLetters.abandonMessage(await receive(fromDeadLetters));
  expect(await receive(fromDeadLetters)).toMatchObject({ messageId: "bad" });
});

test("a deferred message is only received by its number, and settled from there", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages([{ body: 1 }, { body: 2 }]);
  const receiver = peekLock(client);
  const [first, second] = await receiver.receiveMessages(2);
  await receiver.deferMessage(first!, { later: true });
  await receiver.deferMessage(second!);
  expect(await receiveAll(receiver)).toEqual([]);
  const deferred = await receiver.receiveDeferredMessages([first!.sequenceNumber!, second!.sequenceNumber!]);
  expect(deferred).toMatchObject([{ body: 1, state: "deferred", applicationProperties: { later: true } }, { body: 2 }]);
  await receiver.completeMessage(deferred[0]!);
  await receiver.deadLetterMessage(deferred[1]!, { deadLetterReason: "Late", deadLetterErrorDescription: "tomorrow" });
  expect(bus.state().queues[0]).toMatchObject({ deferred: 0, deadLetters: [{ reason: "Late" }] });
  await expect(receiver.receiveDeferredMessages(first!.sequenceNumber!)).rejects.toMatchObject({ code: "MessageNotFound" });
});

test("who takes a message by receive-and-delete has it for good", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
  const receiver = client.createReceiver("delisting", { receiveMode: "receiveAndDelete" });
  expect((await receiver.receiveMessages(2)).map(({ body }) => body as number)).toEqual([1, 2]);
  expect(bus.state().queues[0]).toMatchObject({ active: 1, locked: 0 });
  expect((await receiveAll(receiver)).map(({ body }) => body as number)).toEqual([3]);
});

test("peeking looks without taking, from any number on", async () => {
  const { client } = await startBus();
  await client.createSender("delisting").sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
  const receiver = peekLock(client);
  await receive(receiver);
  const all = await receiver.peekMessages(10);
  expect(all.map(({ body }) => body as number)).toEqual([1, 2, 3]);
  const onwards = await client.createReceiver("delisting").peekMessages(10, { fromSequenceNumber: all[1]!.sequenceNumber! });
  expect(onwards.map(({ body }) => body as number)).toEqual([2, 3]);
});

test("a batch arrives in order, and each of its messages is settled by itself", async () => {
  const { bus, client } = await startBus();
  const sender = client.createSender("delisting");
  const batch = await sender.createMessageBatch();
  for (let body = 0; body < 50; body += 1) expect(batch.tryAddMessage({ body })).toBe(true);
  await sender.sendMessages(batch);
  const receiver = peekLock(client);
  const messages = await receiver.receiveMessages(50);
  expect(messages.map(({ body }) => body as number)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  await receiver.completeMessage(messages[10]!);
  expect(bus.state().queues[0]).toMatchObject({ locked: 49 });
});

test("a message over the size limit is refused, and those sent beside it are not", async () => {
  const { bus, client } = await startBus();
  const sender = client.createSender("delisting");
  const results = await Promise.allSettled(
    ["small", "x".repeat(300_000), "small too"].map((body) => sender.sendMessages({ body })),
  );
  expect(results).toMatchObject([
    { status: "fulfilled" },
    { status: "rejected", reason: { code: "MessageSizeExceeded" } },
    { status: "fulfilled" },
  ]);
  expect(bus.state().queues[0]?.active).toBe(2);
});

test("a subscription completes what succeeds and abandons what throws", async () => {
  const { bus, client } = await startBus([{ ...queue, maxDeliveryCount: 10 }]);
  await client.createSender("delisting").sendMessages(Array.from({ length: 40 }, (_, body) => ({ body })));
  const attempts = new Map<number, number>();
  const done = Promise.withResolvers<void>();
  const receiver = client.createReceiver("delisting");
  receiver.subscribe(
    {
      processMessage: async ({ body }: { body: number }) => {
        attempts.set(body, (attempts.get(body) ?? 0) + 1);
        if (body === 7 && attempts.get(7) === 1) throw new Error("once");
        if (attempts.size === 40 && attempts.get(7) === 2) done.resolve();
      },
      processError: async () => undefined,
    },
    { maxConcurrentCalls: 1 },
  );
  await done.promise;
  await receiver.close();
  expect([...attempts].filter(([, times]) => times > 1)).toEqual([[7, 2]]);
  await expect.poll(() => bus.state().queues[0]?.active).toBe(0);
});

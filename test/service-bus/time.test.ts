/** Locks, times to live, scheduled messages and duplicates: what the clock decides. */
import { expect, test } from "vitest";
import { deadLetters, peekLock, queue, receive, receiveAll, startBus } from "../support/service-bus.ts";

const minutes = (count: number): number => count * 60_000;

test("when a lock ends the message comes again, counted, and the old lock is worth nothing", async () => {
  const { clock, client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1 });
  const receiver = peekLock(client);
  const first = await receive(receiver);
  clock.advance(minutes(1) - 1);
  expect(await receiveAll(receiver)).toEqual([]);
  clock.advance(1);
  const second = await receive(receiver);
  expect(second.deliveryCount).toBe(1);
  await expect(receiver.completeMessage(first)).rejects.toMatchObject({ code: "MessageLockLost" });
  await receiver.completeMessage(second);
});

test("locks that end often enough dead-letter the message", async () => {
  const { bus, clock, client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1 });
  const receiver = peekLock(client);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await receive(receiver);
    clock.advance(minutes(1));
  }
  expect(bus.state().queues[0]).toMatchObject({ active: 0, locked: 0, deadLetters: [{ reason: "MaxDeliveryCountExceeded" }] });
});

test("a renewed lock holds for its whole duration again, and one that has ended is not renewed", async () => {
  const { clock, client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1 });
  const receiver = peekLock(client);
  const message = await receive(receiver);
  clock.advance(minutes(0.9));
  expect((await receiver.renewMessageLock(message)).getTime()).toBe(clock.now() + minutes(1));
  clock.advance(minutes(0.9));
  await receiver.renewMessageLock(message);
  clock.advance(minutes(1));
  await expect(receiver.renewMessageLock(message)).rejects.toMatchObject({ code: "MessageLockLost" });
});

test("what a closed receiver held stays locked until the lock ends", async () => {
  const { clock, client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1 });
  const first = peekLock(client);
  await receive(first);
  await first.close();
  const second = peekLock(client);
  expect(await receiveAll(second)).toEqual([]);
  clock.advance(minutes(1));
  expect(await receive(second)).toMatchObject({ deliveryCount: 1 });
});

test("an expired message is dead-lettered, or gone where the queue doesn't ask for that", async () => {
  const { bus, clock, client } = await startBus([queue, { ...queue, name: "rotation", deadLetteringOnMessageExpiration: false }]);
  for (const name of ["delisting", "rotation"]) await client.createSender(name).sendMessages({ body: 1, timeToLive: 5000 });
  clock.advance(5000);
  expect(bus.state().queues).toMatchObject([
    { active: 0, deadLetters: [{ reason: "TTLExpiredException", description: "The message expired and was dead lettered." }] },
    { active: 0, deadLetters: [] },
  ]);
  expect(await receive(deadLetters(client))).toMatchObject({
    deadLetterReason: "TTLExpiredException",
    deadLetterSource: "delisting",
  });
});

test("the queue's time to live is the longest there is, and a message that is held expires when it comes back", async () => {
  const { bus, clock, client } = await startBus([{ ...queue, defaultMessageTimeToLive: "PT30S" }]);
  await client.createSender("delisting").sendMessages({ body: 1, timeToLive: minutes(60) });
  const receiver = peekLock(client);
  await receive(receiver);
  clock.advance(minutes(0.5));
  expect(bus.state().queues[0]).toMatchObject({ locked: 1, deadLetters: [] });
  clock.advance(minutes(0.5));
  expect(await receiveAll(receiver)).toEqual([]);
  expect(bus.state().queues[0]).toMatchObject({ active: 0, locked: 0, deadLetters: [{ reason: "TTLExpiredException" }] });
});

test("a scheduled message comes at its time, with another sequence number", async () => {
  const { bus, clock, client } = await startBus();
  const at = new Date(clock.now() + minutes(30));
  const sender = client.createSender("delisting");
  const [number] = await sender.scheduleMessages({ body: "check again" }, at);
  await sender.sendMessages({ body: "the same way as a property", scheduledEnqueueTimeUtc: at });
  const receiver = peekLock(client);
  clock.advance(minutes(30) - 1);
  expect(await receiveAll(receiver)).toEqual([]);
  expect(bus.state().queues[0]).toMatchObject({ active: 0, scheduled: 2 });
  clock.advance(1);
  const messages = await receiver.receiveMessages(2);
  expect(messages.map(({ body }) => body as string)).toEqual(["check again", "the same way as a property"]);
  expect(messages[0]?.sequenceNumber?.toString()).not.toBe(number?.toString());
  expect(messages[0]?.enqueuedTimeUtc).toEqual(at);
});

test("a cancelled message never comes, and can't be cancelled twice", async () => {
  const { bus, clock, client } = await startBus();
  const sender = client.createSender("delisting");
  const numbers = await sender.scheduleMessages([{ body: 1 }, { body: 2 }], new Date(clock.now() + minutes(30)));
  await sender.cancelScheduledMessages(numbers[0]!);
  await expect(sender.cancelScheduledMessages(numbers[0]!)).rejects.toMatchObject({ code: "MessageNotFound" });
  clock.advance(minutes(31));
  expect(bus.state().queues[0]).toMatchObject({ active: 1, scheduled: 0 });
});

test("a message id is taken once within the window, though its message is completed, and again after it", async () => {
  const { bus, clock, client } = await startBus();
  const sender = client.createSender("delisting");
  const receiver = peekLock(client);
  for (let time = 0; time < 3; time += 1) await sender.sendMessages({ messageId: "listing-1", body: time });
  await receiver.completeMessage(await receive(receiver));
  await sender.sendMessages([
    { messageId: "listing-1", body: 3 },
    { messageId: "listing-2", body: 4 },
  ]);
  expect(await receiveAll(receiver)).toMatchObject([{ messageId: "listing-2", body: 4 }]);
  clock.advance(minutes(10));
  await sender.sendMessages({ messageId: "listing-1", body: 5 });
  expect(bus.state().queues[0]?.active).toBeGreaterThanOrEqual(1);
  expect((await receiveAll(receiver)).map(({ body }) => body as number)).toContain(5);
});

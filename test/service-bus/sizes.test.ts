/** Batches, and how large things may be: 256 KiB for a message, a batch and a session's state, as in the Standard tier. */
import { expect, test } from "vitest";
import { accept, bodies, queue, receiveAll, sessionQueue, startBus, topic } from "../support/service-bus.ts";

const LIMIT = 262_144;
const tooLarge = { code: "MessageSizeExceeded" };

test("a batch is as large as the broker says, is full when nothing fits in, and arrives whole", async () => {
  const { bus, client } = await startBus();
  const sender = client.createSender("delisting");
  const batch = await sender.createMessageBatch();
  expect(batch.maxSizeInBytes).toBe(LIMIT);
  while (batch.tryAddMessage({ body: "x".repeat(1000) }));
  expect(batch.count).toBeGreaterThan(200);
  await sender.sendMessages(batch);
  expect(bus.state().queues[0]?.active).toBe(batch.count);
});

test("messages that don't fit one batch are refused together, none is kept", async () => {
  const { bus, client } = await startBus();
  await expect(
    client.createSender("delisting").sendMessages(Array.from({ length: 300 }, () => ({ body: "x".repeat(1000) }))),
  ).rejects.toThrow();
  expect(bus.state().queues[0]?.active).toBe(0);
});

test("a batch with duplicates keeps one of each, and a batch of a topic reaches its subscriptions in order", async () => {
  const { client } = await startBus([queue], { topics: [topic] });
  await client.createSender("delisting").sendMessages(["a", "b", "a"].map((messageId, body) => ({ messageId, body })));
  expect(bodies(await receiveAll(client.createReceiver("delisting")))).toEqual([0, 1]);
  await client.createSender("alerts").sendMessages(Array.from({ length: 20 }, (_, body) => ({ body })));
  expect(bodies(await receiveAll(client.createReceiver("alerts", "archive")))).toEqual(
    Array.from({ length: 20 }, (_, body) => body),
  );
});

test("a scheduled message over the limit is refused, and so are those beside it", async () => {
  const { bus, client, clock } = await startBus();
  const messages = ["small", "x".repeat(300_000)].map((body) => ({ body }));
  await expect(client.createSender("delisting").scheduleMessages(messages, new Date(clock.now() + 60_000))).rejects.toMatchObject(
    tooLarge,
  );
  expect(bus.state().queues[0]?.scheduled).toBe(0);
});

test("a session's state over the limit is refused, and the one before stays", async () => {
  const { client } = await startBus([sessionQueue]);
  const session = await accept(client, "one");
  await session.setSessionState("small");
  await expect(session.setSessionState("x".repeat(300_000))).rejects.toMatchObject(tooLarge);
  expect(await session.getSessionState()).toBe("small");
});

test("a message of binary, empty or no body arrives as it was sent, to the byte", async () => {
  const { client } = await startBus();
  const sent = [Buffer.from([0, 255, 128]), "", { nested: [1, null, "ü"] }, null, 0, false];
  const sender = client.createSender("delisting");
  for (const body of sent) await sender.sendMessages({ body });
  expect(bodies(await receiveAll(client.createReceiver("delisting")))).toEqual(sent);
});

/** Unlike answers in one turn: each reaches its own message. The client settles one after the other, for rhea would mix them up there too. */
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { expect, test } from "vitest";
import { peekLock, receive, startBus } from "../support/service-bus.ts";

type Settle = (receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) => Promise<void>;

const outcomes: Record<string, { settle: Settle; left: object }> = {
  complete: { settle: (receiver, message) => receiver.completeMessage(message), left: {} },
  abandon: { settle: (receiver, message) => receiver.abandonMessage(message), left: { active: 1 } },
  defer: { settle: (receiver, message) => receiver.deferMessage(message), left: { deferred: 1 } },
  deadLetter: { settle: (receiver, message) => receiver.deadLetterMessage(message), left: { deadLetters: 1 } },
};
const nothing = { active: 0, locked: 0, deferred: 0, deadLetters: 0 };
const pairs = Object.keys(outcomes).flatMap((first) =>
  Object.keys(outcomes)
    .filter((second) => second !== first)
    .map((second) => [first, second] as const),
);

test.each(pairs)("%s one message and %s its neighbour: both happen", async (first, second) => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages([{ body: 1 }, { body: 2 }]);
  const receiver = peekLock(client);
  const messages = await receiver.receiveMessages(2);
  // Not by one receiver in one turn: see above.
  await outcomes[first]!.settle(receiver, messages[0]!);
  await outcomes[second]!.settle(receiver, messages[1]!);
  const { active, locked, deferred, deadLetters } = bus.state().queues[0]!;
  expect({ active, locked, deferred, deadLetters: deadLetters.length }).toEqual({
    ...nothing,
    ...outcomes[first]!.left,
    ...outcomes[second]!.left,
  });
});

test.each(pairs)("%s one message and %s another one at the same moment, by two receivers: both happen", async (first, second) => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages([{ body: 1 }, { body: 2 }]);
  const receivers = [peekLock(client), peekLock(client)] as const;
  const messages = [await receive(receivers[0]), await receive(receivers[1])] as const;
  await Promise.all([outcomes[first]!.settle(receivers[0], messages[0]), outcomes[second]!.settle(receivers[1], messages[1])]);
  const { active, locked, deferred, deadLetters } = bus.state().queues[0]!;
  expect({ active, locked, deferred, deadLetters: deadLetters.length }).toEqual({
    ...nothing,
    ...outcomes[first]!.left,
    ...outcomes[second]!.left,
  });
});

test("a refused settlement beside one that succeeds: the client learns which is which", async () => {
  const { clock, client } = await startBus();
  await client.createSender("delisting").sendMessages({ body: 1 });
  const receiver = peekLock(client);
  const lost = await receive(receiver);
  clock.advance(60_000);
  const held = await receive(receiver);
  const results = await Promise.allSettled([receiver.completeMessage(held), receiver.completeMessage(lost)]);
  expect(results).toMatchObject([{ status: "fulfilled" }, { status: "rejected", reason: { code: "MessageLockLost" } }]);
});

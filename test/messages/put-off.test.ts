/** How long a message waits that can't be handled at the moment; what Service Bus makes of it is in test/functions-host/service-bus.test.ts. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { putOff, type WaitingMessage } from "../../shared/messages/put-off.ts";
import type { OutgoingMessage } from "../../shared/messages/sender.ts";

const HOUR = 3600_000;

/** Storage that doesn't answer any more: the message as it comes again and again. */
async function wait(messageId: string): Promise<{ sent: OutgoingMessage[]; hours: number }> {
  const began = Date.UTC(2026, 10, 23);
  let now = began;
  const sent: OutgoingMessage[] = [];
  const sender = { send: async (_queue: string, message: OutgoingMessage) => void sent.push(message) };
  let waiting: WaitingMessage = { queue: "delisting", messageId, body: "any", putOff: 0, since: new Date(began) };
  for (;;) {
    const at = await putOff({ sender, clock: { now: () => now } }, waiting);
    if (!at) return { sent, hours: (now - began) / HOUR };
    now = at.getTime();
    const { messageId: next, properties = {} } = sent.at(-1) ?? { messageId };
    waiting = { ...waiting, messageId: next, putOff: Number(properties["putOff"]), since: new Date(String(properties["since"])) };
  }
}

test("a message waits three days, each time for longer up to a quarter of an hour, and by chance", async () => {
  const [{ sent, hours }, other] = [await wait("listing"), await wait("listing")];
  expect(hours).toBeGreaterThanOrEqual(72);
  expect(hours).toBeLessThanOrEqual(72.25);
  expect(sent.length).toBeLessThan(72 * 8 + 10);
  expect(sent.slice(0, 2).map(({ messageId }) => messageId)).toEqual(["listing~1", "listing~2"]);
  expect(other.sent.map(({ scheduledAt }) => scheduledAt)).not.toEqual(sent.map(({ scheduledAt }) => scheduledAt));
});

test("an id stays within what Service Bus takes, and each copy has its own", async () => {
  const { sent } = await wait("x".repeat(128));
  expect(Math.max(...sent.map(({ messageId }) => messageId.length))).toBe(128);
  expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(sent.length);
});

test("the queues keep a message for longer than it is put off", () => {
  const queues = JSON.parse(readFileSync("infra/local/service-bus/queues.json", "utf8")) as {
    defaultMessageTimeToLive: string;
  }[];
  expect(new Set(queues.map(({ defaultMessageTimeToLive }) => defaultMessageTimeToLive))).toEqual(new Set(["P14D"]));
});

/** What outlives the broker's process: everything that was acknowledged. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import type { QueueState } from "../../infra/local/service-bus/state.ts";
import { connect, deadLetters, peekLock, receive, receiveAll } from "../support/service-bus.ts";

interface BrokerProcess {
  connectionString: string;
  control: string;
  kill(): Promise<void>;
}

async function startProcess(data: string): Promise<BrokerProcess> {
  const child = spawn(process.execPath, ["infra/local/service-bus/main.ts", "--data", data], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  onTestFinished(kill);
  for await (const line of createInterface(child.stdout)) return { ...(JSON.parse(line) as BrokerProcess), kill };
  throw new Error("the broker ended before it was ready");
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "service-bus-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const stateOf = async ({ control }: BrokerProcess, name: string): Promise<QueueState | undefined> => {
  const { value } = (await (await fetch(`${control}/queues`)).json()) as { value: QueueState[] };
  return value.find((queue) => queue.name === name);
};

test("after kill -9 messages of every state are there again, at the same address and with the same key", async () => {
  const data = folder();
  const first = await startProcess(data);
  const client = connect(first.connectionString);
  const sender = client.createSender("delisting");
  for (const messageId of ["completed", "dead", "deferred", "abandoned", "held", "waiting"])
    await sender.sendMessages({ messageId, body: messageId });
  await sender.scheduleMessages({ messageId: "scheduled", body: "scheduled" }, new Date(Date.now() + 3_600_000));
  const receiver = peekLock(client);
  const [completed, dead, deferred] = [await receive(receiver), await receive(receiver), await receive(receiver)];
  await receiver.completeMessage(completed);
  await receiver.deadLetterMessage(dead, { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  await receiver.deferMessage(deferred);
  await receiver.abandonMessage(await receive(receiver));
  await receive(receiver);
  await first.kill();
  await client.close();

  const second = await startProcess(data);
  expect(second).toMatchObject({ connectionString: first.connectionString, control: first.control });
  const again = connect(second.connectionString);
  expect(await stateOf(second, "delisting")).toMatchObject({ active: 3, locked: 0, scheduled: 1, deferred: 1, deadLetters: 1 });
  expect(await receive(deadLetters(again))).toMatchObject({
    messageId: "dead",
    deadLetterReason: "Bad",
    deadLetterSource: "delisting",
  });
  const newReceiver = peekLock(again);
  expect(await newReceiver.receiveDeferredMessages(deferred.sequenceNumber!)).toMatchObject([{ messageId: "deferred" }]);
  expect((await newReceiver.receiveMessages(3)).map(({ messageId, deliveryCount }) => [messageId, deliveryCount])).toEqual([
    ["abandoned", 1],
    ["held", 0],
    ["waiting", 0],
  ]);
  // A sender that has missed an answer sends again: what was taken before is still known.
  await again.createSender("delisting").sendMessages([
    { messageId: "completed", body: "again" },
    { messageId: "new", body: "new" },
  ]);
  expect(await receiveAll(newReceiver)).toMatchObject([{ messageId: "new" }]);
  await again.close();
});

test("kill -9 under load loses no acknowledged message and brings no completed one back", { timeout: 180_000 }, async () => {
  const data = folder();
  const acknowledged = new Set<string>();
  const completed = new Set<string>();
  const taken = new Set<string>();
  for (let round = 0; round < 2; round += 1) {
    const broker = await startProcess(data);
    const client = connect(broker.connectionString);
    const load = startLoad(client, `${round}`, { acknowledged, completed, taken });
    await expect.poll(() => load.settled() > 100 && load.sent() > 200, { timeout: 60_000 }).toBe(true);
    await broker.kill();
    await client.close();
    await load.ended;
  }
  const broker = await startProcess(data);
  const client = connect(broker.connectionString);
  const found = new Set<string>();
  const receiver = client.createReceiver("rotation", { receiveMode: "receiveAndDelete" });
  for (let messages = await receiver.receiveMessages(500); messages.length > 0; ) {
    for (const { messageId } of messages) found.add(String(messageId));
    messages = await receiver.receiveMessages(500, { maxWaitTimeInMs: 500 });
  }
  await client.close();
  expect([...acknowledged].filter((id) => !found.has(id) && !taken.has(id))).toEqual([]);
  expect([...completed].filter((id) => found.has(id))).toEqual([]);
  expect(completed.size).toBeGreaterThan(200);
});

/** Eight senders and a receiver that completes every other message, until the broker is gone. `taken`: completion was asked for. */
function startLoad(
  client: ReturnType<typeof connect>,
  round: string,
  { acknowledged, completed, taken }: Record<"acknowledged" | "completed" | "taken", Set<string>>,
) {
  const sender = client.createSender("rotation");
  const receiver = peekLock(client, "rotation");
  let number = 0;
  let sent = 0;
  let settled = 0;
  const send = async (): Promise<void> => {
    for (;;) {
      const messageId = `${round}-${(number += 1)}`;
      await sender.sendMessages({ messageId, body: messageId });
      acknowledged.add(messageId);
      sent += 1;
    }
  };
  const settle = async (): Promise<void> => {
    for (;;)
      for (const message of await receiver.receiveMessages(20, { maxWaitTimeInMs: 100 })) {
        const id = String(message.messageId);
        if (Number(id.split("-")[1]) % 2 === 0) continue;
        taken.add(id);
        await receiver.completeMessage(message);
        completed.add(id);
        settled += 1;
      }
  };
  const ended = Promise.allSettled([...Array.from({ length: 8 }, send), settle()]);
  return { ended, sent: () => sent, settled: () => settled };
}

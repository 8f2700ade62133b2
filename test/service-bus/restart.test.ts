/** What outlives the broker's process: everything that was acknowledged. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import type { QueueState } from "../../infra/local/service-bus/state.ts";
import {
  accept,
  bodies,
  connect,
  deadLetters,
  peekLock,
  receive,
  receiveAll,
  rulesOf,
  sessionQueue,
  topic,
} from "../support/service-bus.ts";

interface BrokerProcess {
  connectionString: string;
  control: string;
  kill(): Promise<void>;
}

async function startProcess(data: string, ...flags: string[]): Promise<BrokerProcess> {
  const child = spawn(process.execPath, ["infra/local/service-bus/main.ts", "--data", data, ...flags], {
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

test("after kill -9 states and messages of sessions are there again, and nobody holds a session", async () => {
  const data = folder();
  const queues = join(data, "queues.json");
  writeFileSync(queues, JSON.stringify([sessionQueue]));
  const first = await startProcess(data, "--queues", queues);
  const client = connect(first.connectionString);
  await client.createSender("rotation").sendMessages(["one", "one", "two"].map((sessionId, body) => ({ body, sessionId })));
  const session = await accept(client, "one");
  await session.setSessionState({ step: 1 });
  const deferred = await receive(session);
  await session.deferMessage(deferred);
  await receive(session);
  await first.kill();
  await client.close();

  const second = await startProcess(data, "--queues", queues);
  const again = connect(second.connectionString);
  const sessionAgain = await accept(again, "one");
  expect(await sessionAgain.getSessionState()).toEqual({ step: 1 });
  expect(bodies(await sessionAgain.receiveDeferredMessages(deferred.sequenceNumber!))).toEqual([0]);
  expect(bodies(await receiveAll(sessionAgain))).toEqual([1]);
  expect(await accept(again)).toMatchObject({ sessionId: "two" });
  await again.close();
});

test("after kill -9 subscriptions have their messages and the rules they were given, and the topic what it has seen", async () => {
  const data = folder();
  const topics = join(data, "topics.json");
  writeFileSync(topics, JSON.stringify([{ ...topic, requiresDuplicateDetection: true }]));
  const first = await startProcess(data, "--topics", topics);
  const client = connect(first.connectionString);
  const sender = client.createSender("alerts");
  const rules = client.createRuleManager("alerts", "urgent");
  await rules.createRule("soon", { applicationProperties: { within: new Date(0), minutes: 5 } });
  await rules.deleteRule("urgent");
  await sender.sendMessages({ messageId: "1", body: 1, applicationProperties: { within: new Date(0), minutes: 5 } });
  await sender.scheduleMessages({ messageId: "2", body: 2 }, new Date(Date.now() + 3_600_000));
  await receive(client.createReceiver("alerts", "archive"));
  await first.kill();
  await client.close();

  const second = await startProcess(data, "--topics", topics);
  const again = connect(second.connectionString);
  expect((await rulesOf(again.createRuleManager("alerts", "urgent"))).map(({ name }) => name)).toEqual(["soon"]);
  await again.createSender("alerts").sendMessages([
    { messageId: "1", body: "again" },
    { messageId: "3", body: 3, applicationProperties: { within: new Date(0), minutes: 5 } },
  ]);
  for (const name of ["archive", "urgent"]) {
    const received = await receiveAll(again.createReceiver("alerts", name));
    expect(bodies(received)).toEqual([1, 3]);
    expect(new Set(received.map(({ enqueuedSequenceNumber }) => enqueuedSequenceNumber)).size).toBe(2);
  }
  const { value } = (await (await fetch(`${second.control}/topics`)).json()) as { value: { scheduled: number }[] };
  expect(value).toMatchObject([{ scheduled: 1 }]);
  await again.close();
});

test("a topic's copies are in all its subscriptions or in none, whenever the broker is killed", {
  timeout: 120_000,
}, async () => {
  const data = folder();
  const topics = join(data, "topics.json");
  const subscriptions = ["a", "b", "c"].map((name) => ({ name }));
  writeFileSync(topics, JSON.stringify([{ name: "alerts", subscriptions }]));
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const broker = await startProcess(data, "--topics", topics);
    const client = connect(broker.connectionString);
    const sender = client.createSender("alerts");
    let number = 0;
    const send = async (): Promise<void> => {
      for (;;) {
        const messageId = `${round}-${(number += 1)}`;
        await sender.sendMessages({ messageId, body: messageId });
        acknowledged.push(messageId);
      }
    };
    const ended = Promise.allSettled(Array.from({ length: 8 }, send));
    await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(60 * (round + 1));
    await broker.kill();
    await client.close();
    await ended;
  }
  const broker = await startProcess(data, "--topics", topics);
  const client = connect(broker.connectionString);
  const found: string[][] = [];
  for (const { name } of subscriptions) {
    const messages = await client.createReceiver("alerts", name).peekMessages(10_000);
    found.push(messages.map(({ messageId }) => String(messageId)));
  }
  await client.close();
  expect(found[1]).toEqual(found[0]);
  expect(found[2]).toEqual(found[0]);
  expect(acknowledged.filter((id) => !found[0]?.includes(id))).toEqual([]);
});

test("state of the broker's first version, without sessions and rules, is read on", async () => {
  const data = folder();
  const first = await startProcess(data);
  const client = connect(first.connectionString);
  await client.createSender("delisting").sendMessages({ messageId: "kept", body: 1 });
  await client.close();
  await first.kill();
  const database = new DatabaseSync(join(data, "service-bus.sqlite"));
  database.exec("DROP TABLE states; DROP TABLE rules; PRAGMA user_version = 1");
  database.close();
  const second = await startProcess(data);
  expect(await stateOf(second, "delisting")).toMatchObject({ active: 1 });
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

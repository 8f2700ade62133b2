/** Queue functions of the real host behind the real client, against the local broker: poison, late, repeated and disordered messages, and kills. */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { DeadLetter, QueueState } from "../../infra/local/service-bus/state.ts";
import { createSender } from "../../shared/messages/sender.ts";
import type { Sender } from "../../shared/messages/sender.ts";
import { spawnHost, startFixture } from "./fixtures/hosts.ts";
import type { HostProcess } from "./fixtures/hosts.ts";

// Each test starts processes of its own.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const queueApp = path.join(import.meta.dirname, "fixtures/queue-app");
const BROKER = path.join(import.meta.dirname, "../../infra/local/service-bus/main.ts");

let directory: string;
let broker: Broker;
let sender: Sender;
let client: ServiceBusClient;
const hosts: HostProcess[] = [];

/** As the app's queues, but for a lock that is soon free after a kill. */
const QUEUES = ["delisting", "rotation"].map((name) => ({
  name,
  lockDuration: "PT3S",
  maxDeliveryCount: 5,
  requiresDuplicateDetection: true,
  duplicateDetectionHistoryTimeWindow: "PT10M",
  deadLetteringOnMessageExpiration: true,
  defaultMessageTimeToLive: "P14D",
}));

interface Broker {
  connectionString: string;
  control: string;
  child: ChildProcess;
}

/** Over the same folder it has the same port, key and messages. */
async function startBroker(): Promise<Broker> {
  const queues = path.join(directory, "queues.json");
  writeFileSync(queues, JSON.stringify(QUEUES));
  const child = spawn(process.execPath, [BROKER, "--data", path.join(directory, "service-bus"), "--queues", queues], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the broker ended with ${code}`)));
  });
  const { connectionString, control } = JSON.parse(line) as { connectionString: string; control: string };
  return { connectionString, control, child };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null && child.signalCode === null && child.kill(signal)) await ended;
}

const record = (): string => path.join(directory, "record");

const startHost = async (): Promise<HostProcess> => {
  const host = await spawnHost(["--app", queueApp, "--state", path.join(directory, "state.sqlite")], {
    ServiceBusConnection: broker.connectionString,
    FIXTURE_RECORD: record(),
    FIXTURE_QUEUE: "rotation",
  });
  hosts.push(host);
  return host;
};

interface Line {
  event?: "begin" | "end" | "noted" | "sent";
  /** Until a message that is put off comes again, in milliseconds. */
  wait?: number;
  message: unknown;
  messageId: string;
  deliveryCount: number;
  enqueuedAt: string;
  id?: string;
  metadata?: Record<string, unknown>;
}

const lines = (): Line[] =>
  existsSync(record())
    ? readFileSync(record(), "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line)
    : [];

const ended = (): Line[] => lines().filter(({ event }) => event === "end");

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await wait(20);
}

/** From the broker's own door. */
async function control<Value>(route: string): Promise<Value> {
  const response = await fetch(`${broker.control}/${route}`);
  return ((await response.json()) as { value: Value }).value;
}

async function queue(name: string): Promise<QueueState> {
  const found = (await control<QueueState[]>("queues")).find((each) => each.name === name);
  if (!found) throw new Error(`no queue ${name}`);
  return { ...found, deadLetters: await control<DeadLetter[]>(`queues/${name}/deadletters`) };
}

const untilEmpty = (name: string): Promise<void> =>
  until(async () => {
    const { active, locked, scheduled } = await queue(name);
    return active + locked + scheduled === 0;
  });

const untilDead = (count: number): Promise<void> => until(async () => (await queue("delisting")).deadLetters.length === count);

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "queues-"));
  broker = await startBroker();
  sender = createSender({ connection: broker.connectionString, credential: { getToken: async () => null } });
  client = new ServiceBusClient(broker.connectionString, { retryOptions: { maxRetries: 3, retryDelayInMs: 200 } });
});

afterEach(async () => {
  for (const host of hosts.splice(0)) await host.end("SIGKILL");
  await Promise.allSettled([sender.close(), client.close()]);
  await end(broker.child, "SIGTERM");
  rmSync(directory, { recursive: true, force: true });
});

test("a message is handled once and gone; it knows its id, its first delivery and when it was sent", async () => {
  const before = Date.now();
  await sender.send("delisting", { messageId: "listing-1", body: { list: "zen.example", address: "203.0.113.7" } });
  await startHost();
  await until(() => ended().length === 1);
  await untilEmpty("delisting");
  const [begin] = lines();
  expect(begin).toMatchObject({
    message: { list: "zen.example", address: "203.0.113.7" },
    messageId: "listing-1",
    deliveryCount: 1,
  });
  expect(Date.parse(begin?.enqueuedAt ?? "")).toBeGreaterThanOrEqual(before - 1000);
  expect(lines()).toHaveLength(2);
});

test("a function gets a text as the worker reads it, and the trigger's metadata", async () => {
  await startHost();
  const plain = client.createSender("rotation");
  await plain.sendMessages({ body: "no JSON", messageId: "text", subject: "about", applicationProperties: { source: "vault" } });
  await plain.sendMessages({ body: [1, { two: 2 }], messageId: "list", correlationId: "same", contentType: "application/json" });
  await until(() => lines().length === 2);
  const byId = new Map(lines().map((line) => [line.metadata?.["messageId"], line]));
  expect(byId.get("text")).toMatchObject({
    message: "no JSON",
    metadata: {
      deliveryCount: 1,
      subject: "about",
      label: "about",
      sequenceNumber: expect.any(Number) as number,
      lockToken: expect.stringMatching(/^[\da-f-]{36}$/u) as string,
      enqueuedTimeUtc: expect.stringMatching(/^20.*Z$/u) as string,
      applicationProperties: { source: "vault" },
    },
  });
  expect(byId.get("list")).toMatchObject({
    message: [1, { two: 2 }],
    metadata: { correlationId: "same", contentType: "application/json" },
  });
});

test("a malformed message is dead-lettered at its first delivery, with a reason a person can read", async () => {
  await startHost();
  await sender.send("delisting", { messageId: "malformed", body: { refuse: "the listing names no address" } });
  await sender.send("delisting", { messageId: "good", body: {} });
  await untilDead(1);
  await until(() => ended().length === 1);
  await untilEmpty("delisting");
  expect((await queue("delisting")).deadLetters).toEqual([
    expect.objectContaining({
      messageId: "malformed",
      reason: "MessageMalformed",
      description: "the listing names no address",
    }),
  ]);
  expect(lines().filter(({ messageId }) => messageId === "malformed")).toHaveLength(1);
});

test("what can't be handled at the moment comes again later, each time after longer, and has used up no delivery", async () => {
  await startHost();
  const body = { busy: 7, about: "203.0.113.7" };
  await sender.send("delisting", { messageId: "busy", body });
  await sender.send("delisting", { messageId: "lucky", body: {} });
  await until(() => ended().length === 2);
  await untilEmpty("delisting");
  expect((await queue("delisting")).deadLetters).toEqual([]);
  const sent = lines().filter(({ event }) => event === "sent");
  expect(sent.map(({ messageId }) => messageId)).toEqual([1, 2, 3, 4, 5, 6, 7].map((count) => `busy~${count}`));
  const least = sent.map((_, index) => Math.min(900, 10 * 2 ** index) * 500 - 1000);
  expect(sent.map(({ wait = 0 }, index) => wait >= (least[index] ?? 0) && wait <= 2 * (least[index] ?? 0) + 2000)).not.toContain(
    false,
  );
  const [handled] = ended().filter(({ messageId }) => messageId.startsWith("busy"));
  expect(handled).toMatchObject({ messageId: "busy~7", deliveryCount: 1, message: body });
});

test("what fails for another reason is given back at once, five times in all, and then dead-lettered; others go on", async () => {
  await startHost();
  await sender.send("delisting", { messageId: "unlucky", body: { throws: "no route to the table" } });
  await sender.send("delisting", { messageId: "lucky", body: {} });
  await untilDead(1);
  await untilEmpty("delisting");
  expect(lines().flatMap(({ messageId, deliveryCount }) => (messageId === "unlucky" ? [deliveryCount] : []))).toEqual([
    1, 2, 3, 4, 5,
  ]);
  expect((await queue("delisting")).deadLetters).toMatchObject([{ messageId: "unlucky", reason: "MaxDeliveryCountExceeded" }]);
  expect(ended().map(({ messageId }) => messageId)).toEqual(["lucky"]);
});

test("a message that is sent twice is handled once", async () => {
  await startHost();
  for (let time = 0; time < 3; time += 1) await sender.send("delisting", { messageId: "again", body: { time } });
  await sender.send("delisting", { messageId: "last", body: {} });
  await until(() => ended().length >= 2);
  await untilEmpty("delisting");
  expect(ended().map(({ messageId }) => messageId)).toEqual(["again", "last"]);
});

test("messages for later come later, in the order of their times and not of their sending", async () => {
  await startHost();
  const now = Date.now();
  const at = (milliseconds: number): Date => new Date(now + milliseconds);
  await sender.send("delisting", { messageId: "third", body: {}, scheduledAt: at(2500) });
  await sender.send("delisting", { messageId: "second", body: {}, scheduledAt: at(1500) });
  await sender.send("delisting", { messageId: "first", body: {} });
  await until(() => ended().length === 3);
  expect(ended().map(({ messageId }) => messageId)).toEqual(["first", "second", "third"]);
  const [, second, third] = lines().filter(({ event }) => event === "begin");
  expect(Date.parse(second?.enqueuedAt ?? "")).toBeGreaterThanOrEqual(now + 1500);
  expect(Date.parse(third?.enqueuedAt ?? "")).toBeGreaterThanOrEqual(now + 2500);
});

test("so many functions run at once as host.json says, and slow ones settle each its own message", async () => {
  await startHost();
  const bodies = Array.from({ length: 12 }, (_, index) => ({
    takes: 100,
    ...(index % 3 === 0 ? { refuse: `bad ${index}` } : {}),
  }));
  for (const [index, body] of bodies.entries()) await sender.send("delisting", { messageId: `m${index}`, body });
  await untilDead(4);
  await until(() => ended().length === 8);
  await untilEmpty("delisting");
  const { deadLetters } = await queue("delisting");
  expect(deadLetters.map(({ messageId }) => messageId).toSorted()).toEqual(["m0", "m3", "m6", "m9"]);
  let running = 0;
  let most = 0;
  for (const { event, message } of lines()) {
    if (event === "begin" && !(message as { refuse?: string }).refuse) most = Math.max(most, (running += 1));
    if (event === "end") running -= 1;
  }
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(4);
  expect(lines().every(({ deliveryCount }) => deliveryCount === 1)).toBe(true);
});

test("a host killed between receiving and completing loses nothing: what it held comes again, and nothing starts twice", {
  timeout: 60_000,
}, async () => {
  const ids = ["a", "b", "c", "d", "e", "f"];
  for (const id of ids) await sender.send("delisting", { messageId: id, body: { start: `case-${id}`, takes: 150 } });
  for (let kill = 0; kill < 3; kill += 1) {
    const begun = lines().length;
    const host = await startHost();
    await until(() => lines().length > begun);
    await wait(100 * kill);
    await host.end("SIGKILL");
  }
  await startHost();
  await until(() => new Set(lines().flatMap(({ id }) => id ?? [])).size === ids.length);
  await untilEmpty("delisting");
  expect((await queue("delisting")).deadLetters).toEqual([]);
  const noted = lines().flatMap(({ event, id }) => (event === "noted" && id !== undefined ? [id] : []));
  // An activity may run again if the host is killed while it runs; an orchestration isn't started twice.
  expect([...new Set(noted)].toSorted()).toEqual(ids.map((id) => `case-${id}`));
  expect(Math.max(...lines().map(({ deliveryCount }) => deliveryCount ?? 0))).toBeGreaterThan(1);
});

test("a host asked to stop lets its messages be handled and completed", async () => {
  const host = await startHost();
  await sender.send("delisting", { messageId: "slow", body: { takes: 500 } });
  await until(() => lines().length === 1);
  expect(await host.end("SIGTERM")).toBe(0);
  expect(lines().map(({ event }) => event)).toEqual(["begin", "end"]);
  expect(await queue("delisting")).toMatchObject({ active: 0, locked: 0, deadLetters: [] });
});

test("a broker that goes away and comes back is listened to again, and has kept what it took", async () => {
  await startHost();
  await sender.send("delisting", { messageId: "before", body: {} });
  await until(() => ended().length === 1);
  await untilEmpty("delisting");
  await end(broker.child, "SIGKILL");
  await wait(1000);
  broker = await startBroker();
  await until(async () => {
    await sender.send("delisting", { messageId: "after", body: {} }).catch(() => undefined);
    return ended().some(({ messageId }) => messageId === "after");
  });
  expect(ended().map(({ messageId }) => messageId)).toEqual(["before", "after"]);
});

test("a queue function is run by hand through the admin API", async () => {
  const host = await startHost();
  const body = JSON.stringify({ input: JSON.stringify({ hello: "there" }) });
  const response = await fetch(`${host.managementUrl}admin/functions/acceptListing`, { method: "POST", body });
  expect(response.status).toBe(202);
  await until(() => ended().length === 1);
  expect(ended()[0]?.message).toEqual({ hello: "there" });
});

test("a queue function without a connection is an error at start", async () => {
  process.env["FIXTURE_QUEUE"] = "rotation";
  await expect(startFixture({ appDirectory: queueApp })).rejects.toThrow(
    "function 'acceptListing' needs a connection string of Service Bus in the setting ServiceBusConnection; identities are for Azure",
  );
});

/** Operators see what could not be handled, send it on or throw it away: over HTTP, and over AMQP against the broker. */
import { readFileSync } from "node:fs";
import { ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createServiceBus, type ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { ApiError } from "../../shared/api/client.ts";
import { createDeadLetterReader, type DeadLetterReader } from "../../shared/messages/dead-letter-reader.ts";
import type { QueueName } from "../../shared/messages/service-bus.ts";
import { startApi, type TestApi } from "../support/api.ts";

let bus: ServiceBus;
let client: ServiceBusClient;
let api: TestApi;
let other: DeadLetterReader;

beforeAll(async () => {
  bus = await createServiceBus({ queues: JSON.parse(readFileSync("infra/local/service-bus/queues.json", "utf8")) });
  client = new ServiceBusClient(bus.connectionString);
  api = await startApi({ serviceBus: bus.connectionString });
  const credential = { getToken: () => Promise.reject(new Error("a connection string needs no credential")) };
  other = createDeadLetterReader({ connection: bus.connectionString, credential });
});
afterAll(async () => {
  await api.stop();
  await client.close();
  await bus.stop();
});

/** @returns its id in the API */
async function bury(queue: QueueName, messageId: string, body: unknown, reason = "MessageMalformed"): Promise<string> {
  await client.createSender(queue).sendMessages({ messageId, body, contentType: "application/json", correlationId: "c-1" });
  const receiver = client.createReceiver(queue);
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 });
  if (!message) throw new Error("the message did not come");
  await receiver.deadLetterMessage(message, { deadLetterReason: reason, deadLetterErrorDescription: "codes: expected array" });
  await receiver.close();
  return `${queue}-${String(message.sequenceNumber)}`;
}

/** What waits in a queue, taken out of it. */
async function taken(queue: QueueName): Promise<ServiceBusReceivedMessage[]> {
  const receiver = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 200 });
  await receiver.close();
  return messages;
}

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "none",
    (error: unknown) => (error instanceof ApiError ? error.code : String(error)),
  );
const listed = async (query: { queue?: QueueName; maxpagesize?: number } = {}) =>
  (await api.operator.api.listDeadLetters(query)).body;

test("dead letters of all queues are listed page by page with their reasons, and what is in them is not", async () => {
  const about = { partnerId: "northwind", tenantId: "contoso", password: "let-nobody-see-this" };
  const ids = [
    await bury("delisting", "listing-1", about),
    await bury("notifications", "event-1", { kind: "event" }),
    await bury("rotation", "due-1", "not JSON of ours"),
  ];
  const page = await listed({ maxpagesize: 2 });
  expect(page.value.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect(page.value[0]).toEqual({
    id: ids[0],
    queue: "delisting",
    messageId: "listing-1",
    reason: "MessageMalformed",
    description: "codes: expected array",
    enqueuedAt: expect.stringMatching(/^\d{4}-/),
    tries: expect.any(Number),
    partnerId: "northwind",
    tenantId: "contoso",
  });
  const { pathname, search } = new URL(page.nextLink ?? "");
  const rest = await api.request("GET", pathname + search, { token: api.operator.token });
  expect(await rest.json()).toEqual({ value: [expect.objectContaining({ id: ids[2] })] });
  expect((await listed({ queue: "notifications" })).value.map(({ id }) => id)).toEqual([ids[1]]);
  expect(JSON.stringify(await listed())).not.toContain("let-nobody");
});

test("a dead letter is sent on as it was, once, and others stay where they are", async () => {
  const [before, id, after] = [
    await bury("rotation", "before", { n: 1 }),
    await bury("rotation", "meant", { n: 2 }),
    await bury("rotation", "after", { n: 3 }),
  ];
  const { body } = await api.operator.api.replayDeadLetter({ deadLetterId: id });
  expect(body).toMatchObject({ id, messageId: "meant" });
  const sent = await taken("rotation");
  expect(sent.map((message) => [message.body as unknown, message.correlationId, message.applicationProperties])).toEqual([
    [{ n: 2 }, "c-1", {}],
  ]);
  expect(await codeOf(api.operator.api.replayDeadLetter({ deadLetterId: id }))).toBe("DeadLetterNotFound");
  const left = (await listed({ queue: "rotation" })).value.map((letter) => letter.id);
  expect(left).toEqual(expect.arrayContaining([before, after]));
  expect(left).not.toContain(id);
  expect(await taken("rotation")).toEqual([]);
  const log = await api.world.stores.audit.list({ partnerId: "_operators" }, {}, 10);
  expect(log.items.map(({ action, outcome, target }) => [action, outcome, target])).toContainEqual([
    "replayDeadLetter",
    "Succeeded",
    { kind: "deadLetter", name: id },
  ]);
});

test("two who replay the same letter send it once; so does one whose letter could not be taken away after it was sent", async () => {
  const id = await bury("notifications", "twice", { kind: "event" });
  const outcomes = await Promise.allSettled([other.replay(id), api.operator.api.replayDeadLetter({ deadLetterId: id })]);
  expect(outcomes.map(({ status }) => status).toSorted()).toContain("fulfilled");
  expect((await taken("notifications")).map(({ body }) => body as unknown)).toEqual([{ kind: "event" }]);

  // The lock is lost between the two: the letter stays, and what is sent again is dropped.
  const held = await bury("notifications", "again", { kind: "event", n: 2 });
  await other.replay(held);
  const [first] = await taken("notifications");
  await client.createSender("notifications").sendMessages({ messageId: String(first?.messageId), body: "the same once more" });
  expect(await taken("notifications")).toEqual([]);
});

test("a letter is thrown away with a reason, and only operators may look or act", async () => {
  const id = await bury("delisting", "nonsense", { n: 1 });
  expect((await api.operator.api.discardDeadLetter({ deadLetterId: id, body: { reason: "sent by hand" } })).body.id).toBe(id);
  expect((await listed({ queue: "delisting" })).value.map((letter) => letter.id)).not.toContain(id);
  expect(await taken("delisting")).toEqual([]);
  const log = await api.world.stores.audit.list({ partnerId: "_operators" }, {}, 10);
  expect(log.items.find(({ target }) => target.name === id)?.action).toBe("discardDeadLetter");
  const partner = await api.partner();
  const codes = await Promise.all([
    codeOf(partner.api.listDeadLetters({})),
    codeOf(partner.api.replayDeadLetter({ deadLetterId: id })),
    codeOf(partner.api.discardDeadLetter({ deadLetterId: id, body: { reason: "mine" } })),
  ]);
  expect(codes).toEqual(["RoleRequired", "RoleRequired", "RoleRequired"]);
  expect(await codeOf(api.operator.api.replayDeadLetter({ deadLetterId: "nowhere-1" }))).toBe("DeadLetterNotFound");
});

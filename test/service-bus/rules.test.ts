/** A subscription's rules: what they look at, and how the client changes them. */
import type { CorrelationRuleFilter, ServiceBusMessage } from "@azure/service-bus";
import { expect, test } from "vitest";
import { bodies, receiveAll, rulesOf, startBus, topic } from "../support/service-bus.ts";

const startRules = async (rules: { name: string; correlationFilter?: object; sqlFilter?: { sqlExpression: string } }[] = []) => {
  const started = await startBus([], { topics: [{ ...topic, subscriptions: [{ name: "mine", rules }] }] });
  const sender = started.client.createSender("alerts");
  const taken = async (...messages: ServiceBusMessage[]): Promise<unknown[]> => {
    await sender.sendMessages(messages);
    return bodies(await receiveAll(started.client.createReceiver("alerts", "mine", { receiveMode: "receiveAndDelete" })));
  };
  return { ...started, taken, manager: started.client.createRuleManager("alerts", "mine") };
};

const at = new Date(Date.UTC(2030, 0, 1));
test.each<[string, CorrelationRuleFilter, Partial<ServiceBusMessage>, Partial<ServiceBusMessage>]>([
  ["correlation id", { correlationId: "a" }, { correlationId: "a" }, { correlationId: "A" }],
  ["message id", { messageId: "a" }, { messageId: "a" }, { messageId: "b" }],
  ["to", { to: "a" }, { to: "a" }, {}],
  ["reply to", { replyTo: "a" }, { replyTo: "a" }, { to: "a" }],
  ["subject", { subject: "a" }, { subject: "a" }, { subject: "a " }],
  ["session", { sessionId: "a" }, { sessionId: "a" }, { sessionId: "b" }],
  ["reply-to session", { replyToSessionId: "a" }, { replyToSessionId: "a" }, { sessionId: "a" }],
  ["content type", { contentType: "text/plain" }, { contentType: "text/plain" }, { contentType: "text/html" }],
  ["text", property("a"), { applicationProperties: { p: "a" } }, { applicationProperties: { p: "b" } }],
  ["number", property(7), { applicationProperties: { p: 7 } }, { applicationProperties: { p: "7" } }],
  ["truth", property(true), { applicationProperties: { p: true } }, { applicationProperties: { p: false } }],
  ["time", property(at), { applicationProperties: { p: at } }, { applicationProperties: { p: new Date(0) } }],
  [
    "two of them",
    { subject: "a", applicationProperties: { p: 1, q: 2 } },
    { subject: "a", applicationProperties: { p: 1, q: 2, r: 3 } },
    { subject: "a", applicationProperties: { p: 1 } },
  ],
])("a correlation filter by %s takes what is equal and nothing else", async (_by, filter, like, unlike) => {
  const { manager, taken } = await startRules();
  await manager.createRule("only", filter);
  expect(await taken({ body: "like", ...like }, { body: "unlike", ...unlike })).toEqual(["like"]);
});

function property(value: string | number | boolean | Date): CorrelationRuleFilter {
  return { applicationProperties: { p: value } };
}

test("without rules of its own a subscription takes everything; one rule that matches is enough", async () => {
  const { client } = await startBus([], { topics: [topic] });
  const manager = client.createRuleManager("alerts", "archive");
  expect(await rulesOf(manager)).toEqual([{ name: "$Default", filter: { sqlExpression: "1=1" }, action: {} }]);
  await manager.createRule("urgent", { subject: "urgent" });
  await client.createSender("alerts").sendMessages([{ body: 1, subject: "urgent" }, { body: 2 }]);
  expect(bodies(await receiveAll(client.createReceiver("alerts", "archive")))).toEqual([1, 2]);
});

test("rules are added, listed page by page, and removed; what was there before they came is untouched", async () => {
  const { manager, taken } = await startRules([{ name: "all", sqlFilter: { sqlExpression: "1=1" } }]);
  expect(await taken({ body: 1 })).toEqual([1]);
  const filter = { subject: "a", applicationProperties: { tries: 3, first: true, name: "x" } };
  await manager.createRule("some", filter);
  await manager.createRule("none", { sqlExpression: "1=0" });
  await manager.deleteRule("all");
  const listed = [];
  for await (const page of manager.listRules().byPage({ maxPageSize: 1 })) listed.push(...page);
  expect(listed).toMatchObject([
    { name: "some", filter },
    { name: "none", filter: { sqlExpression: "1=0" } },
  ]);
  expect(await taken({ body: 2 }, { body: 3, ...filter })).toEqual([3]);
  await manager.deleteRule("some");
  expect(await taken({ body: 4, ...filter })).toEqual([]);
});

test("a rule of a name that is taken, or of none, and what isn't modelled are refused by name", async () => {
  const { client, manager } = await startRules();
  await manager.createRule("one", { subject: "a" });
  await expect(manager.createRule("one", { subject: "b" })).rejects.toMatchObject({ code: "MessagingEntityAlreadyExists" });
  await expect(manager.deleteRule("two")).rejects.toMatchObject({ code: "MessagingEntityNotFound" });
  await expect(manager.createRule("sql", { sqlExpression: "tries > 3" })).rejects.toThrow("SQL filters other than 1=1 and 1=0");
  await expect(manager.createRule("acting", { subject: "a" }, { sqlExpression: "SET tries = 3" })).rejects.toThrow(
    "with an action",
  );
  await expect(rulesOf(client.createRuleManager("alerts", "nobody"))).rejects.toMatchObject({
    code: "MessagingEntityNotFound",
  });
  expect((await rulesOf(manager)).map(({ name }) => name)).toEqual(["one"]);
});

test("a broker whose topics are declared with what isn't modelled doesn't start", async () => {
  await expect(startRules([{ name: "sql", sqlFilter: { sqlExpression: "tries > 3" } }])).rejects.toThrow(
    "SQL filters other than",
  );
});

/** Topics, sessions, batches and outputs of Service Bus functions, against the local broker through the unmodified client. */

import { setTimeout as wait } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import type { ServiceBusMessage } from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { HostOptions } from "../../infra/local/functions-host/host.ts";
import { createServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import type { QueueOptions, ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { startFixture, withWrittenApp } from "./fixtures/hosts.ts";
import type { LoggedHost } from "./fixtures/hosts.ts";

const queues: QueueOptions[] = [
  { name: "plain", maxDeliveryCount: 3 },
  { name: "short", lockDuration: "PT3S", maxDeliveryCount: 10 },
  { name: "ordered", requiresSession: true },
  { name: "answers" },
];
const topics = [
  {
    name: "alerts",
    subscriptions: [{ name: "all" }, { name: "urgent", rules: [{ name: "urgent", correlationFilter: { label: "urgent" } }] }],
  },
];

let bus: ServiceBus;
let client: ServiceBusClient;
let host: LoggedHost | undefined;

beforeAll(() => {
  process.env["BusConnection"] = "";
});

/** A broker without messages. */
async function begin(): Promise<void> {
  bus = await createServiceBus({ queues, topics });
  process.env["BusConnection"] = bus.connectionString;
  client = new ServiceBusClient(bus.connectionString);
}

afterEach(async () => {
  await client.close();
  await bus.stop();
});
afterAll(() => {
  delete process.env["BusConnection"];
});

const hostJson = {
  extensions: { http: { routePrefix: "" }, serviceBus: { sessionIdleTimeout: "00:00:01", maxConcurrentSessions: 2 } },
};

/** Runs an app whose functions note what they get through `note`. */
const running = (source: string, use: () => Promise<void>, options: Partial<HostOptions> = {}): Promise<void> => {
  const preamble = `
    import { setTimeout as wait } from "node:timers/promises";
    const connection = "BusConnection";
    const note = (context, event, more = {}) => context.log(JSON.stringify({ event, ...more }));`;
  return withWrittenApp({ source: `${preamble}\n${source}`, hostJson }, async (appDirectory) => {
    host = await startFixture({ appDirectory, ...options });
    try {
      await use();
    } finally {
      await host.stop();
      host = undefined;
    }
  });
};

interface Note {
  event: string;
  [more: string]: unknown;
}

const notes = (event?: string): Note[] =>
  (host?.entries ?? [])
    .filter(({ category }) => category.endsWith(".User"))
    .map(({ message }) => JSON.parse(message) as Note)
    .filter((note) => event === undefined || note.event === event);

const send = (entity: string, ...messages: ServiceBusMessage[]): Promise<void> =>
  client.createSender(entity).sendMessages(messages);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await wait(10);
}

const queue = (name: string) => {
  const found = bus.state().queues.find((each) => each.name === name);
  if (!found) throw new Error(`no queue ${name}`);
  return found;
};

const isEmpty = (name: string): boolean => queue(name).active + queue(name).locked === 0;

describe("a batch", () => {
  const batch = (body: string): string =>
    `app.serviceBusQueue("collect", { connection, queueName: "plain", cardinality: "many", handler: async (messages, context) => { ${body} } });`;

  test("is what waits, in one call, with the metadata as lists; its messages are completed together", async () => {
    await begin();
    await send("plain", { body: { n: 1 }, messageId: "a" }, { body: "two", messageId: "b", subject: "about" });
    const source = batch(
      "const { messageIdArray, deliveryCountArray, subjectArray } = context.triggerMetadata; note(context, 'got', { messages, messageIdArray, deliveryCountArray, subjectArray });",
    );
    await running(source, async () => {
      await until(() => notes().length > 0 && isEmpty("plain"));
      expect(notes()).toEqual([
        {
          event: "got",
          messages: [{ n: 1 }, "two"],
          messageIdArray: ["a", "b"],
          deliveryCountArray: [1, 1],
          subjectArray: [null, "about"],
        },
      ]);
    });
  });

  test("that fails comes back whole, until its deliveries are used up", async () => {
    await begin();
    await send("plain", { body: 1, messageId: "a" }, { body: 2, messageId: "b" });
    await running(batch("note(context, 'got', { messages }); throw new Error('not one of them');"), async () => {
      await until(() => queue("plain").deadLetters.length === 2);
      expect(queue("plain").deadLetters).toMatchObject([
        { messageId: "a", reason: "MaxDeliveryCountExceeded" },
        { messageId: "b", reason: "MaxDeliveryCountExceeded" },
      ]);
      expect(notes().flatMap(({ messages }) => messages)).toHaveLength(6);
    });
  });

  test("is alone: the next comes when it is dealt with", async () => {
    await begin();
    await send("plain", { body: 1 });
    await running(batch("note(context, 'begin', { messages }); await wait(300); note(context, 'end');"), async () => {
      await until(() => notes("begin").length === 1);
      await send("plain", { body: 2 }, { body: 3 });
      await until(() => notes("end").length >= 2 && isEmpty("plain"));
      const events = notes().map(({ event }) => event);
      expect(events).toEqual(events.map((_, index) => (index % 2 === 0 ? "begin" : "end")));
      expect(notes("begin").flatMap(({ messages }) => messages)).toEqual([1, 2, 3]);
    });
  });

  test("loses its locks when it takes longer than they last, and comes again", async () => {
    await begin();
    await send("short", { body: 1, messageId: "slow" });
    const source =
      'app.serviceBusQueue("slow", { connection, queueName: "short", cardinality: "many", handler: async (messages, context) => { const [count] = context.triggerMetadata.deliveryCountArray; note(context, "got", { count }); if (count === 1) await wait(4500); } });';
    await running(source, async () => {
      await until(() => notes().length >= 2 && isEmpty("short"));
      // The client gathers a batch for a second, which is of the lock's time.
      const counts = notes().map(({ count }) => count as number);
      expect([counts[0], counts.toSorted((a, b) => a - b)]).toEqual([1, counts]);
      expect(host?.entries.find(({ level }) => level === "warning")?.message).toMatch("message slow was not settled");
    });
  });
});

test("a single message's lock is renewed as long as its function runs", async () => {
  await begin();
  await send("short", { body: 1 });
  const source =
    'app.serviceBusQueue("slow", { connection, queueName: "short", handler: async (message, context) => { note(context, "got"); await wait(4500); } });';
  await running(source, async () => {
    await until(() => notes().length > 0 && isEmpty("short"));
    expect(notes()).toHaveLength(1);
  });
});

describe("sessions", () => {
  const source = `app.serviceBusQueue("inOrder", { connection, queueName: "ordered", isSessionsEnabled: true, handler: async (message, context) => {
      const { sessionId, deliveryCount } = context.triggerMetadata;
      note(context, "begin", { message, sessionId, deliveryCount });
      await wait(50);
      if (message === "fail once" && deliveryCount === 1) throw new Error("once");
      note(context, "end", { message, sessionId });
    } });`;

  test("are worked on side by side, each in order and one message at a time", async () => {
    await begin();
    for (const n of [1, 2, 3]) for (const sessionId of ["a", "b"]) await send("ordered", { body: n, sessionId });
    await running(source, async () => {
      await until(() => notes("end").length === 6);
      for (const session of ["a", "b"]) {
        const own = notes().filter(({ sessionId }) => sessionId === session);
        expect(own.map(({ event, message }) => `${event} ${String(message)}`)).toEqual(
          [1, 2, 3].flatMap((n) => [`begin ${n}`, `end ${n}`]),
        );
      }
      const firstEnd = notes().findIndex(({ event }) => event === "end");
      expect(
        new Set(
          notes()
            .slice(0, firstEnd)
            .map(({ sessionId }) => sessionId),
        ),
      ).toEqual(new Set(["a", "b"]));
    });
  });

  test("that are more than the host holds at a time have their turn when others are idle", async () => {
    await begin();
    for (const sessionId of ["a", "b", "c", "d"]) await send("ordered", { body: sessionId, sessionId });
    await running(source, async () => {
      await until(() => notes("end").length === 4 && isEmpty("ordered"));
      expect(new Set(notes("end").map(({ sessionId }) => sessionId))).toEqual(new Set(["a", "b", "c", "d"]));
    });
  });

  test("keep their order when a message fails", async () => {
    await begin();
    await send("ordered", { body: "fail once", sessionId: "a" }, { body: "next", sessionId: "a" });
    await running(source, async () => {
      await until(() => notes("end").length === 2);
      expect(notes("begin").map(({ message, deliveryCount }) => [message, deliveryCount])).toEqual([
        ["fail once", 1],
        ["fail once", 2],
        ["next", 1],
      ]);
    });
  });
});

test("a topic's subscriptions each have their function, which gets what their rules let through", async () => {
  await begin();
  const on = (name: string): string =>
    `app.serviceBusTopic("${name}Alerts", { connection, topicName: "alerts", subscriptionName: "${name}", handler: (message, context) => note(context, "${name}", { message }) });`;
  await running(`${on("all")}\n${on("urgent")}`, async () => {
    await send("alerts", { body: "one", subject: "urgent" }, { body: "two" });
    await until(() => notes("all").length === 2 && notes("urgent").length === 1);
    expect(notes("all").map(({ message }) => message)).toEqual(["one", "two"]);
    expect(notes("urgent").map(({ message }) => message)).toEqual(["one"]);
  });
});

describe("an output", () => {
  const received = async (entity: string, count: number, subscription?: string) => {
    const options = { skipParsingBodyAsJson: true, receiveMode: "receiveAndDelete" } as const;
    const receiver =
      subscription === undefined ? client.createReceiver(entity, options) : client.createReceiver(entity, subscription, options);
    const messages: [string, string | undefined][] = [];
    while (messages.length < count)
      for (const { body, contentType } of await receiver.receiveMessages(count)) messages.push([String(body), contentType]);
    return messages;
  };

  test("takes a value as a message and a list as one each, to queues and topics, before the answer is given", async () => {
    await begin();
    const source = `
      const answers = output.serviceBusQueue({ connection, queueName: "answers" });
      const alerts = output.serviceBusTopic({ connection, topicName: "alerts" });
      app.http("send", { extraOutputs: [answers, alerts], handler: (request, context) => {
        context.extraOutputs.set(answers, [{ n: 1 }, "two", 3]);
        context.extraOutputs.set(alerts, "plain text");
        return { status: 201 };
      } });`;
    await running(source, async () => {
      expect((await fetch(`${host?.url}/send`)).status).toBe(201);
      expect(queue("answers").active).toBe(3);
      expect(await received("answers", 3)).toEqual([
        ['{"n":1}', "application/json"],
        ["two", "text/plain"],
        ["3", "application/json"],
      ]);
      expect(await received("alerts", 1, "all")).toEqual([["plain text", "text/plain"]]);
    });
  });

  test("is what a queue function returns", async () => {
    await begin();
    const source =
      'app.serviceBusQueue("forward", { connection, queueName: "plain", return: output.serviceBusQueue({ connection, queueName: "answers" }), handler: (message) => ({ seen: message }) });';
    await running(source, async () => {
      await send("plain", { body: "hello" });
      expect(await received("answers", 1)).toEqual([['{"seen":"hello"}', "application/json"]]);
    });
  });

  test("that can't be sent makes the call fail", async () => {
    await begin();
    const source = `
      const nowhere = output.serviceBusQueue({ connection, queueName: "nowhere" });
      app.http("send", { extraOutputs: [nowhere], handler: (request, context) => { context.extraOutputs.set(nowhere, "lost"); return {}; } });`;
    await running(source, async () => {
      expect((await fetch(`${host?.url}/send`)).status).toBe(500);
    });
  });
});

test("with chaos a message comes twice, the second time as a redelivery, and is then completed", async () => {
  await begin();
  const source =
    'app.serviceBusQueue("twice", { connection, queueName: "plain", handler: (message, context) => note(context, "got", { message, count: context.triggerMetadata.deliveryCount }) });';
  await running(
    source,
    async () => {
      await send("plain", { body: "a" });
      await until(() => notes().length >= 2 && isEmpty("plain"));
      expect(notes()).toEqual([
        { event: "got", message: "a", count: 1 },
        { event: "got", message: "a", count: 2 },
      ]);
    },
    { chaos: true },
  );
});

test("a host that stops lets a session's message and a batch be dealt with, and begins no other", async () => {
  await begin();
  await send("ordered", { body: 1, sessionId: "a" }, { body: 2, sessionId: "a" });
  await send("plain", { body: 1 });
  const handler =
    'async (message, context) => { note(context, "begin", { name: context.functionName }); await wait(3000); note(context, "end"); }';
  const source = `
    app.serviceBusQueue("inOrder", { connection, queueName: "ordered", isSessionsEnabled: true, handler: ${handler} });
    app.serviceBusQueue("collect", { connection, queueName: "plain", cardinality: "many", handler: ${handler} });`;
  await running(source, async () => {
    await until(() => new Set(notes("begin").map(({ name }) => name)).size === 2);
    await host?.stop();
    expect(notes("end")).toHaveLength(2);
    expect([isEmpty("plain"), queue("ordered").active + queue("ordered").locked]).toEqual([true, 1]);
  });
});

describe("an app is refused or told", () => {
  test.each([
    [
      'app.serviceBusTopic("a", { connection, topicName: "alerts", handler: () => {} });',
      "function 'a' names no subscription of its topic",
    ],
    [
      'app.http("a", { extraOutputs: [output.serviceBusQueue({ connection: "Nowhere", queueName: "plain" })], handler: () => ({}) });',
      "function 'a' needs a connection string of Service Bus in the setting Nowhere; identities are for Azure",
    ],
    [
      'app.serviceBusQueue("a", { connection, queueName: "plain", sdkBinding: true, handler: () => {} });',
      "function 'a' wants the SDK's message, which this host doesn't give",
    ],
  ])("%s", async (source, message) => {
    await begin();
    await expect(running(source, () => Promise.resolve())).rejects.toThrow(message);
  });

  test("that a retry of a queue function has no effect", async () => {
    await begin();
    const source =
      'app.serviceBusQueue("a", { connection, queueName: "plain", retry: { strategy: "fixedDelay", maxRetryCount: 2, delayInterval: { seconds: 1 } }, handler: () => {} });';
    await running(source, async () => {
      expect(host?.entries.map(({ message }) => message)).toContain(
        "function 'a': retry has no effect: a message that fails comes again until its deliveries are used up",
      );
    });
  });
});

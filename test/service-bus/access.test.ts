/** Who may use the broker, and what the broker says of itself. */
import { expect, test } from "vitest";
import { createDeadLetters } from "../../shared/messages/dead-letters.ts";
import { connect, peekLock, queue, receive, startBus } from "../support/service-bus.ts";

test.each([
  ["key", "SharedAccessKey=[^;]*", "SharedAccessKey=bm9wZQ=="],
  ["key's name", "SharedAccessKeyName=[^;]*", "SharedAccessKeyName=Somebody"],
])("a wrong %s is refused", async (_what, part, wrong) => {
  const { bus } = await startBus();
  const stranger = connect(bus.connectionString.replace(new RegExp(part), wrong));
  await expect(stranger.createSender("delisting").sendMessages({ body: 1 })).rejects.toMatchObject({
    code: "UnauthorizedAccess",
  });
  await expect(peekLock(stranger).receiveMessages(1, { maxWaitTimeInMs: 100 })).rejects.toMatchObject({
    code: "UnauthorizedAccess",
  });
  await expect(peekLock(stranger).peekMessages(1)).rejects.toMatchObject({ code: "UnauthorizedAccess" });
  await stranger.close();
  expect(bus.state().queues[0]?.active).toBe(0);
});

test("a queue that isn't there is said so", async () => {
  const { client } = await startBus();
  await expect(client.createSender("nobody").sendMessages({ body: 1 })).rejects.toMatchObject({
    code: "MessagingEntityNotFound",
  });
});

test("there are no sessions: the attempt is refused at once", async () => {
  const { client } = await startBus();
  await expect(client.acceptSession("delisting", "one")).rejects.toThrow("Failed to create a receiver");
});

test("whoever knows a message's lock token may dead-letter it over another connection", async () => {
  const { bus, client } = await startBus();
  await client.createSender("delisting").sendMessages({ messageId: "bad", body: "?" });
  const { lockToken } = await receive(peekLock(client));
  const letters = createDeadLetters({
    connection: bus.connectionString,
    credential: { getToken: () => Promise.reject(new Error("not asked for")) },
  });
  await letters.add({ queue: "delisting", messageId: "bad", lockToken: lockToken! }, "MessageMalformed", "body is no object");
  await letters.close();
  expect(bus.state().queues[0]).toMatchObject({ locked: 0, deadLetters: [{ messageId: "bad", reason: "MessageMalformed" }] });
});

test("the control door shows queues and dead letters", async () => {
  const { bus, client } = await startBus([queue, { name: "rotation" }]);
  await client.createSender("delisting").sendMessages([{ messageId: "bad", body: 1 }, { body: 2 }]);
  const receiver = peekLock(client);
  await receiver.deadLetterMessage(await receive(receiver), { deadLetterReason: "Bad", deadLetterErrorDescription: "it is" });
  const get = async (path: string): Promise<unknown> => (await fetch(`${bus.control}${path}`)).json();
  expect(await get("/queues")).toMatchObject({
    value: [
      { name: "delisting", active: 1, deadLetters: 1 },
      { name: "rotation", active: 0, deadLetters: 0 },
    ],
  });
  expect(await get("/queues/delisting/deadletters")).toMatchObject({
    value: [{ messageId: "bad", reason: "Bad", description: "it is", deliveryCount: 0 }],
  });
  expect(await get("/queues/nobody/deadletters")).toMatchObject({ error: { code: "NotFound" } });
});

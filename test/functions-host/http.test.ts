/** HTTP functions on the host. */

import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { matchTemplate, overlap, parseTemplate } from "../../infra/local/functions-host/route-template.ts";
import { spawnHost, startFixture, withWrittenApp } from "./fixtures/hosts.ts";
import type { LoggedHost } from "./fixtures/hosts.ts";

describe("a request", () => {
  let host: LoggedHost;
  beforeAll(async () => {
    host = await startFixture();
  });
  afterAll(() => host.stop());

  test("reaches its function with parameters, query, headers and body, and its answer comes back whole", async () => {
    const url = `${host.url}/echo/7/a/b%20c?query=x&query=y`;
    const response = await fetch(url, { method: "PUT", body: "text", headers: { "x-question": "why" } });
    expect(response.status).toBe(201);
    expect(response.headers.get("x-answer")).toBe("yes");
    expect(response.headers.getSetCookie()).toEqual(["session=a%20b; HttpOnly; SameSite=Lax"]);
    const params = { number: "7", rest: "a/b c" };
    expect(await response.json()).toEqual({ method: "PUT", params, query: "x,y", header: "why", body: "text" });
  });

  test.each([
    ["GET", "/nowhere"],
    ["GET", "/echo/seven/a"],
    ["DELETE", "/echo/7/a"],
    ["GET", "/durabletask/instances/"],
    ["GET", "/admin/nowhere"],
    ["GET", "/runtime/webhooks/eventgrid"],
  ])("%s %s is nobody's: 404", async (method, target) => {
    expect((await fetch(host.url + target, { method })).status).toBe(404);
  });

  test("whose body has no length arrives without it, as in Azure", async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const sending = request(
        `${host.url}/echo/1/a`,
        { method: "PUT", headers: { "transfer-encoding": "chunked" } },
        (response) => {
          let received = "";
          response.on("data", (chunk: Buffer) => (received += chunk.toString()));
          response.on("end", () => resolve(received));
        },
      );
      sending.on("error", reject);
      sending.end("text");
    });
    expect(JSON.parse(text)).toMatchObject({ body: "" });
  });

  test("whose handler throws gets 500 without a word, and the log has the error", async () => {
    const response = await fetch(`${host.url}/fail`);
    expect([response.status, await response.text()]).toEqual([500, ""]);
    const logged = host.entries.find(({ functionName, level }) => functionName === "fail" && level === "error");
    expect(logged?.message).toMatch("the handler failed");
  });
});

test("a host that stops answers what it has begun", async () => {
  const host = await startFixture();
  const answer = fetch(`${host.url}/slow`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await host.stop();
  expect(await (await answer).text()).toBe("done");
  await expect(fetch(`${host.url}/slow`)).rejects.toThrow("fetch failed");
});

describe("a function that takes longer than functionTimeout", () => {
  const app = {
    source: `const answer = { body: "done" };
      app.http("hang", { handler: () => new Promise((resolve) => setTimeout(() => resolve(answer), 60_000).unref()) });
      app.http("quick", { handler: () => answer });`,
    hostJson: { functionTimeout: "00:00:01" },
  };

  test("has failed, and says so; others go on, until whoever runs the host ends the process as Azure ends the worker", () =>
    withWrittenApp(app, async (appDirectory) => {
      const timedOut: string[] = [];
      const host = await startFixture({ appDirectory, timedOut: (name) => timedOut.push(name) });
      const { status } = await fetch(`${host.url}/api/hang`);
      expect({ status, timedOut }).toEqual({ status: 500, timedOut: ["hang"] });
      const [{ message } = { message: "" }] = host.entries.filter(({ level }) => level === "error");
      expect(message).toMatch("Timeout value of 00:00:01 was exceeded by function: hang");
      expect(await (await fetch(`${host.url}/api/quick`)).text()).toBe("done");
      await host.stop();
    }));

  test("ends the host's process, which is to be started again", () =>
    withWrittenApp(app, async (appDirectory) => {
      const host = await spawnHost(["--app", appDirectory, "--state", ":memory:"]);
      const ended = new Promise((resolve) => host.child.once("exit", resolve));
      expect((await fetch(`${host.url}/api/hang`)).status).toBe(500);
      expect(await ended).toBe(1);
    }));
});

describe("an app is refused", () => {
  const start = (source: string, hostJson: object = {}) =>
    withWrittenApp({ source, hostJson }, async (appDirectory) => {
      const host = await startFixture({ appDirectory });
      await host.stop();
      return host;
    });

  test.each([
    [
      'app.storageQueue("tick", { queueName: "q", connection: "C", handler: () => {} });',
      "function 'tick' has a trigger that this host doesn't know: queueTrigger",
    ],
    [
      'app.http("send", { extraOutputs: [output.storageQueue({ queueName: "q", connection: "C" })], handler: () => ({}) });',
      "function 'send' has an output that this host doesn't know: queue",
    ],
    [
      'app.http("a", { route: "tenants/{id}", handler: () => ({}) }); app.http("b", { route: "tenants/search", handler: () => ({}) });',
      "'tenants/{id}' of function 'a' and 'tenants/search' of 'b' overlap",
    ],
    [
      'app.http("a", { handler: () => ({}) }); app.http("A", { handler: () => ({}) });',
      'A function with id "A" has already been registered',
    ],
    [
      'app.http("a", { route: "administration", handler: () => ({}) });',
      "function 'a' has the route 'administration': The specified route conflicts with one or more built in routes.",
    ],
    ['app.http("a", { route: "x/{id:colour}", handler: () => ({}) });', "constraint 'colour'"],
    ["void app;", "registered no function"],
  ])("%s", async (source, message) => {
    await expect(start(source, { extensions: { http: { routePrefix: "" } } })).rejects.toThrow(message);
  });

  test.each([
    [{ functionTimeout: "10 minutes" }, "host.json: functionTimeout is '10 minutes', no duration such as 00:05:00"],
    [
      { extensions: { durableTask: { versionMatchStrategy: "Newer" } } },
      "extensions.durableTask.versionMatchStrategy is 'Newer', not one of None, Strict, CurrentOrOlder",
    ],
  ])("whose host.json is %j", async (hostJson, message) => {
    await expect(start('app.http("a", { handler: () => ({}) });', hostJson)).rejects.toThrow(message);
  });

  test("but settings without effect are only named, one a line, with their whole section if none of it counts", async () => {
    const hostJson = {
      version: "2.0",
      functionTimeout: "00:05:00",
      extensions: { queues: { batchSize: 4 }, durableTask: { hubName: "Hub", tracing: { version: "V2" } } },
    };
    const { entries } = await start('app.http("a", { handler: () => ({}) });', hostJson);
    expect(
      entries.filter(({ message }) => message.startsWith("host.json")).map(({ level, message }) => [level, message]),
    ).toEqual([
      ["information", "host.json: extensions.queues has no effect here"],
      ["information", "host.json: extensions.durableTask.tracing has no effect here: nothing is traced"],
    ]);
  });
});

test.each([
  ["a/{b}{c}", "segment '{b}{c}' of route 'a/{b}{c}' isn't understood"],
  ["a/{b}-{c?}", "segment '{b}-{c?}' of route 'a/{b}-{c?}' isn't understood"],
  ["a/{b", "segment '{b' of route 'a/{b' isn't understood"],
  ["a/{b:int(}", "segment '{b:int(}' of route 'a/{b:int(}' isn't understood"],
  ["a/{b:regex([)}", "constraint 'regex' of route 'a/{b:regex([)}' can't be read"],
])("the route %s is refused", (route, message) => {
  expect(() => parseTemplate(route)).toThrow(message);
});

describe("a route template", () => {
  test.each([
    ["tenants/{id:guid}", "tenants/90A7E000-0000-4000-8000-000000000000", { id: "90A7E000-0000-4000-8000-000000000000" }],
    ["tenants/{id:guid}", "tenants/search", undefined],
    ["Tenants", "tenants", {}],
    ["a/{b?}", "a", {}],
    ["a/{b=x}", "a", { b: "x" }],
    ["a/{b:range(1,3)}", "a/4", undefined],
    ["a/{*rest}", "a/b/c", { rest: "b/c" }],
    ["a/{b}", "a/b/c", undefined],
    ["a/{b:regex(^\\d{{3}}-\\d{{4}}$)}", "a/555-1234", { b: "555-1234" }],
    ["a/{b:regex(^\\d{{3}}-\\d{{4}}$)}", "a/5555-1234", undefined],
    ["a/{b:regex(^(x|y)$):maxlength(3)?}", "a/X", { b: "X" }],
    ["a/{b:regex(^(x|y)$):maxlength(3)?}", "a", {}],
    ["files/{name}.{extension}", "files/a.b.c", { name: "a.b", extension: "c" }],
    ["files/{name}.{extension:alpha}", "files/a.7", undefined],
    ["v{version:int}/x", "V2/x", { version: "2" }],
    ["v{version:int}/x", "v/x", undefined],
  ])("%s meets %s", (template, target, parameters) => {
    expect(matchTemplate(parseTemplate(template), target.split("/"))).toEqual(parameters);
  });

  test.each([
    ["a/{b}", "a/b", true],
    ["a/{b:guid}", "a/b", false],
    ["a/{b:int}", "a/{c:guid}", false],
    ["a/{b}", "a/{c}/d", false],
    ["a/{*rest}", "a/{c}/d", true],
    ["a/{b?}", "a", true],
    ["a", "b", false],
    ["a/{b:regex(^x)}", "a/b", false],
    ["{a}.json", "{b}.xml", false],
    ["{a}.json", "{b}-{c}", true],
    ["{a}.json", "x.json", true],
    ["{a}.json", "{b}", true],
  ])("%s and %s overlap: %s", (a, b, expected) => {
    expect([overlap(parseTemplate(a), parseTemplate(b)), overlap(parseTemplate(b), parseTemplate(a))]).toEqual([
      expected,
      expected,
    ]);
  });
});

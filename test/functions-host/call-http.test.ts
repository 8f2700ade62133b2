/** `callHttp`: one request, and the polling of an answer 202, over a real server in virtual time. */

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { OrchestrationContext, Task } from "durable-functions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEngine } from "./fixtures/engines.ts";

let polls = 0;
const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  const path = request.url ?? "";
  const text: Buffer[] = [];
  request.on("data", (chunk: Buffer) => text.push(chunk));
  request.on("end", () => {
    if (path === "/start") response.writeHead(202, { location: "/state", "retry-after": "120" }).end();
    else if (path === "/state" && (polls += 1) < 3) response.writeHead(202, { location: "/state" }).end();
    else response.writeHead(200, { "x-asked": request.headers["x-token"] ?? "" }).end(`${request.method} ${text.join("")}`);
  });
});
let base = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

function* calling(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  const { path, poll = true } = context.df.getInput() as { path: string; poll?: boolean };
  const began = context.df.currentUtcDateTime.getTime();
  const asked = { method: "POST", url: base + path, body: { a: 1 }, headers: { "x-token": "t" }, enablePolling: poll };
  const { statusCode, content } = (yield context.df.callHttp(asked)) as { statusCode: number; content: string };
  yield context.df.callActivity("nothing");
  return { statusCode, content, seconds: Math.round((context.df.currentUtcDateTime.getTime() - began) / 1000) };
}

test.each([
  ["an answer is the result", { path: "/direct" }, { statusCode: 200, content: 'POST {"a":1}', seconds: 0 }],
  [
    "202 is asked about until it is done: after Retry-After, else after 30 s",
    { path: "/start" },
    { statusCode: 200, content: "GET ", seconds: 180 },
  ],
  ["202 is the result when that is wanted", { path: "/start", poll: false }, { statusCode: 202, content: "", seconds: 0 }],
])("%s", async (_, input, output) => {
  const { engine } = await startEngine({ orchestrators: { calling }, activities: { nothing: () => undefined } });
  const ended = await engine.whenFinished(engine.start("calling", { input }));
  expect({ status: ended.status, output: JSON.parse(ended.output ?? "null") }).toEqual({ status: "Completed", output });
  engine.close();
});

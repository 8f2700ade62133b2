/** A host that is told to stop: what has begun ends, and nothing begins. Timers, messages and activities have it in their own files. */

import { Agent, get } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { spawnHost, startFixture, withWrittenApp } from "./fixtures/hosts.ts";

test("a connection that is kept brings no request after the host has begun to stop", async () => {
  const host = await startFixture();
  const agent = new Agent({ keepAlive: true });
  const ask = (): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const asking = get(`${host.url}/slow`, { agent }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      });
      asking.on("error", reject);
    });
  const first = ask();
  await wait(150);
  const second = ask();
  await wait(50);
  const stopping = host.stop();
  expect(await first).toBe(200);
  // Refused by the host, or by a connection that it has closed.
  expect(await ask().catch(() => 503)).toBe(503);
  expect(await second).toBe(200);
  await stopping;
  agent.destroy();
});

test("a second signal ends the process at once, whatever runs", () =>
  withWrittenApp(
    { source: 'app.http("hang", { handler: () => new Promise(() => { console.error("begun"); }) });' },
    async (appDirectory) => {
      const host = await spawnHost(["--app", appDirectory, "--state", ":memory:"]);
      const begun = new Promise<void>((resolve) =>
        host.child.stderr?.on("data", (chunk: Buffer) => {
          if (chunk.toString().includes("begun")) resolve();
        }),
      );
      const refused = expect(fetch(`${host.url}/api/hang`)).rejects.toThrow("fetch failed");
      await begun;
      host.child.kill("SIGTERM");
      await wait(200);
      expect(await host.end("SIGTERM")).toBe(1);
      await refused;
    },
  ));

/** The service about itself: alive, ready, described. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { getReadiness } from "../../functions/service/http.ts";
import { startApi, type TestApi } from "../support/api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

test("health and readiness need no token and no version", async () => {
  const [health, readiness] = await Promise.all(["/healthz", "/readyz"].map((path) => fetch(api.url + path)));
  expect([health?.status, await health?.json()]).toEqual([200, { status: "alive" }]);
  expect([readiness?.status, await readiness?.json()]).toEqual([
    200,
    { status: "ready", dependencies: { storage: "ready", signingKey: "ready" } },
  ]);
});

test("a dependency that doesn't answer makes the service not ready, and only the log knows why", async () => {
  const stores = { ...api.world.stores, check: () => Promise.reject(new Error("ECONNREFUSED 203.0.113.7")) };
  const handler = getReadiness({ ...api.world, stores });
  expect(await handler(undefined as never, undefined as never)).toEqual({
    status: 503,
    body: { status: "notReady", dependencies: { storage: "notReady", signingKey: "ready" } },
  });
  expect(api.logged.some((line) => line.includes("dependency storage is not ready") && line.includes("ECONNREFUSED"))).toBe(true);
});

test("the document is served to anyone, once", async () => {
  const first = await fetch(`${api.url}/api/openapi.json`);
  const etag = first.headers.get("etag") ?? "";
  expect(await first.json()).toMatchObject({ openapi: "3.1.1", servers: [{ url: api.url }] });
  expect((await fetch(`${api.url}/api/openapi.json`, { headers: { "if-none-match": etag } })).status).toBe(304);
});

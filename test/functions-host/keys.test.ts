/** Function keys: what each opens, with `--auth` as in Azure and without it as under Core Tools; and the host's own API behind them. */

import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostOptions } from "../../infra/local/functions-host/host.ts";
import type { Keys } from "../../infra/local/functions-host/keys.ts";
import { spawnHost, startFixture, withDirectory, withWrittenApp } from "./fixtures/hosts.ts";
import type { LoggedHost } from "./fixtures/hosts.ts";

const app = {
  source: `
    import * as df from "durable-functions";
    const handler = () => ({ body: "in" });
    app.http("open", { authLevel: "anonymous", handler });
    app.http("keyed", { authLevel: "function", handler });
    app.http("other", { authLevel: "function", handler });
    app.http("guarded", { authLevel: "admin", handler });
    app.timer("tick", { schedule: "0 0 3 * * *", handler: () => {} });
    df.app.orchestration("wait", function* (context) { yield context.df.waitForExternalEvent("never"); });
    df.app.client.http("begin", {
      handler: async (request, client) => client.createCheckStatusResponse(request, await client.startNew("wait", { instanceId: "one" })),
    });`,
  hostJson: { extensions: { http: { routePrefix: "" }, durableTask: { hubName: "Keyed" } } },
};

const started = <Result>(options: Partial<HostOptions>, use: (host: LoggedHost) => Promise<Result>): Promise<Result> =>
  withWrittenApp(app, async (appDirectory) => {
    const host = await startFixture({ appDirectory, ...options });
    try {
      return await use(host);
    } finally {
      await host.stop();
    }
  });

const keysOf = ({ keys }: LoggedHost): Keys => {
  if (!keys) throw new Error("the host checks no keys");
  return keys;
};

describe("with keys checked", () => {
  let host: LoggedHost;
  let keys: Keys;
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  let ended: Promise<void>;

  beforeAll(async () => {
    const { promise: ready, resolve } = Promise.withResolvers<LoggedHost>();
    ended = started({ auth: true }, async (each) => {
      resolve(each);
      await done;
    });
    host = await Promise.race([ready, ended.then(() => Promise.reject(new Error("the host ended")))]);
    keys = keysOf(host);
  });
  afterAll(async () => {
    finish();
    await ended;
  });

  const status = async (target: string, key?: string, method = "GET"): Promise<number> =>
    (await fetch(host.url + target, { method, headers: key === undefined ? {} : { "x-functions-key": key } })).status;

  test("a function opens to the keys of its level, and to the master key", async () => {
    const presented: Record<string, string | undefined> = {
      none: undefined,
      wrong: "wrong",
      host: keys.host["default"],
      own: keys.functions["keyed"]?.["default"],
      another: keys.functions["other"]?.["default"],
      system: keys.system["durabletask_extension"],
      master: keys.master,
    };
    const opened = async (target: string): Promise<string[]> => {
      const names: string[] = [];
      for (const [name, key] of Object.entries(presented)) if ((await status(target, key)) === 200) names.push(name);
      return names;
    };
    expect(await opened("/open")).toEqual(Object.keys(presented));
    expect(await opened("/keyed")).toEqual(["host", "own", "master"]);
    expect(await opened("/guarded")).toEqual(["master"]);
    expect(await opened("/admin/functions/tick")).toEqual(["master"]);
    expect(await opened("/runtime/webhooks/durabletask/instances/")).toEqual(["system", "master"]);
  });

  test("a refusal is 401 without a word", async () => {
    const response = await fetch(`${host.url}/keyed`);
    expect([response.status, await response.text(), response.headers.get("content-length")]).toEqual([401, "", "0"]);
  });

  test("the header counts before the query", async () => {
    const code = keys.host["default"] ?? "";
    expect(await status(`/keyed?code=${code}`)).toBe(200);
    expect(await status(`/keyed?code=${code}`, "wrong")).toBe(401);
    expect(await status("/keyed?code=wrong", code)).toBe(200);
  });

  test("what isn't there is 404, key or not; a ping says only that somebody is there", async () => {
    expect(await status("/nowhere")).toBe(404);
    expect(await status("/admin/nowhere", keys.master)).toBe(404);
    expect(await status("/admin/nowhere")).toBe(401);
    expect(await status("/admin/host/ping")).toBe(200);
  });

  test("the links of createCheckStatusResponse lead to the instance, with their key only", async () => {
    const begun = await fetch(`${host.url}/begin`, { method: "POST" });
    const location = begun.headers.get("location") ?? "";
    const links = (await begun.json()) as { statusQueryGetUri: string; terminatePostUri: string };
    expect([begun.status, location]).toEqual([202, links.statusQueryGetUri]);
    expect(location.startsWith(`${host.url}/runtime/webhooks/durabletask/instances/one?`)).toBe(true);
    expect(await (await fetch(location)).json()).toMatchObject({ instanceId: "one", name: "wait" });
    const withoutKey = new URL(location);
    withoutKey.searchParams.delete("code");
    expect((await fetch(withoutKey)).status).toBe(401);
    expect((await fetch(links.terminatePostUri.replace("{text}", "enough"), { method: "POST" })).status).toBe(202);
  });

  test("the host tells the master its state and its functions", async () => {
    const headers = { "x-functions-key": keys.master };
    const get = async (target: string): Promise<unknown> => (await fetch(host.url + target, { headers })).json();
    expect(await get("/admin/host/status")).toMatchObject({ id: "keyed", state: "Running", version: "4.1036.0" });
    expect(((await get("/admin/functions")) as { name: string }[]).map(({ name }) => name)).toEqual([
      "open",
      "keyed",
      "other",
      "guarded",
      "tick",
      "wait",
      "begin",
    ]);
    expect(await get("/admin/functions/TICK")).toMatchObject({
      name: "tick",
      href: `${host.url}/admin/functions/tick`,
      isDisabled: false,
      config: { bindings: [{ type: "timerTrigger", direction: "in", schedule: "0 0 3 * * *" }] },
    });
    expect(await status("/admin/functions/nowhere", keys.master)).toBe(404);
    expect(await status("/admin/functions/tick", keys.master, "POST")).toBe(202);
    expect(await status("/admin/functions/tick", keys.host["default"], "POST")).toBe(401);
  });

  test("no key is in the log", () => {
    const log = JSON.stringify(host.entries);
    expect([keys.master, ...Object.values(keys.host), ...Object.values(keys.system)].filter((key) => log.includes(key))).toEqual(
      [],
    );
  });
});

test("keys are made once, and kept beside the state for its owner only", () =>
  withDirectory(async (directory) => {
    const stateFile = path.join(directory, "state.sqlite");
    const first = await started({ auth: true, stateFile }, async (host) => keysOf(host));
    const second = await started({ auth: true, stateFile }, async (host) => keysOf(host));
    const file = `${stateFile}.keys.json`;
    expect(second).toEqual(first);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(first);
    expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
    expect(Object.keys(first.functions)).toEqual(["open", "keyed", "other", "guarded", "begin"]);
  }));

test("--auth without a state file is refused, since nobody would learn the keys", async () => {
  await expect(spawnHost(["--auth", "--state", ":memory:"])).rejects.toThrow(
    "--auth needs a --state FILE: its keys are kept beside it",
  );
});

test("without --auth everything is open, as under Core Tools", () =>
  started({}, async (host) => {
    const targets = ["/keyed", "/guarded", "/admin/host/status", "/admin/functions", "/runtime/webhooks/durabletask/instances/"];
    const statuses = await Promise.all(targets.map(async (target) => (await fetch(host.url + target)).status));
    expect(statuses).toEqual(targets.map(() => 200));
    expect(host.keys).toBeUndefined();
  }));

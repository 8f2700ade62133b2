/** State on disk: a start over the same directory finds everything as it was. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SecretClient } from "@azure/keyvault-secrets";
import { expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";

const secretsOf = (one: TestClouds): SecretClient =>
  new SecretClient(one.platformVault, createCredentials(one.environment, one.application).own, {
    disableChallengeResourceVerification: true,
    retryOptions: { maxRetries: 0 },
  });

test("a restart over the same directory finds addresses, keys, secrets and state as they were", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-restart-"));
  try {
    const first = await startClouds({ directory });
    await first.organize({ tenantId: contoso, domains: ["contoso.example"] });
    await first.consent(contoso);
    await secretsOf(first).setSecret("kept", "a kept value");
    const token = await first.tokenOf("partner");
    const { entra, arm, vault, control, clients, identity, environment } = first;
    const keys = await (await fetch(`${entra}/common/discovery/v2.0/keys`)).text();
    await first.stop();

    const second = await startClouds({ directory });
    expect(second).toMatchObject({ entra, arm, vault, control, clients, identity, environment });
    expect(await (await fetch(`${entra}/common/discovery/v2.0/keys`)).text()).toBe(keys);
    expect(await second.tokenOf("partner")).not.toBe(token);
    expect((await secretsOf(second).getSecret("kept")).value).toBe("a kept value");
    const graph = await createCredentials(environment, second.application)
      .inTenant(contoso)
      .getToken(`${environment.graph.audience}/.default`);
    expect(graph?.token).toBeTypeOf("string");
    expect(JSON.stringify(await second.requests())).not.toContain("a kept value");
    await second.stop();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("the process says when it is ready, and after kill -9 a new one knows what was answered", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-process-"));
  const running: ChildProcess[] = [];
  const start = async (): Promise<{ process: ChildProcess; ready: { ready: true; control: string; entra: string } }> => {
    const child = spawn(process.execPath, ["infra/local/clouds/main.ts", "--data", directory, "--tempo", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    running.push(child);
    for await (const line of createInterface({ input: child.stdout })) return { process: child, ready: JSON.parse(line) };
    throw new Error("the process ended before it was ready");
  };
  try {
    const first = await start();
    const made = await fetch(`${first.ready.control}/organizations`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ tenantId: contoso, domains: ["contoso.example"] }),
    });
    const organization: unknown = await made.json();
    first.process.kill("SIGKILL");
    await once(first.process, "exit");

    const second = await start();
    expect(second.ready).toMatchObject({ ready: true, control: first.ready.control, entra: first.ready.entra });
    const organizations: unknown = await (await fetch(`${second.ready.control}/organizations`)).json();
    expect(organizations).toMatchObject({ value: expect.arrayContaining([organization]) });
    second.process.kill("SIGTERM");
    expect(await once(second.process, "exit")).toEqual([0, null]);
  } finally {
    for (const child of running) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
});

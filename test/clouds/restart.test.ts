/** State on disk: a start over the same directory finds everything as it was. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

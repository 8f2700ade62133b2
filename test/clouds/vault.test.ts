/** The simulated Key Vault as @azure/keyvault-secrets sees it, over HTTPS. */
import { ClientSecretCredential, type TokenCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const client = (credential: TokenCredential, url = clouds.platformVault): SecretClient =>
  new SecretClient(url, credential, { disableChallengeResourceVerification: true, retryOptions: { maxRetries: 0 } });
const own = (): TokenCredential => createCredentials(clouds.environment, clouds.application).own;
const failure = async (attempt: Promise<unknown>): Promise<object> =>
  attempt.then(
    () => ({ statusCode: 200 }),
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
async function pages<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of list) all.push(one);
  return all;
}

test("a secret keeps its versions, and each is read by its id", async () => {
  const secrets = client(own());
  const first = await secrets.setSecret("loop-guid", "first value", { contentType: "text/plain", tags: { gatehouse: "yes" } });
  const second = await secrets.setSecret("loop-guid", "second value");
  expect((await secrets.getSecret("loop-guid")).value).toBe("second value");
  const read = await secrets.getSecret("loop-guid", { version: first.properties.version ?? "" });
  expect(read).toMatchObject({
    value: "first value",
    properties: {
      enabled: true,
      contentType: "text/plain",
      tags: { gatehouse: "yes" },
      vaultUrl: "https://gatehouse.vault.azure.net",
    },
  });
  const versions = await pages(secrets.listPropertiesOfSecretVersions("loop-guid"));
  expect(versions.map(({ version }) => version)).toEqual([first.properties.version, second.properties.version]);
});

test("lists come in pages", async () => {
  const secrets = client(own());
  const names = Array.from({ length: 60 }, (_, index) => `many-${String(index).padStart(2, "0")}`);
  for (const name of names) await secrets.setSecret(name, "some value");
  const listed = (await pages(secrets.listPropertiesOfSecrets())).map(({ name }) => name);
  expect(listed.filter((name) => name.startsWith("many-"))).toEqual(names);
});

test("a deleted secret is gone until it is recovered, and its name can't be used until it is purged", async () => {
  const secrets = client(own());
  await secrets.setSecret("temporary", "to be deleted");
  const poller = await secrets.beginDeleteSecret("temporary");
  expect(poller.getResult()?.recoveryId).toContain("/deletedsecrets/temporary");
  expect(await failure(secrets.getSecret("temporary"))).toMatchObject({ statusCode: 404, code: "SecretNotFound" });
  expect(await failure(secrets.setSecret("temporary", "again"))).toMatchObject({ statusCode: 409 });
  await (await secrets.beginRecoverDeletedSecret("temporary")).pollUntilDone();
  expect((await secrets.getSecret("temporary")).value).toBe("to be deleted");
  await (await secrets.beginDeleteSecret("temporary")).pollUntilDone();
  await secrets.purgeDeletedSecret("temporary");
  expect((await secrets.setSecret("temporary", "again")).value).toBe("again");
});

test("a disabled version is refused", async () => {
  const secrets = client(own());
  const { properties } = await secrets.setSecret("disabled", "some value");
  await secrets.updateSecretProperties("disabled", properties.version ?? "", { enabled: false });
  expect(await failure(secrets.getSecret("disabled"))).toMatchObject({ statusCode: 403 });
});

test("roles decide who reads and who writes", async () => {
  const identity = {
    resourceId: "/subscriptions/s/vm",
    clientId: "0b7a0000-0000-4000-8000-000000000001",
    principalId: "0b7a0000-0000-4000-8000-000000000002",
    tenantId: contoso,
  };
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"] });
  const { peers, environment } = clouds.platform;
  const before = { ...peers };
  const reader = "4633458b-17de-408a-b874-0445c86b69e6";
  const officer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7";
  let role: string | undefined = officer;
  Object.assign(peers, {
    vaultNamed: (name: string) =>
      name === "contoso-4f2a" ? { id: "/subscriptions/S/Vaults/contoso-4f2a", tenantId: contoso } : undefined,
    identities: () => [identity],
    holdsRole: (principalId: string, held: string, scope: string) =>
      principalId === identity.principalId && held === role && scope === "/subscriptions/s/vaults/contoso-4f2a",
  });
  const vm: TokenCredential = {
    getToken: async () => ({
      token: (await peers.tokenForIdentity?.(identity.clientId, environment.vault.audience)) ?? "",
      expiresOnTimestamp: Date.now() + 3_600_000,
    }),
  };
  const secrets = client(vm, clouds.vault.replace("{name}", "contoso-4f2a"));
  await secrets.setSecret("loop-guid", "a loop guid");
  role = reader;
  expect((await secrets.getSecret("loop-guid")).value).toBe("a loop guid");
  expect(await failure(secrets.setSecret("loop-guid", "another"))).toMatchObject({
    statusCode: 403,
    code: "Forbidden",
    message: expect.stringContaining("secrets/setSecret/action"),
  });
  role = undefined;
  expect(await failure(secrets.getSecret("loop-guid"))).toMatchObject({
    statusCode: 403,
    details: { error: { innerError: { code: "ForbiddenByRbac" } } },
  });
  expect(await failure(client(vm).getSecret("loop-guid"))).toMatchObject({ statusCode: 401 });
  expect(await failure(client(own(), clouds.vault.replace("{name}", "contoso-4f2a")).getSecret("loop-guid"))).toMatchObject({
    statusCode: 401,
  });
  Object.assign(peers, before);
});

test("a token for another audience is no token", async () => {
  const partner = clouds.clients[0];
  const credential = new ClientSecretCredential(partner?.tenantId ?? "", partner?.clientId ?? "", partner?.clientSecret ?? "", {
    authorityHost: clouds.environment.authorityHost,
    disableInstanceDiscovery: true,
  });
  const foreign: TokenCredential = { getToken: async () => credential.getToken(partner?.scope ?? "") };
  expect(await failure(client(foreign).getSecret("loop-guid"))).toMatchObject({ statusCode: 401 });
});

test("values are nowhere but in the answer", async () => {
  const canary = 'canary "quoted" value/with+signs';
  await client(own()).setSecret("canary", canary);
  await client(own()).setSecret("short", "abc");
  const shown = JSON.stringify([await clouds.requests(), await clouds.state("vault")]);
  expect(shown).not.toContain('canary \\\\"quoted');
  expect(shown).not.toContain("with+signs");
  expect(shown).not.toContain('"abc"');
  expect(shown).not.toMatch(/eyJ[\w-]+\.[\w-]+\./);
});

test("a vault with purge protection keeps what was deleted, and its name, until its time", async () => {
  const { peers, identity } = clouds.platform;
  const before = { ...peers };
  Object.assign(peers, {
    vaultNamed: (name: string) => ({ id: `/vaults/${name}`, tenantId: identity.homeTenantId, purgeProtection: true }),
    holdsRole: () => true,
  });
  const secrets = client(own(), clouds.vault.replace("{name}", "protected"));
  expect((await secrets.setSecret("kept", "value")).properties.recoveryLevel).toBe("Recoverable");
  await (await secrets.beginDeleteSecret("kept")).pollUntilDone();
  expect(await failure(secrets.purgeDeletedSecret("kept"))).toMatchObject({ statusCode: 403, code: "Forbidden" });
  expect(await failure(secrets.setSecret("kept", "again"))).toMatchObject({ statusCode: 409 });
  Object.assign(peers, before);
});

test("versions come in pages of 25, and too many requests in the vault's own words", async () => {
  const secrets = client(own());
  for (let version = 0; version < 27; version += 1) await secrets.setSecret("versioned", `value number ${version}`);
  const since = (await clouds.requests("vault")).at(-1)?.seq ?? 0;
  expect(await pages(secrets.listPropertiesOfSecretVersions("versioned"))).toHaveLength(27);
  expect(await clouds.requests("vault", since)).toHaveLength(2);
  await clouds.fault("vault", "throttle", { path: "versioned" });
  expect(await failure(secrets.getSecret("versioned"))).toMatchObject({ statusCode: 429, code: "Throttled" });
});

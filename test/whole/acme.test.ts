/** The gateways' certificate from an ACME server: at the onboarding, on request and in an emergency, and its keys are seen nowhere. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { freePorts } from "../../infra/local/azurite.ts";
import { accountSecrets } from "../../shared/acme/server.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createVaults } from "../../shared/vault/client.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { directoryAt, noPebble, type Pebble, startPebble } from "../support/pebble.ts";
import { blobsNow, filesIn, secretsSeen, tablesNow } from "../support/secret-search.ts";

// An onboarding, a bit longer than others.
vi.setConfig({ testTimeout: 400_000 });

const EXTERNAL = { id: "northwind-1", key: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" };
const DOMAINS = "domains";

describe.skipIf(noPebble)("with Pebble", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "gatehouse-acme-"));
  const plain = customer("contoso", "contoso");
  const [domain = ""] = plain.spec.microsoft365.domains;
  const { subscriptionId } = plain.spec.azure;
  const zone = `/subscriptions/${subscriptionId}/resourceGroups/${DOMAINS}/providers/Microsoft.Network/dnsZones/${domain}`;
  const contoso = {
    ...plain,
    body: { ...plain.body, gateway: { ...plain.body.gateway, certificate: { name: `gateway.${domain}`, acme: { zone } } } },
  };
  const { tenantId } = contoso;
  let platform: OnboardingPlatform;
  let pebble: Pebble;

  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    platform = await startOnboarding({
      settings: { ACME_DIRECTORY: directoryAt(port), ACME_CONTACT: "post@northwind.example", ACME_EXTERNAL_ACCOUNT: EXTERNAL.id },
      stateFile: path.join(directory, "durable.sqlite"),
    });
    const { clouds } = platform;
    pebble = await startPebble(clouds, { port, externalAccounts: { [EXTERNAL.id]: EXTERNAL.key }, badNonces: 15 });
    await pebble.trust();
    await vaults().write({ vaultUrl: clouds.platformVault, name: accountSecrets.externalKey, value: EXTERNAL.key });
    await platform.organize(contoso);
    await platform.asStranger(async () => {
      const { entraTenantId } = { entraTenantId: plain.spec.azure.tenantId };
      const made = await azure().read({ entraTenantId, subscriptionId }, async (clients) => {
        await (await clients.resources()).resourceGroups.createOrUpdate(DOMAINS, { location: "westeurope" });
        return (await clients.dns()).zones.createOrUpdate(DOMAINS, domain, { location: "global" });
      });
      expect(made.state).toBe("present");
    });
  });
  afterAll(async () => {
    await platform?.stop();
    await pebble?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const credentials = () => createCredentials(platform.clouds.environment, platform.clouds.application);
  const azure = () => createAzure({ environment: platform.clouds.environment, credentials: credentials() });
  const vaults = () => createVaults({ environment: platform.clouds.environment, credentials: credentials() });
  const texts = (): string[] => platform.clouds.platform.peers.publicRecords?.(`_acme-challenge.gateway.${domain}`, "TXT") ?? [];
  const ordersMade = (): number => pebble.said.filter((line) => line.includes("Added order")).length;
  const held = (): string[] =>
    platform.clouds.platform
      .collection<{ virtualMachineId: string; certificates: { thumbprint: string }[] }>("arm.guests")
      .values()
      .filter(({ virtualMachineId }) => virtualMachineId.toLowerCase().includes(subscriptionId))
      .flatMap(({ certificates }) => certificates.map(({ thumbprint }) => thumbprint));
  const credential = async () => {
    const { value } = (await platform.northwind.listCredentials({ tenantId })).body;
    return value.find(({ name }) => name === "smtpCertificate");
  };

  test("an onboarding gets it without anybody's help, and the gateway is seen to show it", async () => {
    await platform.register(contoso);
    const ended = await platform.untilEnded(await platform.start(contoso));
    expect(ended.error, JSON.stringify(ended.error)).toBeUndefined();
    expect(ended.steps.find(({ name }) => name === "certificateShown")).toMatchObject({ status: "Succeeded" });
    expect({ orders: ordersMade(), texts: texts(), held: held().length }).toEqual({ orders: 1, texts: [], held: 1 });
    expect(await credential()).toMatchObject({ state: "current", generation: 1 });
  });

  test("another onboarding and a sweep ask for nothing, since nothing is due", async () => {
    const again = await platform.untilEnded(await platform.start(contoso));
    expect(again.error).toBeUndefined();
    await platform.fire("sweepCredentials");
    expect(ordersMade()).toBe(1);
  });

  test("on request there is another, by one order, and the gateway shows it", async () => {
    const [before = ""] = held();
    const { body } = await platform.northwind.rotateCredential({ tenantId, name: "smtpCertificate", body: { emergency: true } });
    const ended = await platform.untilEnded(body);
    expect(ended.error, JSON.stringify(ended.error)).toBeUndefined();
    expect({ orders: ordersMade(), texts: texts() }).toEqual({ orders: 2, texts: [] });
    expect(held()).not.toContain(before);
    expect(await credential()).toMatchObject({ generation: 2 });
  });

  test("the account's key and that of the external account are seen nowhere", async () => {
    const reference = await vaults().first(platform.clouds.platformVault, accountSecrets.key);
    if (reference === undefined) throw new Error("there is no account");
    const key = await vaults().read(reference);
    const lines = key.split("\n").filter((line) => !line.startsWith("-----") && line !== "");
    const secrets = new Map([
      ["external account", EXTERNAL.key],
      ["account", lines.join("")],
      ...lines.map((line, at) => [`account's line ${at}`, line] as const),
    ]);
    const elsewhere = (await platform.record()).filter(({ cloud }) => cloud !== "vault");
    const { value } = (await platform.northwind.listOperations({ tenantId })).body;
    const places = {
      logs: platform.logged.join("\n"),
      tables: await tablesNow(),
      blobs: await blobsNow(),
      state: filesIn(directory),
      requests: JSON.stringify(elsewhere),
      answers: JSON.stringify(value),
      server: pebble.said.join("\n"),
    };
    const seen = Object.entries(places).map(([place, text]) => [
      place,
      secretsSeen(text, secrets).filter((what) => what !== "something that looks like a token"),
    ]);
    expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(Object.keys(places).map((place) => [place, []])));
  });
});

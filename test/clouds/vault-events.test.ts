/** Key Vault's near-expiry events: from the control door through Event Grid's shapes into the queue, for vaults of our own tenant only. */
import { readFileSync } from "node:fs";
import { SecretClient } from "@azure/keyvault-secrets";
import { ServiceBusClient } from "@azure/service-bus";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createServiceBus, type ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { parseDue } from "../../shared/messages/near-expiry.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

let bus: ServiceBus;
let clouds: TestClouds;
let client: ServiceBusClient;
beforeAll(async () => {
  bus = await createServiceBus({ queues: JSON.parse(readFileSync("infra/local/service-bus/queues.json", "utf8")) });
  clouds = await startClouds({ serviceBus: bus.connectionString });
  client = new ServiceBusClient(bus.connectionString);
});
afterAll(async () => {
  await client.close();
  await clouds.stop();
  await bus.stop();
});

const bringNear = (body: object): Promise<Response> =>
  fetch(`${clouds.control}/secrets`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

test.for(["CloudEventSchemaV1_0", "EventGridSchema"])("%s", async (schema) => {
  const secrets = new SecretClient(clouds.platformVault, createCredentials(clouds.environment, clouds.application).own, {
    disableChallengeResourceVerification: true,
  });
  const { properties } = await secrets.setSecret("signing-key", `value-for-${schema}`);
  const response = await bringNear({ vault: "gatehouse", name: "signing-key", expiresInSeconds: 3600, schema });
  expect(response.status).toBe(200);
  const [message] = await client.createReceiver("rotation", { receiveMode: "receiveAndDelete" }).receiveMessages(1);
  expect(message?.body).toEqual(((await response.json()) as { event: unknown }).event);
  expect(message?.body).toMatchObject({ data: { "ObjectName ": "signing-key", EXP: expect.stringMatching(/^\d+$/) } });
  const { version } = properties;
  expect(parseDue(message?.body)).toEqual([
    { kind: "secret", vaultUrl: "https://gatehouse.vault.azure.net", secretName: "signing-key", version, added: false },
  ]);
  const changed = await secrets.getSecret("signing-key");
  expect(changed.properties.expiresOn?.getTime()).toBeLessThan(Date.now() + 3600_000 + 2000);
});

test("a secret that isn't there is not found, and nothing is delivered", async () => {
  expect((await bringNear({ vault: "gatehouse", name: "none", expiresInSeconds: 1 })).status).toBe(404);
  expect((await bringNear({ vault: "nowhere", name: "signing-key", expiresInSeconds: 1 })).status).toBe(404);
  expect(bus.state().queues.filter(({ active }) => active > 0)).toEqual([]);
});

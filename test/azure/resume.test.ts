/**
 * Long-running work outlives the process, and the SDK, that began it: what is kept of it is ARM's own URL and a wait, nothing of the SDK's
 * poller, and whoever goes on needs neither.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Azure, createAzure } from "../../shared/azure/client.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const entraTenantId = "c0ffee00-0000-4000-8000-000000000001";
const subscriptionId = "c0ffee00-0000-4000-8000-0000000000a1";
let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: entraTenantId, domains: ["contoso.example"], mailboxes: [], subscriptionId });
});
afterAll(() => clouds?.stop());

/** As another process has it: nothing but the environment. */
const another = (): Azure =>
  createAzure({ environment: clouds.environment, credentials: createCredentials(clouds.environment, clouds.application) });

test("an operation that was begun is followed by its URL alone, by a client that never saw it", async () => {
  const subscription = { entraTenantId, subscriptionId };
  await another().read(subscription, async (clients) =>
    (await clients.resources()).resourceGroups.createOrUpdate("resumed", { location: "westeurope" }),
  );
  const begun = await another().begin("making the network", subscription, async (clients, onResponse) =>
    (await clients.network()).virtualNetworks.beginCreateOrUpdate(
      "resumed",
      "network",
      { location: "westeurope", addressSpace: { addressPrefixes: ["10.20.0.0/24"] } },
      { onResponse },
    ),
  );
  // What a durable history keeps: no mode, no request, no state of a poller.
  const kept = JSON.stringify(begun);
  expect(Object.keys(JSON.parse(kept) as object).toSorted()).toEqual(["operationUrl", "retryAfterInSeconds", "state"]);
  const { operationUrl } = JSON.parse(kept) as { operationUrl: string };
  expect(operationUrl).toContain("/providers/Microsoft.Network/locations/westeurope/operations/");

  const before = (await clouds.requests("arm")).at(-1)?.seq ?? 0;
  const resumed = another();
  let polled = await resumed.pollOperation({ entraTenantId, operationUrl });
  while (polled.status === "running") polled = await resumed.pollOperation({ entraTenantId, operationUrl });
  expect(polled).toEqual({ status: "succeeded" });
  const asked = await clouds.requests("arm", before);
  expect(new Set(asked.map(({ method, url }) => `${method} ${url}`))).toEqual(new Set([`GET ${operationUrl}`]));
});

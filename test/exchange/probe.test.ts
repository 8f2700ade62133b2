/** Exchange Online tells whether it can deliver through a connector; a gateway that doesn't answer is an answer. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import { validateOutboundConnector } from "../../shared/exchange/probe.ts";
import { OUTBOUND_CONNECTOR_NAME, outboundConnector } from "../../shared/resources/outbound-connector.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const recipient = "gatehouse-probe@contoso.example";

let clouds: TestClouds;
let exchange: Exchange;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [recipient] });
  await clouds.consent(organization);
  exchange = createExchange({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
});
afterAll(() => clouds.stop());

test("a gateway that isn't there fails the validation, with the reply that Exchange saw", async () => {
  const owner = { partnerId: "partner-1", tenantId: "contoso" };
  await outboundConnector({ exchange }).create({ owner, organization, smartHosts: ["203.0.113.7"] });
  expect(await validateOutboundConnector(exchange)(organization, OUTBOUND_CONNECTOR_NAME, recipient)).toEqual({
    succeeded: false,
    detail: expect.stringMatching(/^Check connectivity to '203\.0\.113\.7' failed: \S/),
  });
});

test("a connector that isn't there, and an Exchange that doesn't answer, are no validation", async () => {
  const validate = validateOutboundConnector(exchange);
  await expect(validate(organization, "No such connector", recipient)).rejects.toMatchObject({ code: "ExchangeObjectNotFound" });
  await clouds.fault("exchange", "503", { cmdlet: "Validate-OutboundConnector" });
  await expect(validate(organization, OUTBOUND_CONNECTOR_NAME, recipient)).rejects.toMatchObject({
    code: "ExchangeBusy",
    transient: true,
  });
});

/** A trial, new or restricted organisation: Microsoft makes its inbound connectors disabled until support enables them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Connector } from "../../infra/local/clouds/exchange/store.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

test("an onboarding there ends at once and says what to do; once support has enabled it, the next one takes up what stands", async () => {
  const contoso = customer("contoso");
  const { organization } = contoso.watched;
  await platform.organize(contoso);
  await platform.clouds.organize({ tenantId: organization, exchange: { inboundConnectorsDisabled: true } });
  const held = await platform.onboard(contoso);
  expect(held).toMatchObject({
    status: "Failed",
    error: { code: "InboundConnectorHeldBack", message: expect.stringContaining("Microsoft's support") },
  });
  const step = held.steps.find(({ name }) => name === "inboundConnector");
  expect(step).toMatchObject({ status: "Failed", error: { code: "InboundConnectorHeldBack" } });
  const planned = async () => (await platform.northwind.planOnboarding({ tenantId: contoso.tenantId })).body;
  // What was just made isn't in the first answer.
  await planned();
  expect((await planned()).findings).toContainEqual(expect.objectContaining({ code: "ConnectorDisabled", severity: "error" }));
  const { conditions } = (await platform.northwind.getTenant({ tenantId: contoso.tenantId })).body;
  expect(conditions.find(({ type }) => type === "Ready")).toMatchObject({ status: "False", reason: "InboundConnectorHeldBack" });

  await platform.clouds.organize({ tenantId: organization, exchange: { inboundConnectorsDisabled: false } });
  const connectors = platform.clouds.platform.collection<Connector>("exchange.inbound-connectors");
  for (const [key, connector] of connectors.entries())
    connectors.set(key, { ...connector, settings: { ...connector.settings, Enabled: true } });
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(again.steps.find(({ name }) => name === "inboundConnector")).toMatchObject({ change: "unchanged" });
});

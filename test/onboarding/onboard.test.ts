/** A tenant goes from nothing to proven mail flow, exactly as its spec says; asked a second time, nothing changes. */
import { createHttpPoller, type OperationResponse } from "@azure/core-lro";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Connector } from "../../infra/local/clouds/exchange/store.ts";
import { type Operation, operationSchema } from "../../shared/api/operation.ts";
import { oneOfEach } from "../support/estate.ts";
import { violations } from "../support/invariants.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const contoso = customer("contoso");
const fabrikam = customer("fabrikam");
const changesOf = ({ steps }: Operation): (string | undefined)[] => [...new Set(steps.map(({ change }) => change))];

describe("contoso, from nothing to the pilot", () => {
  let operation: Operation;
  beforeAll(async () => {
    operation = await platform.onboard(contoso);
  });

  test("every step succeeds, and the result says what mail runs through", async () => {
    expect(operation.error).toBeUndefined();
    expect(operation).toMatchObject({
      status: "Succeeded",
      percentComplete: 100,
      kind: "onboarding",
      tenantId: contoso.tenantId,
    });
    const others = operation.steps.filter(({ status }) => status !== "Succeeded");
    // West Europe has zones, so that no set is needed.
    expect(others.map(({ name, status }) => `${name}: ${status}`)).toEqual(["availabilitySet: Skipped"]);
    expect(operation.waitingFor).toBeUndefined();
    const { publicIpAddress } = await platform.estate(contoso);
    expect(operation.result).toMatchObject({
      stage: "pilot",
      gateway: publicIpAddress?.fqdn,
      egressIps: [publicIpAddress?.address],
      pilots: ["pilot@contoso.example"],
    });
  });

  test("the probe mail's hops lead out of Exchange Online, through the gateway, and back", async () => {
    const { fqdn = "", address = "" } = (await platform.estate(contoso)).publicIpAddress ?? {};
    const { proof } = operation.result as { proof: { mailbox: string; header: string; hops: string[] } };
    expect(proof).toMatchObject({ mailbox: "gatehouse-probe@contoso.example", header: "X-iqsuite-process" });
    expect(proof.hops).toEqual([
      expect.stringContaining("with mapi"),
      expect.stringContaining(`by ${fqdn} with Microsoft SMTPSVC`),
      expect.stringContaining(`from ${fqdn} (${address})`),
    ]);
  });

  test("the tenant is in the pilot, and its conditions say why", async () => {
    const { body: tenant } = await platform.northwind.getTenant({ tenantId: contoso.tenantId });
    expect(tenant.stage).toBe("pilot");
    expect(Object.fromEntries(tenant.conditions.map(({ type, status, reason }) => [type, `${status}: ${reason}`]))).toEqual({
      Ready: "True: Onboarded",
      ConsentGranted: "True: Proven",
      AzureAccessGranted: "True: Proven",
      MailFlowConnected: "True: LoopProven",
      MailFlowUndisturbed: "True: NothingFound",
      GatewayHealthy: "True: LoopProven",
    });
  });

  test("the clouds hold one of each thing, and nothing else", async () => {
    const { azure, exchange, directory, secrets, addresses } = await platform.estate(contoso);
    expect({ azure, exchange, directory, secrets }).toEqual(oneOfEach);
    expect(addresses).toEqual({
      inboundConnector: operation.result?.["egressIps"],
      connectionFilter: operation.result?.["egressIps"],
      smartHosts: [operation.result?.["gateway"]],
      forwarded: ["gatehouse-probe@contoso.example", "pilot@contoso.example"],
    });
  });

  test("the vault's loop GUID is the one in the gateway's registry and in both rules", async () => {
    const { vault, registry, approvalRule, forwardingRule } = (await platform.estate(contoso)).loopGuid;
    expect(vault).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect({ registry, approvalRule, forwardingRule }).toEqual({
      registry: `X-iqsuite-process:${vault}`,
      approvalRule: [vault],
      forwardingRule: [vault],
    });
  });

  test("no safety invariant was violated on the way", async () => {
    expect(violations(await platform.record(), contoso.watched)).toEqual([]);
  });

  test("onboarded again it finds everything as it should be and writes to no cloud", async () => {
    const before = await platform.now();
    const again = await platform.untilEnded(await platform.start(contoso));
    expect(again.error).toBeUndefined();
    expect(again.status).toBe("Succeeded");
    expect(writes(await platform.record(before))).toEqual([]);
    expect(changesOf(again).filter((change) => change !== undefined)).toEqual(["unchanged"]);
    expect(again.result).toEqual(operation.result);
    expect(await platform.estate(contoso)).toMatchObject(oneOfEach);
  });

  test("what somebody changed by hand is put right, and nothing else is touched", async () => {
    const before = await platform.now();
    const connectors = platform.clouds.platform.collection<Connector>("exchange.inbound-connectors");
    for (const [id, connector] of connectors.entries())
      connectors.set(id, { ...connector, settings: { ...connector.settings, SenderIPAddresses: ["198.51.100.7"] } });
    const repaired = await platform.untilEnded(await platform.start(contoso));
    expect(repaired.error).toBeUndefined();
    expect(repaired.steps.filter(({ change }) => change === "updated" || change === "created").map(({ name }) => name)).toEqual([
      "inboundConnector",
    ]);
    // Where a replica still shows what was there before, the same is written once more.
    const written = writes(await platform.record(before)).filter((line) => !line.startsWith("mail"));
    expect([...new Set(written.map((line) => line.split(" ")[0]))]).toEqual(["exchange"]);
  });
});

describe("fabrikam, with other wishes", () => {
  test("is driven to its pilot by Azure's own poller, as any Azure SDK would", async () => {
    await platform.organize(fabrikam);
    await platform.clouds.consent(fabrikam.watched.organization);
    await platform.register(fabrikam);
    const token = await platform.clouds.tokenOf("partner");
    const call = async (method: string, address: string): Promise<OperationResponse<Operation>> => {
      const response = await fetch(new URL(address, platform.url), { method, headers: { authorization: `Bearer ${token}` } });
      const body = operationSchema.parse(await response.json());
      const rawResponse = { statusCode: response.status, headers: Object.fromEntries(response.headers), body };
      return { flatResponse: body, rawResponse: { ...rawResponse, request: { method, url: response.url } } };
    };
    const seen = new Set<string>();
    const poller = createHttpPoller({
      sendInitialRequest: () => call("POST", `/api/tenants/${fabrikam.tenantId}/onboard?api-version=2026-11-01`),
      sendPollRequest: (address) => call("GET", address),
    });
    poller.onProgress(({ status }) => seen.add(status));
    const operation = await poller.pollUntilDone();
    expect([...seen]).toEqual(["running", "succeeded"]);
    expect(operation).toMatchObject({ status: "Succeeded", tenantId: fabrikam.tenantId });
  });

  test("has its own region, pilots and domains, and no connection filter", async () => {
    const { azure, publicIpAddress, exchange, addresses } = await platform.estate(fabrikam);
    expect(azure).toEqual(oneOfEach.azure);
    expect(exchange).toEqual(oneOfEach.exchange);
    expect(publicIpAddress).toMatchObject({
      region: "germanywestcentral",
      fqdn: expect.stringContaining(".germanywestcentral."),
    });
    expect(addresses).toMatchObject({
      connectionFilter: [],
      forwarded: ["first@fabrikam.example", "probe@fabrikam.example", "second@mail.fabrikam.example"],
    });
  });

  test("admits exactly the manual's rules of the services that it named", async () => {
    expect((await platform.estate(fabrikam)).admitted).toEqual([
      "110 SMTP 25/Tcp from *",
      "121 KeyManager 8080/* from 198.51.100.0/24",
      "124 HTTP 80/Tcp from *",
      "134 HTTPS 443/Tcp from *",
    ]);
    expect((await platform.estate(contoso)).admitted).toEqual([
      "100 RDP 3389/Tcp from 203.0.113.0/24",
      "110 SMTP 25/Tcp from *",
      "134 HTTPS 443/Tcp from *",
    ]);
  });

  test("no safety invariant was violated on the way", async () => {
    expect(violations(await platform.record(), fabrikam.watched)).toEqual([]);
  });
});

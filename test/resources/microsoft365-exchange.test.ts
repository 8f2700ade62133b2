/** The resources of Exchange Online: what is special to each beside the conformance suite. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import { approvalRule } from "../../shared/resources/approval-rule.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { forwardingRule } from "../../shared/resources/forwarding-rule.ts";
import { guardRule } from "../../shared/resources/guard-rule.ts";
import { inboundConnector } from "../../shared/resources/inbound-connector.ts";
import { OUTBOUND_CONNECTOR_NAME, outboundConnector } from "../../shared/resources/outbound-connector.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import { fingerprint } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const vaultTenantId = organization;
const owner = { partnerId: "partner-1", tenantId: "contoso" };
const loopHeader = "X-iqsuite-process";
const LOOP_GUID = "5f0c3c1e-2d7a-4a41-9c1f-0d2b6f3e8a77";
const loopGuid: SecretReference = { vaultUrl: "https://contoso.vault.example", name: "loop-guid", version: "1" };
const egressIps = ["203.0.113.7"];
const smartHosts = ["contoso-gw.westeurope.cloudapp.azure.com"];
const scope = { mailboxes: ["gatehouse-probe@contoso.example"] };

// The vault is another subject: here it holds one secret.
const vaults = {
  read: async () => LOOP_GUID,
  seal: async (value: string, [reference]: readonly SecretReference[]) =>
    value === LOOP_GUID && reference ? reference : fingerprint(value, "loop-guid"),
};

let clouds: TestClouds;
let exchange: Exchange;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: ["gatehouse-probe@contoso.example"] });
  await clouds.consent(organization);
  exchange = createExchange({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
});
afterAll(() => clouds.stop());

const ensure = <Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired) =>
  ensuring(resource, async () => {})(desired);
const writesSince = async (since: number): Promise<number> =>
  (await clouds.requests("exchange", since)).filter(({ effect }) => effect === "write").length;
const seen = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;

describe("inbound connector", () => {
  const desired = { owner, organization, egressIps };
  test("a private address is refused before anything is written", async () => {
    const before = await seen();
    await expect(ensure(inboundConnector({ exchange }), { ...desired, egressIps: ["10.0.0.4"] })).rejects.toMatchObject({
      code: "EgressAddressPrivate",
      transient: false,
    });
    expect(await writesSince(before)).toBe(0);
  });
});

describe("outbound connector", () => {
  const desired = { owner, organization, smartHosts };
  test("it is scoped to rules from its birth", async () => {
    const before = await seen();
    await ensure(outboundConnector({ exchange }), desired);
    const created = (await clouds.requests("exchange", before)).find(({ effect }) => effect === "write");
    expect(created?.requestBody).toMatchObject({
      CmdletInput: { CmdletName: "New-OutboundConnector", Parameters: { IsTransportRuleScoped: true, UseMXRecord: false } },
    });
    await outboundConnector({ exchange }).remove(desired);
  });

  test("without a smart host it is refused", async () => {
    await expect(ensure(outboundConnector({ exchange }), { ...desired, smartHosts: [] })).rejects.toMatchObject({
      code: "SmartHostMissing",
    });
  });
});

describe("transport rules", () => {
  const approval = { owner, organization, loopHeader, loopGuid, vaultTenantId, egressIps };
  const guard = { owner, organization, loopHeader, egressIps };
  const forwarding = {
    owner,
    organization,
    loopHeader,
    loopGuid,
    vaultTenantId,
    outboundConnector: OUTBOUND_CONNECTOR_NAME,
    egressIps,
    scope,
  };
  beforeAll(async () => {
    await ensure(outboundConnector({ exchange }), { owner, organization, smartHosts });
  });
  const rules = async () => exchange.list(organization, "Get-TransportRule", {});

  describe("forwarding rule", () => {
    test("it never exists without a scope", async () => {
      const before = await seen();
      await expect(
        ensure(forwardingRule({ exchange, vaults }), { ...forwarding, scope: { mailboxes: [] } }),
      ).rejects.toMatchObject({
        code: "ForwardingScopeMissing",
        transient: false,
      });
      expect(await writesSince(before)).toBe(0);
    });

    test("the connector is the same by name and by GUID", async () => {
      const subject = forwardingRule({ exchange, vaults });
      await ensure(subject, forwarding);
      const [connector] = await exchange.list(organization, "Get-OutboundConnector", { Identity: OUTBOUND_CONNECTOR_NAME });
      expect(await ensure(subject, { ...forwarding, outboundConnector: connector?.Guid ?? "" })).toMatchObject({
        change: "unchanged",
      });
      await subject.remove(forwarding);
    });

    test("a rule that looks for another secret shows its fingerprint", async () => {
      const subject = forwardingRule({ exchange, vaults });
      await ensure(subject, forwarding);
      await exchange.run(organization, "Set-TransportRule", {
        Identity: "Route all Mails to own Azure VM",
        ExceptIfHeaderContainsWords: ["yesterdays-guid"],
      });
      const observed = await subject.observe(forwarding);
      expect(observed.state === "present" && subject.diff(forwarding, observed.actual)).toEqual([
        { path: "loopGuid", from: { fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/) }, to: loopGuid },
      ]);
      await subject.remove(forwarding);
    });

    test("without the vault a rule that is there is unknown, and one that isn't is absent", async () => {
      const refusal = new ControlPlaneError("VaultAccessSettling", "reading the secret loop-guid: Forbidden", 503, true);
      const closed = forwardingRule({
        exchange,
        vaults: { read: () => Promise.reject(refusal), seal: () => Promise.reject(refusal) },
      });
      expect(await closed.observe(forwarding)).toEqual({ state: "absent" });
      await expect(ensure(closed, forwarding)).rejects.toMatchObject({ code: "VaultAccessSettling" });
      expect(await rules()).toEqual([]);
      await ensure(forwardingRule({ exchange, vaults }), forwarding);
      expect(await closed.observe(forwarding)).toMatchObject({ state: "unknown", reason: { code: "VaultAccessSettling" } });
      await closed.remove(forwarding);
    });
  });

  test("ours stand guard, forwarding, approval, whichever is made first; other people's keep their order; a moved one goes back", async () => {
    const theirs = ["Their disclaimer", "Their encryption"];
    for (const Name of theirs)
      await exchange.run(organization, "New-TransportRule", { Name, SetSCL: "0", From: ["their@contoso.example"] });
    const subjects = {
      guard: guardRule({ exchange }),
      forwarding: forwardingRule({ exchange, vaults }),
      approval: approvalRule({ exchange, vaults }),
    };
    await ensure(subjects.approval, approval);
    await ensure(subjects.guard, guard);
    await ensure(subjects.forwarding, forwarding);
    const names = async () => (await rules()).map(({ Name }) => Name);
    const expected = [
      "Guard loop header of own Azure VM",
      "Route all Mails to own Azure VM",
      "Approve all Mails from own SMTP Server on Azure VM",
    ];
    const ours = async () => (await names()).filter((name) => expected.includes(name));
    expect(await ours()).toEqual(expected);
    expect((await names())[0]).toBe(expected[0]);
    expect((await names()).filter((name) => theirs.includes(name))).toEqual(theirs);

    await exchange.run(organization, "Set-TransportRule", { Identity: expected[0] ?? "", Priority: 4 });
    expect(await ensure(subjects.guard, guard)).toMatchObject({ change: "updated", actual: { order: "kept" } });
    expect(await ours()).toEqual(expected);
    expect(await ensure(subjects.forwarding, forwarding)).toMatchObject({ change: "unchanged" });
    expect((await names()).filter((name) => theirs.includes(name))).toEqual(theirs);
    for (const Identity of theirs) await exchange.run(organization, "Remove-TransportRule", { Identity });
    await subjects.forwarding.remove(forwarding);
    await subjects.guard.remove(guard);
    await subjects.approval.remove(approval);
    expect(await rules()).toEqual([]);
  });
});

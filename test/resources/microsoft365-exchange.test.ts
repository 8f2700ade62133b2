/** The resources of Exchange Online over the wire: made, found true, changed by a stranger, repaired, removed twice. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import type { WriteCmdlet } from "../../shared/exchange/cmdlets.ts";
import { approvalRule } from "../../shared/resources/approval-rule.ts";
import { connectionFilter } from "../../shared/resources/connection-filter.ts";
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

/** What a stranger does with a cmdlet, as far as our own typed client lets him. */
interface Case<Desired, Actual> {
  resource: () => Resource<Desired, Actual>;
  desired: Desired;
  drift: () => Promise<unknown>;
  drifted: string[];
  /** Cmdlets that make, change and remove it. */
  writes: [WriteCmdlet, WriteCmdlet, WriteCmdlet];
}

const lives = <Desired, Actual>({ resource, desired, drift, drifted, writes }: Case<Desired, Actual>): void => {
  test("is made, found true, repaired after a drift, and removed twice", async () => {
    const subject = resource();
    expect(await subject.observe(desired)).toEqual({ state: "absent" });
    const made = await ensure(subject, desired);
    expect(made).toMatchObject({ change: "created" });

    const before = await seen();
    expect(await ensure(subject, desired)).toMatchObject({ change: "unchanged" });
    expect(await writesSince(before)).toBe(0);

    await drift();
    const observed = await subject.observe(desired);
    expect(observed.state === "present" && subject.diff(desired, observed.actual).map(({ path }) => path)).toEqual(drifted);
    expect(await ensure(subject, desired)).toMatchObject({ change: "updated", actual: "actual" in made ? made.actual : {} });
    expect(JSON.stringify(await subject.observe(desired))).not.toContain(LOOP_GUID);

    expect(await subject.remove(desired)).toEqual({ state: "done" });
    expect(await subject.observe(desired)).toEqual({ state: "absent" });
    const after = await seen();
    expect(await subject.remove(desired)).toEqual({ state: "done" });
    expect(await writesSince(after)).toBe(0);
  });

  test("a write whose answer was lost is found by the next run, and made once", async () => {
    const subject = resource();
    const [make, change, remove] = writes;
    const lost = { code: "ExchangeOutcomeUnknown", transient: true };
    await clouds.fault("exchange", "cut-after-effect", { cmdlet: make });
    await expect(ensure(subject, desired)).rejects.toMatchObject(lost);
    expect(await ensure(subject, desired)).toMatchObject({ change: "unchanged" });
    await drift();
    await clouds.fault("exchange", "cut-after-effect", { cmdlet: change });
    await expect(ensure(subject, desired)).rejects.toMatchObject(lost);
    await ensure(subject, desired);
    expect(await ensure(subject, desired)).toMatchObject({ change: "unchanged" });
    await clouds.fault("exchange", "cut-after-effect", { cmdlet: remove });
    await expect(subject.remove(desired)).rejects.toMatchObject(lost);
    expect(await subject.remove(desired)).toEqual({ state: "done" });
    expect(await subject.observe(desired)).toEqual({ state: "absent" });
  });
};

describe("inbound connector", () => {
  const desired = { owner, organization, egressIps };
  lives({
    resource: () => inboundConnector({ exchange }),
    desired,
    drift: () =>
      exchange.run(organization, "Set-InboundConnector", {
        Identity: "FROM Azure VM to M365",
        SenderIPAddresses: ["198.51.100.1"],
        Enabled: false,
      }),
    drifted: ["enabled", "senderIpAddresses"],
    writes: ["New-InboundConnector", "Set-InboundConnector", "Remove-InboundConnector"],
  });

  test("a private address is refused before anything is written", async () => {
    const before = await seen();
    await expect(ensure(inboundConnector({ exchange }), { ...desired, egressIps: ["10.0.0.4"] })).rejects.toMatchObject({
      code: "EgressAddressPrivate",
      transient: false,
    });
    expect(await writesSince(before)).toBe(0);
  });

  test("a stranger's connector with our name is for a person; removing leaves it alone", async () => {
    const name = "FROM Azure VM to M365";
    await exchange.run(organization, "New-InboundConnector", { Name: name, SenderDomains: ["*"], Comment: "made by hand" });
    const subject = inboundConnector({ exchange });
    expect(await subject.observe(desired)).toEqual({
      state: "unknown",
      reason: {
        code: "ForeignObject",
        message: `a connector named "${name}" exists that Gatehouse did not make; rename or remove it, then retry`,
      },
    });
    const before = await seen();
    await expect(ensure(subject, desired)).rejects.toMatchObject({ code: "ForeignObject", status: 409 });
    await expect(subject.remove(desired)).rejects.toMatchObject({ code: "ForeignObject" });
    expect(await writesSince(before)).toBe(0);
    await exchange.run(organization, "Remove-InboundConnector", { Identity: name });
  });

  test("ours is found under another name, and named as it was", async () => {
    const subject = inboundConnector({ exchange });
    await ensure(subject, desired);
    await exchange.run(organization, "Set-InboundConnector", { Identity: "FROM Azure VM to M365", Name: "Renamed" });
    expect(await ensure(subject, desired)).toMatchObject({ change: "updated", actual: { name: "FROM Azure VM to M365" } });
    await subject.remove(desired);
  });

  test("a failed read is unknown, and nothing is written", async () => {
    const before = await seen();
    for (const fault of ["cut-before-effect", "503", "html", "429"]) {
      await clouds.fault("exchange", fault, { cmdlet: "Get-InboundConnector" });
      await expect(ensure(inboundConnector({ exchange }), desired)).rejects.toMatchObject({ status: 503, transient: true });
    }
    expect(await writesSince(before)).toBe(0);
  });
});

describe("outbound connector", () => {
  const desired = { owner, organization, smartHosts };
  lives({
    resource: () => outboundConnector({ exchange }),
    desired,
    drift: () =>
      exchange.run(organization, "Set-OutboundConnector", {
        Identity: OUTBOUND_CONNECTOR_NAME,
        SmartHosts: ["elsewhere.example"],
        TlsSettings: "CertificateValidation",
      }),
    drifted: ["smartHosts", "tlsSettings"],
    writes: ["New-OutboundConnector", "Set-OutboundConnector", "Remove-OutboundConnector"],
  });

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

describe("connection filter", () => {
  const desired = { owner, organization, egressIps: ["203.0.113.7", "203.0.113.8"] };
  const listed = async (): Promise<string[]> =>
    (await exchange.list(organization, "Get-HostedConnectionFilterPolicy", { Identity: "Default" }))[0]?.IPAllowList.toSorted() ??
    [];
  const theirs = ["192.0.2.10", "192.0.2.11"];
  beforeEach(async () => {
    await exchange.run(organization, "Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: { Add: theirs } });
  });
  lives({
    resource: () => connectionFilter({ exchange }),
    desired,
    drift: () =>
      exchange.run(organization, "Set-HostedConnectionFilterPolicy", {
        Identity: "Default",
        IPAllowList: { Remove: ["203.0.113.8"] },
      }),
    drifted: ["allowed"],
    writes: ["Set-HostedConnectionFilterPolicy", "Set-HostedConnectionFilterPolicy", "Set-HostedConnectionFilterPolicy"],
  });

  test("the customer's own entries stay through all of it", async () => {
    const subject = connectionFilter({ exchange });
    await ensure(subject, desired);
    expect(await listed()).toEqual([...theirs, ...desired.egressIps]);
    await subject.remove(desired);
    expect(await listed()).toEqual(theirs);
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
    scope,
  };
  beforeAll(async () => {
    await ensure(outboundConnector({ exchange }), { owner, organization, smartHosts });
  });
  const rules = async () => exchange.list(organization, "Get-TransportRule", {});

  describe("guard rule", () => {
    lives({
      resource: () => guardRule({ exchange }),
      desired: guard,
      drift: () =>
        exchange.run(organization, "Set-TransportRule", {
          Identity: "Guard loop header of own Azure VM",
          ExceptIfSenderIpRanges: ["198.51.100.1"],
          StopRuleProcessing: true,
        }),
      drifted: ["stopRuleProcessing", "exceptIfSenderIpRanges"],
      writes: ["New-TransportRule", "Set-TransportRule", "Remove-TransportRule"],
    });
  });

  describe("approval rule", () => {
    lives({
      resource: () => approvalRule({ exchange, vaults }),
      desired: approval,
      drift: async () => {
        const Identity = "Approve all Mails from own SMTP Server on Azure VM";
        await exchange.run(organization, "Set-TransportRule", {
          Identity,
          FromScope: null,
          HeaderContainsWords: ["another-guid"],
        });
        await exchange.run(organization, "Disable-TransportRule", { Identity });
      },
      drifted: ["enabled", "fromScope", "loopGuid"],
      writes: ["New-TransportRule", "Set-TransportRule", "Remove-TransportRule"],
    });
  });

  describe("forwarding rule", () => {
    lives({
      resource: () => forwardingRule({ exchange, vaults }),
      desired: forwarding,
      drift: () =>
        exchange.run(organization, "Set-TransportRule", {
          Identity: "Route all Mails to own Azure VM",
          From: ["everybody@contoso.example"],
          SentToScope: "NotInOrganization",
          ExceptIfMessageTypeMatches: null,
        }),
      drifted: ["from", "sentToScope", "exceptMessageType"],
      writes: ["New-TransportRule", "Set-TransportRule", "Remove-TransportRule"],
    });

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

/** Exchange Online's REST endpoint, with requests written by hand from the research on its wire format (chapters 1.3 to 1.10). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { exchangeAdministrator } from "../../infra/local/clouds/entra/first-party.ts";
import { createStore } from "../../infra/local/clouds/exchange/store.ts";
import { exchangeOf, type ExchangeCaller, valueOf } from "../support/exchange.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const fabrikam = "fab00000-0000-4000-8000-000000000002";

let clouds: TestClouds;
let exchange: ExchangeCaller;
let now = Date.parse("2026-03-01T08:00:00Z");

beforeAll(async () => {
  clouds = await startClouds({ tempo: 1, now: () => now });
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  await clouds.organize({ tenantId: fabrikam, domains: ["fabrikam.example"] });
  await clouds.consent(contoso);
  await clouds.consent(fabrikam);
  exchange = await exchangeOf(clouds, contoso);
});
afterAll(() => clouds.stop());

beforeEach(async () => {
  for (const rule of await exchange.list("Get-TransportRule"))
    await exchange.run("Remove-TransportRule", { Identity: rule["Guid"], Confirm: false });
  for (const scoped of [true, false])
    for (const connector of await exchange.list("Get-OutboundConnector", {
      IsTransportRuleScoped: scoped,
      IncludeTestModeConnectors: true,
    }))
      await exchange.run("Remove-OutboundConnector", { Identity: connector["Guid"], Confirm: false });
  for (const connector of await exchange.list("Get-InboundConnector"))
    await exchange.run("Remove-InboundConnector", { Identity: connector["Guid"], Confirm: false });
  await exchange.run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: [] });
});

const inbound = {
  Name: "FROM Azure VM to M365",
  ConnectorType: "OnPremises",
  SenderDomains: ["*"],
  SenderIPAddresses: ["203.0.113.7"],
};
const outbound = {
  Name: "M365 to Azure VM",
  ConnectorType: "OnPremises",
  IsTransportRuleScoped: true,
  UseMXRecord: false,
  SmartHosts: ["gw.westeurope.cloudapp.azure.example"],
  TlsSettings: "EncryptionOnly",
};
const text = async (cmdlet: string, parameters: Record<string, unknown>): Promise<string> => {
  const { status, body } = await exchange.call(cmdlet, parameters);
  if (typeof body !== "object" || body === null || !("error" in body)) return `${status}: no error`;
  const { details } = body.error as { details: { message: string }[] };
  return `${status}: ${details[0]?.message ?? ""}`;
};
const sharing = "d15ab1ed-0000-4000-8000-000000000003";

describe("who may ask", () => {
  const post = (tenantId: string, headers: Record<string, string>): Promise<Response> =>
    fetch(`${clouds.exchange}/adminapi/v1.0/${tenantId}/InvokeCommand`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-anchormailbox": `APP:SystemMailbox{x}@${tenantId}`, ...headers },
      body: JSON.stringify({ CmdletInput: { CmdletName: "Get-AcceptedDomain", Parameters: {} } }),
    });

  test("without a token, with another tenant's, or for a tenant that isn't there: 401", async () => {
    expect((await post(contoso, {})).status).toBe(401);
    expect((await post(fabrikam, { authorization: `Bearer ${exchange.token}` })).status).toBe(401);
    expect((await post(contoso, { authorization: `Bearer ${exchange.token}` })).status).toBe(200);
  });

  test("without a management role the body says which cmdlet isn't allowed, and the module file is empty", async () => {
    const other = await exchangeOf(clouds, fabrikam);
    const directory = createDirectory(clouds.platform);
    const role = directory
      .directoryRoleAssignments(fabrikam)
      .find(({ roleDefinitionId }) => roleDefinitionId === exchangeAdministrator);
    directory.deleteDirectoryRole(fabrikam, role?.id ?? "");
    const { status, body } = await other.call("Get-InboundConnector");
    expect({ status, body }).toEqual({
      status: 401,
      body: { error: { code: "Unauthorized", message: "User is not allowed to call Get-InboundConnector" } },
    });
  });

  test("the module file lists what the application may run", async () => {
    const answer = await fetch(`${clouds.exchange}/adminapi/v1.0/${contoso}/EXOModuleFile?Version=3.9.2`, {
      headers: { authorization: `Bearer ${exchange.token}`, commandname: "*" },
    });
    const [{ exportedCmdlets } = { exportedCmdlets: "" }] = valueOf(await answer.json());
    expect(String(exportedCmdlets).split(",")).toEqual(
      expect.arrayContaining(["New-InboundConnector", "Validate-OutboundConnector"]),
    );
  });
});

describe("binding", () => {
  test("an unknown parameter is refused in the pipe-delimited shape", async () => {
    expect(await text("New-InboundConnector", { ...inbound, Colour: "red" })).toBe(
      "400: |System.Management.Automation.ParameterBindingException|A parameter cannot be found that matches parameter name 'Colour'.",
    );
    expect(await text("Set-TransportRule", { Identity: "x", Enabled: true })).toContain("parameter name 'Enabled'");
  });

  test("the anchor mailbox is required, and the header must name the body's cmdlet", async () => {
    expect((await exchange.call("Get-AcceptedDomain", {}, { headers: { "x-anchormailbox": "" } })).status).toBe(400);
    expect((await exchange.call("Get-AcceptedDomain", {}, { headers: { "x-cmdletname": "Get-TransportRule" } })).status).toBe(
      400,
    );
  });

  test("types and mandatory parameters are checked, names go without case", async () => {
    expect(await text("New-InboundConnector", { Name: "x" })).toContain("missing mandatory parameters: SenderDomains");
    expect(await text("New-InboundConnector", { ...inbound, Enabled: "yes" })).toContain(
      "Cannot process argument transformation on parameter 'Enabled'",
    );
    expect(await text("New-InboundConnector", { ...inbound, ConnectorType: "Sideways" })).toContain(
      "Specify one of the following enumerator names",
    );
    expect(await text("New-InboundConnector", { ...inbound, Name: "n".repeat(65) })).toContain("The maximum length is 64");
    expect((await exchange.call("new-inboundconnector", { ...inbound, name: undefined, NAME: "odd case" })).status).toBe(200);
  });

  test("a hashtable without its tag is a JSON object that nothing can be made of", async () => {
    expect(
      await text("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: { Add: ["203.0.113.7"] } }),
    ).toMatch(/^400: .*JObject/);
  });

  test("null can't be a Boolean", async () => {
    expect(await text("New-OutboundConnector", { ...outbound, Enabled: null })).toContain("System.Boolean");
  });
});

describe("connectors", () => {
  test("an inbound connector comes back with normalised sender domains, a Guid and noise", async () => {
    await exchange.run("New-InboundConnector", inbound);
    const [connector] = await exchange.list("Get-InboundConnector", { Identity: inbound.Name });
    expect(connector).toMatchObject({
      SenderDomains: ["smtp:*;1"],
      SenderIPAddresses: ["203.0.113.7"],
      Enabled: true,
      Guid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      "SenderDomains@odata.type": "#Collection(String)",
    });
  });

  test.each([
    [{ SenderIPAddresses: ["10.0.0.4"] }, "private address"],
    [{ SenderIPAddresses: ["203.0.0.0/16"] }, "from /24 to /32"],
    [{ SenderIPAddresses: ["2001:db8::1"] }, "isn't valid"],
    [{ ConnectorType: "Partner", TreatMessagesAsInternal: true }, "TreatMessagesAsInternal"],
    [{ TreatMessagesAsInternal: true, CloudServicesMailEnabled: true }, "TreatMessagesAsInternal"],
  ])("an inbound connector with %j is refused", async (change, words) => {
    expect(await text("New-InboundConnector", { ...inbound, ...change })).toContain(words);
  });

  test.each([
    [{ UseMXRecord: true }, "UseMXRecord"],
    [{ SmartHosts: [] }, "SmartHosts parameter is required"],
    [{ ConnectorType: "Partner", SenderRewritingEnabled: true }, "can only be specified for Connector type OnPremises"],
    [{ TlsDomain: "gw.example" }, "TlsSettings is DomainValidation"],
  ])("an outbound connector with %j is refused", async (change, words) => {
    expect(await text("New-OutboundConnector", { ...outbound, ...change })).toContain(words);
  });

  test("a rule-scoped connector shows by identity or with the filter, a test-mode one by identity only", async () => {
    await exchange.run("New-OutboundConnector", outbound);
    expect(await exchange.list("Get-OutboundConnector")).toEqual([]);
    expect(await exchange.list("Get-OutboundConnector", { IsTransportRuleScoped: true })).toHaveLength(1);
    expect(await exchange.list("Get-OutboundConnector", { Identity: outbound.Name })).toHaveLength(1);
    await exchange.run("Set-OutboundConnector", { Identity: outbound.Name, TestMode: true });
    expect(await exchange.list("Get-OutboundConnector", { IsTransportRuleScoped: true })).toEqual([]);
    expect(
      await exchange.list("Get-OutboundConnector", { IsTransportRuleScoped: true, IncludeTestModeConnectors: true }),
    ).toHaveLength(1);
  });

  test("a setter is void, and changes what it was given only", async () => {
    await exchange.run("New-OutboundConnector", { ...outbound, Comment: "ours" });
    expect(await exchange.run("Set-OutboundConnector", { Identity: outbound.Name, IsValidated: true })).toMatchObject({
      value: [],
    });
    const [connector] = await exchange.list("Get-OutboundConnector", { Identity: outbound.Name });
    expect(connector).toMatchObject({ IsValidated: true, Comment: "ours", SmartHosts: outbound.SmartHosts });
  });

  test("a name is taken once; what isn't there is a 404 that says so", async () => {
    await exchange.run("New-InboundConnector", inbound);
    expect(await text("New-InboundConnector", inbound)).toContain("AlreadyExistsException");
    expect(await text("Get-InboundConnector", { Identity: "nobody" })).toMatch(
      /^404: \|Microsoft\.Exchange\.Configuration\.Tasks\.ManagementObjectNotFoundException\|/,
    );
  });

  test("removing without Confirm:false asks, answers 200 and removes nothing", async () => {
    await exchange.run("New-InboundConnector", inbound);
    expect(await exchange.run("Remove-InboundConnector", { Identity: inbound.Name })).toMatchObject({
      "@adminapi.confirmationmessage": expect.any(String),
    });
    expect(await exchange.list("Get-InboundConnector")).toHaveLength(1);
    await exchange.run("Remove-InboundConnector", { Identity: inbound.Name, Confirm: false });
    expect(await exchange.list("Get-InboundConnector")).toHaveLength(0);
  });

  test("Confirm:true and WhatIf:true check everything and do nothing", async () => {
    await exchange.run("New-InboundConnector", { ...inbound, Confirm: true });
    await exchange.run("New-InboundConnector", { ...inbound, WhatIf: true });
    expect(await exchange.list("Get-InboundConnector")).toEqual([]);
    expect(await text("New-InboundConnector", { ...inbound, Confirm: true, SenderIPAddresses: ["10.0.0.1"] })).toContain(
      "private",
    );
  });

  test("a connector that a rule uses stays", async () => {
    await exchange.run("New-OutboundConnector", outbound);
    await exchange.run("New-TransportRule", { Name: "Route", RouteMessageOutboundConnector: outbound.Name });
    expect(await text("Remove-OutboundConnector", { Identity: outbound.Name, Confirm: false })).toContain(
      "used by the transport rule",
    );
  });

  test("writes are recorded as effects, reads and asked-for confirmations are not", async () => {
    const before = (await clouds.requests("exchange")).length;
    await exchange.run("New-InboundConnector", inbound);
    await exchange.run("Remove-InboundConnector", { Identity: inbound.Name });
    await exchange.run("Get-InboundConnector");
    expect((await clouds.requests("exchange")).slice(before).map(({ effect }) => effect)).toEqual(["write", "none", "none"]);
  });
});

describe("transport rules", () => {
  test("a rule needs an action, both halves of a header condition, and a connector that is scoped to rules", async () => {
    expect(await text("New-TransportRule", { Name: "Nothing" })).toContain("at least one action");
    expect(await text("New-TransportRule", { Name: "Half", SetSCL: "-1", HeaderContainsMessageHeader: "X-a" })).toContain(
      "must be used together",
    );
    await exchange.run("New-OutboundConnector", { ...outbound, Name: "plain", IsTransportRuleScoped: false });
    expect(await text("New-TransportRule", { Name: "Route", RouteMessageOutboundConnector: "plain" })).toContain(
      "isn't scoped to transport rules",
    );
  });

  test("a rule with priority 0 moves the others down; removing it moves them up", async () => {
    for (const name of ["first", "second"]) await exchange.run("New-TransportRule", { Name: name, SetSCL: 0 });
    await exchange.run("New-TransportRule", { Name: "guard", RemoveHeader: "X-a", Priority: 0 });
    const order = async (): Promise<unknown[]> =>
      (await exchange.list("Get-TransportRule")).map(({ Name, Priority }) => [Name, Priority]);
    expect(await order()).toEqual([
      ["guard", 0],
      ["first", 1],
      ["second", 2],
    ]);
    await exchange.run("Set-TransportRule", { Identity: "second", Priority: 0 });
    expect(await order()).toEqual([
      ["second", 0],
      ["guard", 1],
      ["first", 2],
    ]);
    await exchange.run("Remove-TransportRule", { Identity: "second", Confirm: false });
    expect(await order()).toEqual([
      ["guard", 0],
      ["first", 1],
    ]);
    expect(await text("Set-TransportRule", { Identity: "first", Priority: 7 })).toContain("out of range");
  });

  test("rules are switched by Enable and Disable and read as State", async () => {
    await exchange.run("New-TransportRule", { Name: "rule", SetSCL: "-1", Enabled: false });
    expect(await exchange.list("Get-TransportRule", { Identity: "rule" })).toMatchObject([{ State: "Disabled", SetSCL: "-1" }]);
    await exchange.run("Enable-TransportRule", { Identity: "rule" });
    expect(await exchange.list("Get-TransportRule", { State: "Enabled" })).toMatchObject([{ Name: "rule" }]);
    await exchange.run("Disable-TransportRule", { Identity: "rule" });
    expect(await exchange.list("Get-TransportRule", { State: "Enabled" })).toEqual([]);
  });

  test("a rule's text values come back in the server's own form", async () => {
    await exchange.run("New-OutboundConnector", outbound);
    const [connector] = await exchange.list("Get-OutboundConnector", { Identity: outbound.Name });
    await exchange.run("New-TransportRule", {
      Name: "Route",
      From: ["Pilot@Contoso.example"],
      RouteMessageOutboundConnector: connector?.["Guid"],
      ExceptIfMessageSizeOver: "35 MB",
    });
    expect(await exchange.list("Get-TransportRule")).toMatchObject([
      {
        From: ["pilot@contoso.example"],
        RouteMessageOutboundConnector: outbound.Name,
        ExceptIfMessageSizeOver: "35 MB (36,700,160 bytes)",
        SentTo: null,
      },
    ]);
  });

  test("a rule is read at once, but the transport servers apply it only after its propagation", async () => {
    const effective = (): string[] =>
      createStore(clouds.platform)
        .effectiveRules(contoso)
        .map(({ name }) => name);
    now += 120_000;
    await exchange.run("New-TransportRule", { Name: "slow", SetSCL: "-1" });
    expect(await exchange.list("Get-TransportRule")).toHaveLength(1);
    expect(effective()).toEqual([]);
    now += 59_000;
    expect(effective()).toEqual([]);
    now += 1_000;
    expect(effective()).toEqual(["slow"]);
    await exchange.run("Remove-TransportRule", { Identity: "slow", Confirm: false });
    expect(effective()).toEqual(["slow"]);
    now += 60_000;
    expect(effective()).toEqual([]);
  });

  test("what the model doesn't know, it says", async () => {
    const { status } = await exchange.call("New-TransportRule", {
      Name: "group",
      SetSCL: "-1",
      AnyOfToHeader: ["all@contoso.example"],
    });
    expect(status).toBe(501);
  });
});

describe("groups", () => {
  const group = { Name: "Pilot", PrimarySmtpAddress: "Pilots@contoso.example", Members: ["pilot@contoso.example"] };

  test("have members of the organisation, and are found by name and by address", async () => {
    await exchange.run("New-DistributionGroup", group);
    expect(await text("New-DistributionGroup", group)).toContain("AlreadyExistsException");
    const members = async (Identity: string): Promise<unknown[]> =>
      (await exchange.list("Get-DistributionGroupMember", { Identity })).map(({ PrimarySmtpAddress }) => PrimarySmtpAddress);
    expect(await members("Pilot")).toEqual(["pilot@contoso.example"]);
    const pilot = { Identity: "pilots@contoso.example", Member: "pilot@contoso.example" };
    expect(await text("Add-DistributionGroupMember", pilot)).toContain("MemberAlreadyExistsException");
    expect(await text("Add-DistributionGroupMember", { ...pilot, Member: "nobody@contoso.example" })).toMatch(/^404/);
    await exchange.run("Remove-DistributionGroupMember", { ...pilot, Confirm: false });
    expect(await members("pilots@contoso.example")).toEqual([]);
    await exchange.run("Remove-DistributionGroup", { Identity: "Pilot", Confirm: false });
    expect(await exchange.list("Get-DistributionGroup")).toEqual([]);
  });

  test("scope a rule only if they are there", async () => {
    const rule = { Name: "Pilot only", SetSCL: "-1", FromMemberOf: ["pilots@contoso.example"] };
    expect(await text("New-TransportRule", rule)).toContain("couldn't be found");
    await exchange.run("New-DistributionGroup", group);
    await exchange.run("New-TransportRule", rule);
    expect(await exchange.list("Get-TransportRule")).toMatchObject([{ FromMemberOf: ["pilots@contoso.example"] }]);
  });
});

describe("the organisation", () => {
  test("the allow list takes additions and removals without touching the others", async () => {
    const change = (hashtable: Record<string, unknown>): Promise<unknown> =>
      exchange.run("Set-HostedConnectionFilterPolicy", {
        Identity: "Default",
        IPAllowList: { "@odata.type": "#Exchange.GenericHashTable", ...hashtable },
      });
    await exchange.run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: ["198.51.100.0/24"] });
    await change({ Add: ["203.0.113.7", "203.0.113.8"] });
    await change({ Add: ["203.0.113.7"], Remove: ["203.0.113.8", "192.0.2.1"] });
    expect(await exchange.list("Get-HostedConnectionFilterPolicy", { Identity: "Default" })).toMatchObject([
      { IPAllowList: ["198.51.100.0/24", "203.0.113.7"] },
    ]);
    expect(await text("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: ["203.0.0.0/16"] })).toContain(
      "256 addresses",
    );
  });

  test("accepted domains are the verified ones", async () => {
    expect(await exchange.list("Get-AcceptedDomain")).toMatchObject([
      { DomainName: "contoso.example", DomainType: "Authoritative", Default: true, InitialDomain: false },
      { InitialDomain: true },
    ]);
  });

  test("a validation that reaches nobody says so and is no error", async () => {
    await exchange.run("New-OutboundConnector", { ...outbound, SmartHosts: ["203.0.113.99"] });
    const results = await exchange.list("Validate-OutboundConnector", {
      Identity: outbound.Name,
      Recipients: ["pilot@contoso.example"],
    });
    expect(results.map(({ IsTaskSuccessful }) => IsTaskSuccessful)).toEqual([false, false]);
    expect(results[0]).toMatchObject({ Status: "Failed", Detail: expect.stringContaining("Connection refused") });
  });
});

test("pages are followed by posting the same body to the next link", async () => {
  for (const name of ["a", "b", "c"]) await exchange.run("New-TransportRule", { Name: name, SetSCL: 0 });
  const first = await exchange.call(
    "Get-TransportRule",
    {},
    { headers: { prefer: "odata.maxpagesize=2" }, query: "?$select=Name" },
  );
  expect(valueOf(first.body)).toEqual([{ Name: "a" }, { Name: "b" }]);
  const { "@odata.nextLink": next } = first.body as { "@odata.nextLink": string };
  const second = await exchange.call(
    "Get-TransportRule",
    {},
    { headers: { prefer: "odata.maxpagesize=2" }, query: new URL(next).search },
  );
  expect(second.body).toMatchObject({ value: [{ Name: "c" }] });
  expect(second.body).not.toHaveProperty("@odata.nextLink");
  const another = await exchange.call("Get-AcceptedDomain", {}, { query: new URL(next).search });
  expect(another.status).toBe(400);
});

describe("an unusual organisation", () => {
  let unusual: ExchangeCaller;
  beforeAll(async () => {
    const exchangeOnline = { dehydrated: true, inboundConnectorsDisabled: true };
    await clouds.organize({ tenantId: sharing, domains: ["sharing.example"], exchange: exchangeOnline });
    await clouds.consent(sharing);
    unusual = await exchangeOf(clouds, sharing);
  });

  // Research, chapters 1.6 and 1.9: one-off, then "already enabled".
  test("that is dehydrated can't change shared settings before it has its own", async () => {
    const change = { Identity: "Default", IPAllowList: { "@odata.type": "#Exchange.GenericHashTable", Add: ["203.0.113.7"] } };
    const { status, body } = await unusual.call("Set-HostedConnectionFilterPolicy", change);
    expect({ status, body }).toMatchObject({
      status: 400,
      body: { error: { details: [{ message: expect.stringMatching(/Dehydrated.*Enable-OrganizationCustomization/) }] } },
    });
    expect(await unusual.list("Get-OrganizationConfig")).toMatchObject([{ IsDehydrated: true }]);
    await unusual.run("Enable-OrganizationCustomization");
    expect((await unusual.call("Enable-OrganizationCustomization")).body).toMatchObject({
      error: { message: expect.stringContaining("already enabled for customization") },
    });
    await unusual.run("Set-HostedConnectionFilterPolicy", change);
  });

  // Research, chapter 1.9: "created in a disabled state. Contact Support to enable it".
  test("that is on trial gets a disabled inbound connector, a warning, and no way to enable it", async () => {
    const warning = { "@adminapi.warnings": [expect.stringContaining("Contact Support")] };
    expect(await unusual.run("New-InboundConnector", { ...inbound, Enabled: true })).toMatchObject(warning);
    expect(await unusual.run("Set-InboundConnector", { Identity: inbound.Name, Enabled: true })).toMatchObject(warning);
    expect(await unusual.list("Get-InboundConnector")).toMatchObject([{ Enabled: false }]);
  });
});

// Research, chapter 1.7: at most ten, correlated by id, each with a status of its own.
test("a batch answers each of its reads for itself, and in no promised order", async () => {
  const post = (cmdlets: string[]): Promise<Response> =>
    fetch(`${clouds.exchange}/adminapi/beta/${contoso}/$batch`, {
      method: "POST",
      headers: { authorization: `Bearer ${exchange.token}`, "content-type": "application/json" },
      body: JSON.stringify({
        requests: cmdlets.map((cmdlet, id) => ({
          id: String(id),
          method: "POST",
          url: `${clouds.exchange}/adminapi/beta/${contoso}/InvokeCommand`,
          headers: { "X-CmdletName": cmdlet, "X-AnchorMailbox": `APP:SystemMailbox{x}@${contoso}` },
          body: { CmdletInput: { CmdletName: cmdlet, Parameters: {} } },
        })),
      }),
    });
  const answer = await post(["Get-AcceptedDomain", "Get-Nothing", "Get-TransportRule"]);
  expect(answer.status).toBe(200);
  const { responses } = (await answer.json()) as { responses: { id: string; status: number; body: unknown }[] };
  expect(responses.map(({ id, status }) => [id, status])).toEqual([
    ["2", 200],
    ["1", 400],
    ["0", 200],
  ]);
  expect(responses.find(({ id }) => id === "0")?.body).toMatchObject({ value: [{ DomainName: "contoso.example" }, {}] });
  expect((await post(Array.from({ length: 11 }, () => "Get-AcceptedDomain"))).status).toBe(400);
});

describe("what goes wrong on command, with requests of the research's chapter 1.10", () => {
  const failed = (type: string): unknown => ({
    error: { code: "BadRequest", message: `|${type}|Try again.`, details: [{ code: "Context", message: `|${type}|Try again.` }] },
  });

  test("throttling with and without a time to wait", async () => {
    for (const seconds of [2.5, null]) {
      await clouds.fault("exchange", { kind: "throttle", retryAfterInSeconds: seconds }, { cmdlet: "Get-TransportRule" });
      const { status, headers } = await exchange.call("Get-TransportRule");
      expect([status, headers.get("retry-after")]).toEqual([429, seconds === null ? null : String(seconds)]);
    }
  });

  test("a transient failure that comes as a 400", async () => {
    const body = failed("Microsoft.Exchange.Data.Directory.SuitabilityDirectoryException");
    await clouds.fault("exchange", { kind: "answer", status: 400, body }, { cmdlet: "Get-TransportRule" });
    expect(await text("Get-TransportRule", {})).toContain("SuitabilityDirectoryException");
    expect((await exchange.call("Get-TransportRule")).status).toBe(200);
  });

  test("a 200 with errors in it, after the cmdlet ran or before", async () => {
    const body = { value: [], "@adminapi.errors": [{ message: "|System.ArgumentException|Half of it failed." }] };
    for (const afterEffect of [false, true]) {
      await clouds.fault("exchange", { kind: "answer", status: 200, body, afterEffect }, { cmdlet: "New-InboundConnector" });
      expect(await exchange.run("New-InboundConnector", inbound)).toMatchObject(body);
      expect(await exchange.list("Get-InboundConnector")).toHaveLength(afterEffect ? 1 : 0);
    }
  });

  test("a write that is applied and whose answer never comes, or is a web page", async () => {
    await clouds.fault("exchange", { kind: "timeout-after-effect", milliseconds: 50 }, { cmdlet: "New-InboundConnector" });
    await expect(exchange.call("New-InboundConnector", inbound)).rejects.toThrow();
    expect(await exchange.list("Get-InboundConnector")).toHaveLength(1);
    await clouds.fault("exchange", { kind: "html", afterEffect: true }, { cmdlet: "Remove-InboundConnector" });
    await expect(exchange.call("Remove-InboundConnector", { Identity: inbound.Name, Confirm: false })).rejects.toThrow("JSON");
    expect(await exchange.list("Get-InboundConnector")).toEqual([]);
  });

  test("a next link that leads elsewhere", async () => {
    await clouds.fault("exchange", "foreign-next-link", { cmdlet: "Get-TransportRule" });
    expect((await exchange.call("Get-TransportRule")).body).toMatchObject({
      "@odata.nextLink": "https://elsewhere.example/next?$skiptoken=1",
    });
  });

  test("a read from before the last write", async () => {
    expect(await exchange.list("Get-InboundConnector")).toEqual([]);
    await exchange.run("New-InboundConnector", inbound);
    await clouds.fault("exchange", "stale-read", { cmdlet: "Get-InboundConnector" });
    expect(await exchange.list("Get-InboundConnector")).toEqual([]);
    expect(await exchange.list("Get-InboundConnector")).toHaveLength(1);
  });
});

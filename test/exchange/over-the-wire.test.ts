/** The client against the simulated Exchange Online and Entra, over the wire: each thing that the real service does to a client. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Exchange as Recorded } from "../../infra/local/clouds/record.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { type AllRead, read } from "../../shared/exchange/batch.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import type { ReadCmdlet } from "../../shared/exchange/cmdlets.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const restricted = "d15ab1ed-0000-4000-8000-000000000003";
const absentOrganization = "0ff00000-0000-4000-8000-000000000009";

let clouds: TestClouds;
let exchange: Exchange;
const warned: string[] = [];
const clientOf = (timeoutInSeconds?: number): Exchange =>
  createExchange({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
    warned: ({ warning }) => void warned.push(warning),
    ...(timeoutInSeconds === undefined ? {} : { timeoutInSeconds }),
  });

beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  const disabled = { dehydrated: true, inboundConnectorsDisabled: true };
  await clouds.organize({ tenantId: restricted, domains: ["restricted.example"], exchange: disabled });
  await clouds.consent(contoso);
  await clouds.consent(restricted);
  exchange = clientOf();
});
afterAll(() => clouds.stop());
afterEach(() => clouds.clearFaults());

const seen = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;
const asked = (since: number, cloud: "exchange" | "entra" = "exchange"): Promise<Recorded[]> => clouds.requests(cloud, since);
const connector = { ConnectorType: "OnPremises" as const, SenderDomains: ["*"], SenderIPAddresses: ["203.0.113.7"] };
const makeConnector = (Name: string, client = exchange): Promise<unknown> =>
  client.run(contoso, "New-InboundConnector", { ...connector, Name });
const names = async (): Promise<string[]> =>
  (await exchange.list(contoso, "Get-InboundConnector", {})).map(({ Name }) => Name).toSorted();
const remove = (Identity: string): Promise<unknown> => exchange.run(contoso, "Remove-InboundConnector", { Identity });

describe("a write", () => {
  test.each([
    ["cut", "cut-after-effect"],
    ["not sent in time", { kind: "timeout-after-effect", milliseconds: 60_000 }],
    ["a web page", { kind: "html", afterEffect: true }],
    ["not JSON", { kind: "content-type" }],
    [
      "said to be compressed and isn't",
      {
        kind: "answer",
        status: 200,
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        body: {},
        afterEffect: true,
      },
    ],
  ])("whose answer is %s may have happened: it is read back, and stands once", async (how, fault) => {
    const client = how === "not sent in time" ? clientOf(2) : exchange;
    await clouds.fault("exchange", fault, { cmdlet: "New-InboundConnector" });
    await expect(makeConnector(how, client)).rejects.toMatchObject({ code: "ExchangeOutcomeUnknown", transient: true });
    expect(await names()).toEqual([how]);
    await remove(how);
  });

  test("that answers nothing has succeeded", async () => {
    await makeConnector("void");
    const before = await seen();
    expect(await exchange.run(contoso, "Set-InboundConnector", { Identity: "void", Comment: "ours" })).toBeUndefined();
    expect(await asked(before)).toMatchObject([{ status: 200, responseBody: { value: [] } }]);
    await remove("void");
  });

  test("whose 200 has errors in it has failed", async () => {
    const errors = { value: [], "@adminapi.errors": [{ message: "|System.ArgumentException|Half of it failed." }] };
    await clouds.fault("exchange", { kind: "answer", status: 200, body: errors }, { cmdlet: "New-InboundConnector" });
    await expect(makeConnector("half")).rejects.toMatchObject({
      code: "ExchangeRefused",
      message: expect.stringContaining("Half"),
    });
  });

  test("that removes says that it is meant; what is gone already counts as removed", async () => {
    await makeConnector("gone");
    const [found] = await exchange.list(contoso, "Get-InboundConnector", {});
    await remove(found?.Guid ?? "");
    expect(await names()).toEqual([]);
    await remove(found?.Guid ?? "");
  });

  test("is told why it can't be: a name that is too long, one that is taken, a connector that a rule needs", async () => {
    await expect(makeConnector("x".repeat(65))).rejects.toMatchObject({ code: "ExchangeRefused", transient: false });
    await makeConnector("taken");
    await expect(makeConnector("taken")).rejects.toMatchObject({ code: "ExchangeObjectExists", transient: true });
    await remove("taken");
    const scoped = { ConnectorType: "OnPremises", IsTransportRuleScoped: true, UseMXRecord: false } as const;
    await exchange.run(contoso, "New-OutboundConnector", { ...scoped, Name: "used", SmartHosts: ["gateway.contoso.example"] });
    await exchange.run(contoso, "New-TransportRule", { Name: "user", RouteMessageOutboundConnector: "used" });
    const removed = exchange.run(contoso, "Remove-OutboundConnector", { Identity: "used" });
    await expect(removed).rejects.toMatchObject({ code: "ExchangeRefused", message: expect.stringContaining('"user"') });
    await exchange.run(contoso, "Remove-TransportRule", { Identity: "user" });
    await exchange.run(contoso, "Remove-OutboundConnector", { Identity: "used" });
  });

  test("adds to a list of others and takes away from it without touching theirs", async () => {
    const change = (IPAllowList: { Add?: string[]; Remove?: string[] }): Promise<unknown> =>
      exchange.run(contoso, "Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList });
    await change({ Add: ["198.51.100.4", "203.0.113.7"] });
    await change({ Remove: ["203.0.113.7"] });
    const [policy] = await exchange.list(contoso, "Get-HostedConnectionFilterPolicy", { Identity: "Default" });
    expect(policy?.IPAllowList).toEqual(["198.51.100.4"]);
  });
});

describe("an organisation", () => {
  test("that Microsoft holds back gets its connector disabled, and the write says so once and for all", async () => {
    const heldBack = { code: "InboundConnectorHeldBack", status: 409, transient: false };
    const made = exchange.run(restricted, "New-InboundConnector", { ...connector, Name: "held back" });
    await expect(made).rejects.toMatchObject(heldBack);
    const enabled = exchange.run(restricted, "Set-InboundConnector", { Identity: "held back", Enabled: true });
    await expect(enabled).rejects.toMatchObject(heldBack);
    expect(await exchange.list(restricted, "Get-InboundConnector", {})).toMatchObject([{ Name: "held back", Enabled: false }]);
  });

  test("that is dehydrated is customised at the first refusal", async () => {
    const allow = (): Promise<unknown> =>
      exchange.run(restricted, "Set-HostedConnectionFilterPolicy", {
        Identity: "Default",
        IPAllowList: { Add: ["203.0.113.7"] },
      });
    await expect(allow()).rejects.toMatchObject({ code: "ExchangeOrganizationDehydrated", transient: true });
    await allow();
  });

  test("that isn't there is unknown, and never has no connectors", async () => {
    const found = await exchange.get(absentOrganization, "Get-InboundConnector", { Identity: "x" });
    expect(found).toMatchObject({ state: "unknown" });
    await clouds.fault("exchange", { kind: "status", status: 404, code: "NotFound" });
    expect(await exchange.get(contoso, "Get-InboundConnector", {})).toMatchObject({
      state: "unknown",
      reason: { code: "ExchangeRefused" },
    });
  });
});

describe("a token", () => {
  test("that the service believes no longer is replaced once, by one that answers its claims, and that one is kept", async () => {
    await exchange.list(contoso, "Get-TransportRule", {});
    const before = await seen();
    await clouds.fault("exchange", "claims-challenge", { cmdlet: "Get-TransportRule" });
    await exchange.list(contoso, "Get-TransportRule", {});
    expect((await asked(before)).map(({ status }) => status)).toEqual([401, 200]);
    const tokens = (await asked(before, "entra")).filter(({ url }) => url.includes("/token"));
    expect(tokens).toMatchObject([{ status: 200, requestBody: { claims: expect.stringContaining('"nbf"') } }]);
    const afterwards = await seen();
    await exchange.list(contoso, "Get-TransportRule", {});
    expect(await asked(afterwards, "entra")).toEqual([]);
  });

  test("that the service doesn't believe after that either ends it", async () => {
    const before = await seen();
    await clouds.fault("exchange", "claims-challenge", {}, 2);
    await expect(exchange.list(contoso, "Get-TransportRule", {})).rejects.toMatchObject({ code: "ExchangeUnauthorized" });
    expect((await asked(before)).map(({ status }) => status)).toEqual([401, 401]);
  });
});

describe("reads together", () => {
  const everything = {
    organization: read("Get-OrganizationConfig", {}),
    rules: read("Get-TransportRule", {}),
    filter: read("Get-HostedConnectionFilterPolicy", {}),
    inbound: read("Get-InboundConnector", {}),
    outbound: read("Get-OutboundConnector", { IsTransportRuleScoped: true, IncludeTestModeConnectors: true }),
    missing: read("Get-Mailbox", { Identity: "nobody@contoso.example" }),
  };

  test("are one request, each with its own answer by its id, whatever the order", async () => {
    await exchange.run(contoso, "New-TransportRule", { Name: "theirs", SetSCL: "0" });
    const before = await seen();
    const { organization, rules, filter, missing } = await exchange.readTogether(contoso, everything);
    expect((await asked(before)).map(({ url }) => new URL(url).pathname.split("/").at(-1))).toEqual(["$batch"]);
    expect(organization).toMatchObject({ state: "present", actual: [{ IsDehydrated: false }] });
    expect(rules).toMatchObject({ state: "present", actual: [{ Name: "theirs", Priority: 0 }] });
    expect(filter).toMatchObject({ state: "present", actual: [{ IPAllowList: expect.any(Array) }] });
    expect(missing).toEqual({ state: "present", actual: [] });
    await exchange.run(contoso, "Remove-TransportRule", { Identity: "theirs" });
  });

  test("are ten in a request at most, and a long answer goes on in a batch of its own", async () => {
    const many = Array.from({ length: 1001 }, (_, index) => `d${index}.many.example`);
    const tenantId = "3a9e0000-0000-4000-8000-000000000004";
    await clouds.organize({ tenantId, domains: many, mailboxes: [] });
    await clouds.consent(tenantId);
    const before = await seen();
    const others = Object.fromEntries(
      Array.from({ length: 10 }, (_, index) => [`r${index}`, read("Get-OrganizationConfig", {})]),
    );
    const {
      domains,
      ...rest
    }: Record<string, AllRead<ReadCmdlet>> = await exchange.readTogether(tenantId, {
      domains: read("Get-AcceptedDomain", {}),
      ...others,
    });
    expect(domains).toMatchObject({ state: "present", actual: { length: 1002 } });
    expect(Object.values(rest).map(({ state }) => state)).toEqual(Array.from({ length: 10 }, () => "present"));
    const sizes = (await asked(before)).map(({ requestBody }) => (requestBody as { requests: unknown[] }).requests.length);
    expect(sizes).toEqual([10, 2]);
    expect(await exchange.list(tenantId, "Get-AcceptedDomain", {})).toHaveLength(1002);
  });

  test("fail each for itself: one that fails is unknown, and the others stand", async () => {
    const part = { error: { code: "x", message: "|Microsoft.Exchange.Data.Directory.SuitabilityDirectoryException|Try again." } };
    const ok = { value: [] };
    const responses = [
      { id: "filter", status: 429, body: {}, headers: { "Retry-After": "1" } },
      { id: "rules", status: 400, body: part },
      { id: "organization", status: 200, body: { "@odata.nextLink": "https://elsewhere.example/next", value: [] } },
      { id: "inbound", status: 200, body: ok },
      { id: "outbound", status: 200, body: { value: [], "@adminapi.errors": ["|Microsoft.Exchange.ServerBusyException|busy"] } },
    ];
    await clouds.fault("exchange", { kind: "answer", status: 200, body: { responses } }, { path: "$batch" });
    const found = await exchange.readTogether(contoso, everything);
    const codes = Object.entries(found).map(([name, one]) => [name, one.state === "present" ? one.actual : one.reason.code]);
    expect(Object.fromEntries(codes)).toEqual({
      filter: "ExchangeBusy",
      rules: "ExchangeBusy",
      organization: "ExchangeAnswerMalformed",
      inbound: [],
      outbound: "ExchangeBusy",
      // Exchange has said nothing of it: that is no absence.
      missing: "ExchangeAnswerMalformed",
    });
  });

  test.each(["html", "503", "cut-before-effect", "refuse"])("are all unknown when the batch is met by %s", async (fault) => {
    await clouds.fault("exchange", fault, { path: "$batch" });
    const found = await exchange.readTogether(contoso, everything);
    expect(new Set(Object.values(found).map(({ state }) => state))).toEqual(new Set(["unknown"]));
  });

  test("answer a claims challenge as a single read does", async () => {
    await clouds.fault("exchange", "claims-challenge", { path: "$batch" });
    expect((await exchange.readTogether(contoso, { rules: everything.rules })).rules).toMatchObject({ state: "present" });
  });
});

describe("a read", () => {
  test("goes on at the link with the same body, and not at another host's", async () => {
    await clouds.fault("exchange", "foreign-next-link", { cmdlet: "Get-TransportRule" });
    const before = await seen();
    await expect(exchange.list(contoso, "Get-TransportRule", {})).rejects.toMatchObject({ code: "ExchangeAnswerMalformed" });
    expect(await asked(before)).toHaveLength(1);
  });

  test.each([
    ["throttled", { kind: "throttle", retryAfterInSeconds: 2.5 }, { code: "ExchangeBusy", retryAfterInSeconds: 3 }],
    ["throttled without a time", { kind: "throttle", retryAfterInSeconds: null }, { code: "ExchangeBusy" }],
    ["refused for a while", { kind: "status", status: 504 }, { code: "ExchangeBusy", transient: true }],
    ["an empty 403", { kind: "answer", status: 403 }, { code: "ExchangeRoleMissing", transient: true }],
  ])("that is %s says so", async (_, fault, expected) => {
    await clouds.fault("exchange", fault, { cmdlet: "Get-TransportRule" });
    await expect(exchange.list(contoso, "Get-TransportRule", {})).rejects.toMatchObject(expected);
  });
});

/**
 * Five defects of the tools that do this job today, each told by what became of the customer. Every test does it in the peer's way first,
 * with requests by hand, and sees the harm; then in ours, and sees none. Sources: the public code and issues of CIPP (KelvinTegelaar/CIPP-API),
 * Microsoft365DSC and SEPPmail365.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import { connectionFilter } from "../../shared/resources/connection-filter.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { forwardingRule } from "../../shared/resources/forwarding-rule.ts";
import { inboundConnector } from "../../shared/resources/inbound-connector.ts";
import { OUTBOUND_CONNECTOR_NAME, outboundConnector } from "../../shared/resources/outbound-connector.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { type ExchangeCaller, exchangeOf } from "../support/exchange.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const owner = { partnerId: "northwind", tenantId: "contoso" };
const GATEWAY = "203.0.113.7";
const CUSTOMERS = "198.51.100.4";
const LOOP_GUID = "5f0c3c1e-2d7a-4a41-9c1f-0d2b6f3e8a77";
const loopGuid = { vaultUrl: "https://contoso.vault.example", name: "loop-guid", version: "1" };
// The vault is another subject: here it holds one secret.
const vaults = { read: async () => LOOP_GUID, seal: async () => loopGuid };

let clouds: TestClouds;
let exchange: Exchange;
/** Whoever isn't us: a peer's tool, or the customer's administrator. */
let byHand: ExchangeCaller;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: ["probe@contoso.example"] });
  await clouds.consent(organization);
  const credentials = createCredentials(clouds.environment, clouds.application);
  exchange = createExchange({ environment: clouds.environment, credentials });
  byHand = await exchangeOf(clouds, organization);
});
afterAll(() => clouds.stop());
beforeEach(async () => {
  await clouds.clearFaults();
  for (const rule of await byHand.list("Get-TransportRule"))
    await byHand.run("Remove-TransportRule", { Identity: rule["Guid"], Confirm: false });
  for (const connector of await byHand.list("Get-InboundConnector"))
    await byHand.run("Remove-InboundConnector", { Identity: connector["Guid"], Confirm: false });
  await byHand.run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: [] });
});

const ensure = <Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired) =>
  ensuring(resource, async () => {})(desired);
const sent = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;
/** Cmdlets that were to change something, whether they did or not. */
const writesSince = async (since: number): Promise<string[]> =>
  (await clouds.requests("exchange", since))
    .map(({ requestBody }) => (requestBody as { CmdletInput: { CmdletName: string } }).CmdletInput.CmdletName)
    .filter((cmdlet) => !cmdlet.startsWith("Get-"));
const named = async (cmdlet: string): Promise<unknown[]> => (await byHand.list(cmdlet)).map(({ Name }) => Name);

const connector = { owner, organization, egressIps: [GATEWAY] };
const connectorName = "FROM Azure VM to M365";
const ourConnector = () => inboundConnector({ exchange });
/** As a script writes it down. */
const plain = { ConnectorType: "OnPremises", SenderDomains: ["*"], SenderIPAddresses: [GATEWAY] };

test("a failed read is not taken as absent", async () => {
  await ensure(ourConnector(), connector);
  const busy = { kind: "status", status: 503 };

  // CIPP's New-ExoBulkRequest gives nothing when its batch fails, its AddTransportRule reads with -ErrorAction SilentlyContinue, and
  // Microsoft365DSC's Get answers Ensure=Absent from its catch: nothing was read, so "New-" runs.
  await clouds.fault("exchange", busy, { cmdlet: "Get-InboundConnector" });
  const before = await sent();
  const { status, body } = await byHand.call("Get-InboundConnector");
  const found = status === 200 ? (body as { value: unknown[] }).value : [];
  if (found.length === 0) await byHand.call("New-InboundConnector", { ...plain, Name: "Made once more" });
  expect(await named("Get-InboundConnector")).toHaveLength(2);
  expect(await writesSince(before)).toEqual(["New-InboundConnector"]);

  await clouds.fault("exchange", busy, { cmdlet: "Get-InboundConnector" });
  const beforeOurs = await sent();
  await expect(ensure(ourConnector(), connector)).rejects.toMatchObject({ code: "ExchangeBusy", transient: true });
  expect(await writesSince(beforeOurs)).toEqual([]);
});

test("a second run makes no second object, and a renamed one is found", async () => {
  await ensure(ourConnector(), connector);
  await byHand.run("Set-InboundConnector", { Identity: connectorName, Name: "Gateway (do not touch)" });

  // CIPP's AddExConnector knows only New-; its templates, and Microsoft365DSC, look for the name.
  if (!(await named("Get-InboundConnector")).includes("Theirs"))
    await byHand.run("New-InboundConnector", { ...plain, Name: "Theirs" });
  await byHand.run("Set-InboundConnector", { Identity: "Theirs", Name: "Theirs (do not touch)" });
  if (!(await named("Get-InboundConnector")).includes("Theirs"))
    await byHand.run("New-InboundConnector", { ...plain, Name: "Theirs" });
  expect(await named("Get-InboundConnector")).toEqual(expect.arrayContaining(["Theirs", "Theirs (do not touch)"]));

  expect(await ensure(ourConnector(), connector)).toMatchObject({ change: "updated" });
  expect(await ensure(ourConnector(), connector)).toMatchObject({ change: "unchanged" });
  const ours = (await byHand.list("Get-InboundConnector")).filter(({ Comment }) =>
    String(Comment).includes("managed by Gatehouse"),
  );
  expect(ours).toMatchObject([{ Name: connectorName }]);
});

test("the customer's allow list is never replaced", async () => {
  const allowed = async (): Promise<unknown> => (await byHand.list("Get-HostedConnectionFilterPolicy"))[0]?.["IPAllowList"];
  const addTheirs = (): Promise<unknown> =>
    byHand.run("Set-HostedConnectionFilterPolicy", {
      Identity: "Default",
      IPAllowList: { "@odata.type": "#Exchange.GenericHashTable", Add: [CUSTOMERS] },
    });

  // SEPPmail365 reads the list, changes it and sends all of it: what the customer's administrator adds in between is gone.
  const [policy] = await byHand.list("Get-HostedConnectionFilterPolicy");
  await addTheirs();
  const read = policy?.["IPAllowList"] as string[];
  await byHand.run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: [...read, GATEWAY] });
  expect(await allowed()).toEqual([GATEWAY]);

  await byHand.run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: [] });
  const filter = connectionFilter({ exchange });
  await filter.observe(connector);
  await addTheirs();
  // A replica that lags behind shows the list as it was before: the worst moment for a write.
  await clouds.fault("exchange", "stale-read", { cmdlet: "Get-HostedConnectionFilterPolicy" }, 2);
  await ensure(filter, connector);
  expect(await allowed()).toEqual([CUSTOMERS, GATEWAY]);
  await filter.remove(connector);
  expect(await allowed()).toEqual([CUSTOMERS]);
});

test("a rule is never left without its action", async () => {
  await ensure(outboundConnector({ exchange }), { owner, organization, smartHosts: ["gateway.contoso.example"] });
  const place = { loopHeader: "X-iqsuite-process", loopGuid, vaultTenantId: organization };
  const scope = { mailboxes: ["probe@contoso.example"] };
  const desired = { ...connector, ...place, outboundConnector: OUTBOUND_CONNECTOR_NAME, scope };
  const rule = forwardingRule({ exchange, vaults });
  await ensure(rule, desired);
  const [made] = await byHand.list("Get-TransportRule");
  const Identity = made?.["Guid"];
  await byHand.run("Disable-TransportRule", { Identity });

  // CIPP (issue 5379) switched a rule on by writing all of it anew, with null where it had nothing to say: "all rules have to include
  // at least one action", and the rule stayed off.
  const whole = { Identity, Name: made?.["Name"], RouteMessageOutboundConnector: null };
  expect((await byHand.call("Set-TransportRule", whole)).status).toBe(400);
  expect(await byHand.list("Get-TransportRule")).toMatchObject([{ State: "Disabled" }]);

  const before = await sent();
  await ensure(rule, desired);
  expect(await writesSince(before)).toEqual(["Enable-TransportRule"]);
  expect(await byHand.list("Get-TransportRule")).toMatchObject([
    { State: "Enabled", RouteMessageOutboundConnector: made?.["RouteMessageOutboundConnector"] },
  ]);
});

test("what Exchange stores in another form is no drift", async () => {
  await ensure(ourConnector(), connector);

  // Microsoft365DSC (issues 2180 and 5500) and CIPP's templates compare what they wrote with what they read, letter by letter: "*" with
  // "smtp:*;1", nothing with an empty list. They differ for ever, and each run writes.
  const [stored] = await byHand.list("Get-InboundConnector");
  const written: Record<string, unknown> = { ...plain, AssociatedAcceptedDomains: null };
  const differing = Object.entries(written).filter(([name, value]) => JSON.stringify(stored?.[name]) !== JSON.stringify(value));
  expect(differing.map(([name]) => name)).toEqual(["SenderDomains", "AssociatedAcceptedDomains"]);
  await byHand.run("Set-InboundConnector", { Identity: connectorName, SenderDomains: ["*"] });
  expect((await byHand.list("Get-InboundConnector"))[0]?.["SenderDomains"]).toEqual(["smtp:*;1"]);

  const before = await sent();
  for (let run = 1; run <= 3; run++) expect(await ensure(ourConnector(), connector)).toMatchObject({ change: "unchanged" });
  expect(await writesSince(before)).toEqual([]);
});

/** An installation that a person made by the manual is shown, taken over by nothing but marks, watched, and taken away again. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Adoption } from "../../shared/api/adoption.ts";
import type { Drift } from "../../shared/api/drift.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { type HandMade, makeByHand } from "../support/hand-made.ts";
import { type MailStream, streamOfMail } from "../support/mail-stream.ts";
import { blobsNow, filesIn, secretsSeen, tablesNow } from "../support/secret-search.ts";
import { about, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

const directory = mkdtempSync(path.join(tmpdir(), "gatehouse-adoption-"));
let platform: OnboardingPlatform;
let made: HandMade;
let stream: MailStream;
const contoso = customer("contoso");
const { tenantId } = contoso;
const { organization } = contoso.watched;
beforeAll(async () => {
  const state = { stateFile: path.join(directory, "durable.sqlite"), busDirectory: path.join(directory, "service-bus") };
  platform = await startOnboarding({ tempo: 0.001, ...state });
  await platform.organize(contoso);
  await platform.clouds.consent(organization);
  made = await platform.asStranger(() => makeByHand(platform.clouds, contoso));
  await platform.register(contoso);
  // Consent takes a moment to be known everywhere.
  const unread = /Consent|AzureAccess|Unread/;
  await vi.waitUntil(async () => (await look()).findings.every(({ code }) => !unread.test(code)), {
    timeout: 60_000,
    interval: 100,
  });
  stream = streamOfMail(platform, contoso);
});
afterAll(async () => {
  await platform.stop();
  rmSync(directory, { recursive: true });
});

const look = async (): Promise<Adoption> => (await platform.northwind.getAdoption({ tenantId })).body;
const adopt = async (plan?: string) =>
  platform.untilEnded((await platform.northwind.startAdoption({ tenantId, ...(plan ? { body: { plan } } : {}) })).body);
const drift = async (): Promise<Drift> => (await platform.northwind.lookForDriftNow({ tenantId })).body;
const tenant = async () => (await platform.northwind.getTenant({ tenantId })).body;
/** Mail that is delivered is no change of the clouds. */
const written = async (since: number): Promise<Exchange[]> =>
  about(contoso, await platform.record(since)).filter(
    ({ effect, method, requestBody }) =>
      effect === "write" &&
      /^(POST|PUT|PATCH|DELETE)$/.test(method) &&
      (requestBody as { byHand?: boolean } | undefined)?.byHand !== true,
  );

/** What a write said: cmdlets and their parameters, or the path and the body in Azure. */
function said({ cloud, url, requestBody }: Exchange): string {
  const { CmdletInput: input } = requestBody as { CmdletInput?: { CmdletName: string; Parameters: object } };
  if (cloud === "exchange" && input) return `${input.CmdletName} ${Object.keys(input.Parameters).toSorted().join()}`;
  const { operation, properties } = requestBody as { operation?: string; properties?: { tags?: object } };
  const [id = ""] = url.split("/providers/Microsoft.Resources/tags/default");
  return `${operation} ${Object.keys(properties?.tags ?? {}).join()} ${id.split("/").slice(-2).join("/")}`;
}

test("what a person made is shown, with what differs and what isn't there; nothing is written", async () => {
  const before = await platform.now();
  const seen = await look();
  expect(seen).toMatchObject({ possible: true, stage: "live" });
  expect(seen.findings.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(seen.resources.map(({ step, state, marks }) => `${step}: ${state}${marks ? ", marked" : ""}`)).toEqual([
    "resourceGroup: found, marked",
    "publicIpAddress: found, marked",
    "networkSecurityGroup: found, marked",
    "virtualNetwork: found, marked",
    "availabilitySet: found, marked",
    "networkInterface: found, marked",
    "gatewayVm: found, marked",
    "inboundConnector: found, marked",
    "outboundConnector: found, marked",
    "connectionFilter: found",
    "approvalRule: found, marked",
    "forwardingRule: found, marked",
  ]);
  const different = (step: string) => seen.resources.find((one) => one.step === step)?.differences.map(({ path }) => path);
  expect(different("networkSecurityGroup")).toEqual(["rules/RDP", "rules/HTTPS", "rules/WebClient"]);
  expect(different("gatewayVm")).toEqual(expect.arrayContaining(["image", "adminUsername", "securityType"]));
  expect(different("inboundConnector")).toEqual(["efSkipLastIp"]);
  expect(seen.notManaged.map(({ step }) => step)).toEqual([
    "vmIdentity",
    "vault",
    "vaultAccessForGatehouse",
    "vaultAccessForGateway",
    "guest",
    "webClientApplication",
    "guardRule",
    "stripRule",
    "domainForwardingRule",
  ]);
  expect(seen.findings.map(({ code }) => code)).toContain("RemoteDesktopOpen");
  expect(JSON.stringify(seen)).not.toContain(made.loopGuid);
  expect((await written(before)).map(said)).toEqual([]);
});

test("another one's hash, and a tenant of another partner, are refused", async () => {
  await expect(platform.northwind.startAdoption({ tenantId, body: { plan: "another" } })).rejects.toMatchObject({
    code: "PlanOutdated",
  });
  await expect(platform.tailspin.startAdoption({ tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
});

test("what could be several is chosen, and what is another tenant's stays theirs; until then nothing is taken over", async () => {
  const person = (cmdlet: string, parameters: Record<string, unknown>) =>
    platform.asStranger(async () => platform.clouds.platform.peers.runByHand?.(organization, cmdlet, parameters));
  // What was written is seen a look later.
  const seenOf = (step: string) =>
    expect.poll(async () => (await look()).resources.find((one) => one.step === step), { timeout: 60_000 });
  const second = { ConnectorType: "OnPremises", SenderDomains: ["*"], SenderIPAddresses: [made.ipAddress] };
  await person("New-InboundConnector", { Name: "Second", ...second });
  const candidates = ["FROM Azure VM to M365", "Second"];
  await seenOf("inboundConnector").toMatchObject({ state: "ambiguous", marks: false, candidates });
  await expect(platform.northwind.startAdoption({ tenantId })).rejects.toMatchObject({
    code: "AdoptionBlocked",
    details: [expect.objectContaining({ code: "AdoptionAmbiguous" })],
  });
  const chosen = (await platform.northwind.getAdoption({ tenantId, inboundConnector: "from azure vm to m365" })).body;
  expect(chosen.possible).toBe(true);
  await person("Remove-InboundConnector", { Identity: "Second", Confirm: false });
  await seenOf("inboundConnector").toMatchObject({ state: "found" });

  const theirs = "managed by Gatehouse; partner=tailspin; tenant=contoso; resource=approvalRule";
  const rule = "Approve all Mails from own SMTP Server on Azure VM";
  await person("Set-TransportRule", { Identity: rule, Comments: theirs });
  await seenOf("approvalRule").toMatchObject({ state: "foreign", marks: false });
  expect((await look()).possible).toBe(false);
  await person("Set-TransportRule", { Identity: rule, Comments: "by hand" });
  await seenOf("approvalRule").toMatchObject({ state: "found", marks: true });
});

test("it is taken over by marks alone, while mail runs on", async () => {
  const before = await platform.now();
  const adopted = await adopt((await look()).hash);
  expect(adopted.error).toBeUndefined();
  expect(adopted).toMatchObject({
    kind: "adoption",
    status: "Succeeded",
    result: { stage: "live", egressIps: [made.ipAddress] },
  });
  const tags = "gatehouse-partner,gatehouse-tenant";
  expect((await written(before)).map(said)).toEqual([
    `Merge ${tags} resourceGroups/iqsuite-rg`,
    `Merge ${tags} publicIPAddresses/iqsuite-ip`,
    `Merge ${tags} networkSecurityGroups/iqsuite-nsg`,
    `Merge ${tags} virtualNetworks/iqsuite-vnet`,
    `Merge ${tags} availabilitySets/iqsuite-set`,
    `Merge ${tags} networkInterfaces/iqsuite-nic`,
    `Merge ${tags} virtualMachines/iqsuite-vm`,
    "Set-InboundConnector Comment,Identity",
    "Set-OutboundConnector Comment,Identity",
    "Set-TransportRule Comments,Identity",
    "Set-TransportRule Comments,Identity",
  ]);
  expect(await stream.one("after-adoption")).toBe("through");
  const { stage, conditions } = await tenant();
  expect(stage).toBe("live");
  expect(conditions).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ type: "Ready", status: "True", reason: "Adopted" }),
      expect.objectContaining({ type: "MailFlowConnected", status: "Unknown", reason: "NotProven" }),
    ]),
  );
});

test("drift is clean afterwards, and the fleet's sweep watches the machine", async () => {
  const before = await platform.now();
  expect(await drift()).toMatchObject({ status: "inSync", differences: [], unread: [] });
  expect((await tenant()).conditions).toContainEqual(expect.objectContaining({ type: "InSync", status: "True" }));
  await platform.fire("pollGateways");
  const gateway = async () => (await platform.northwind.getGateway({ gatewayId: `${tenantId}-iqsuite-vm` })).body;
  await expect.poll(async () => (await gateway()).state.health, { timeout: 60_000 }).toBe("healthy");
  expect(await gateway()).toMatchObject({ address: made.ipAddress, fqdn: made.fqdn, virtualMachineId: made.virtualMachineId });
  await platform.fire("pollBlocklists");
  const reversed = made.ipAddress.split(".").toReversed().join(".");
  const asked = async () => (await platform.clouds.requests("dns", before)).filter(({ url }) => url.includes(`${reversed}.`));
  await expect.poll(async () => (await asked()).length, { timeout: 60_000 }).toBeGreaterThan(0);
  expect((await written(before)).map(said)).toEqual([]);
});

test("taken over once more, nothing is written", async () => {
  const before = await platform.now();
  expect(await adopt()).toMatchObject({ status: "Succeeded" });
  expect((await written(before)).map(said)).toEqual([]);
  expect(await drift()).toMatchObject({ status: "inSync" });
});

test("what a colleague changes is drift from what was found, and a repair brings that back and nothing else", async () => {
  const colleague = (cmdlet: string, parameters: Record<string, unknown>) =>
    platform.asStranger(async () => platform.clouds.platform.peers.runByHand?.(organization, cmdlet, parameters));
  await colleague("Set-TransportRule", {
    Identity: "Approve all Mails from own SMTP Server on Azure VM",
    FromScope: "NotInOrganization",
  });
  await colleague("Set-InboundConnector", { Identity: "FROM Azure VM to M365", Enabled: false });
  const found = await drift();
  expect(found.differences.map(({ step, changes }) => [step, changes.map(({ path, expected }) => [path, expected])])).toEqual([
    ["inboundConnector", [["enabled", true]]],
    ["approvalRule", [["fromScope", null]]],
  ]);
  const before = await platform.now();
  const repaired = await platform.untilEnded((await platform.northwind.startRepair({ tenantId })).body);
  expect(repaired.error).toBeUndefined();
  expect((await written(before)).map(said)).toEqual([
    "Set-InboundConnector Enabled,Identity",
    "Set-TransportRule FromScope,Identity",
  ]);
  expect(await drift()).toMatchObject({ status: "inSync" });
});

test("a plan shows what an onboarding would add; what needs what isn't there is refused with the reason", async () => {
  const before = await platform.now();
  const { resources } = (await platform.northwind.planOnboarding({ tenantId })).body;
  const actions = resources.map(({ kind, action }) => `${kind}: ${action}`);
  expect(actions).toEqual(expect.arrayContaining(["vault: create", "guest: create", "guardRule: create", "stripRule: create"]));
  expect(actions.filter((one) => one.endsWith("replace") || one.endsWith("blocked"))).toEqual([]);
  const refused = { code: "TenantAdopted" };
  await expect(platform.northwind.startPromotion({ tenantId })).rejects.toMatchObject(refused);
  await expect(platform.northwind.startBypass({ tenantId, body: { reason: "it does not answer" } })).rejects.toMatchObject(
    refused,
  );
  expect((await written(before)).map(said)).toEqual([]);
});

test("where the person's rule names somebody, it is a pilot, and its marks stay when the adoption ends early", async () => {
  const adatum = customer("contoso", "adatum");
  const { tenantId: other, spec, watched } = adatum;
  await platform.organize(adatum);
  await platform.clouds.consent(watched.organization);
  const options = { from: spec.pilot.addresses, name: "adatum", called: (manual: string) => `${manual} of Adatum` };
  const { loopGuid } = await platform.asStranger(() => makeByHand(platform.clouds, adatum, options));
  await platform.register(adatum);
  const seen = async () => (await platform.northwind.getAdoption({ tenantId: other })).body;
  await expect.poll(async () => (await seen()).possible, { timeout: 60_000 }).toBe(true);
  expect((await seen()).stage).toBe("pilot");
  await platform.clouds.fault("arm", { kind: "status", status: 400 }, { method: "PATCH", path: "adatum-vm" });
  const start = async () => platform.untilEnded((await platform.northwind.startAdoption({ tenantId: other })).body);
  const failed = await start();
  expect(failed).toMatchObject({ status: "Failed", error: { code: "AzureRefused" } });
  // Some of it carries our marks: an offboarding would break the rest.
  await expect(platform.northwind.startOnboarding({ tenantId: other })).rejects.toMatchObject({ code: "TenantAdopted" });
  const leaving = platform.northwind.startOffboarding({ tenantId: other, body: { confirm: other } });
  await expect(leaving).rejects.toMatchObject({ code: "TenantAdopted" });
  const before = await platform.now();
  expect(await start()).toMatchObject({ status: "Succeeded", result: { stage: "pilot" } });
  const again = about(adatum, await platform.record(before)).filter(
    ({ method, url }) => method === "PATCH" && url.includes("/tags/"),
  );
  expect(again.map(({ url }) => url.includes("adatum-vm"))).toEqual([true]);
  expect((await platform.northwind.lookForDriftNow({ tenantId: other })).body).toMatchObject({ status: "inSync" });
  expect((await platform.northwind.getTenant({ tenantId: other })).body.stage).toBe("pilot");

  // Its loop is proven beside the pilot's mail, and everything keeps its name.
  const onboarded = await platform.untilEnded((await platform.northwind.startOnboarding({ tenantId: other })).body);
  expect(onboarded.error).toBeUndefined();
  const estate = await platform.estate(adatum);
  expect(estate.loopGuid).toMatchObject({ vault: loopGuid, forwardingRule: [loopGuid], approvalRule: [loopGuid] });
  expect(estate.exchange).toEqual({
    inboundConnectors: ["FROM Azure VM to M365 of Adatum"],
    outboundConnectors: ["M365 to Azure VM of Adatum"],
    transportRules: [
      "Guard loop header of own Azure VM",
      "Route all Mails to own Azure VM of Adatum",
      "Approve all Mails from own SMTP Server on Azure VM of Adatum",
      "Strip loop header of own Azure VM",
    ],
  });
  expect((await platform.northwind.lookForDriftNow({ tenantId: other })).body).toMatchObject({ status: "inSync" });
  await platform.fire("pollGateways");
  await expect
    .poll(async () => (await platform.northwind.getGateway({ gatewayId: `${other}-adatum-vm` })).body.state.health, {
      timeout: 60_000,
    })
    .toBe("healthy");
  const promoted = await platform.untilEnded((await platform.northwind.startPromotion({ tenantId: other })).body);
  expect(promoted.error).toBeUndefined();
});

test("an onboarding makes it whole while mail runs on: its plan, object by object, with the loop GUID and the names that it had", async () => {
  const plan = (await platform.northwind.planOnboarding({ tenantId })).body;
  expect(plan.findings.filter(({ severity }) => severity === "error")).toEqual([]);
  const started = await platform.northwind.startOnboarding({ tenantId, body: { plan: plan.hash } });
  const onboarded = await platform.untilEnded(started.body);
  expect(onboarded.error).toBeUndefined();
  expect(onboarded).toMatchObject({ status: "Succeeded", result: { stage: "live", egressIps: [made.ipAddress] } });
  expect(await stream.one("after-onboarding")).toBe("through");
  const changed = onboarded.steps.filter(({ change }) => change !== undefined && change !== "unchanged");
  const kinds = new Set(
    changed.map(({ name }) => (name === "pilotScope" ? "forwardingRule" : name.replace(/^vaultAccess.*/, "roleAssignment"))),
  );
  for (const secret of ["loopGuid", "adminPassword"]) kinds.delete(secret);
  const planned = plan.resources.filter(({ action }) => action !== "none").map(({ kind }) => kind);
  expect([...kinds].toSorted()).toEqual([...new Set(planned)].toSorted());

  const { loopGuid, exchange, addresses } = await platform.estate(contoso);
  expect(loopGuid).toEqual({
    vault: made.loopGuid,
    registry: `X-iqsuite-process:${made.loopGuid}`,
    approvalRule: [made.loopGuid],
    forwardingRule: [made.loopGuid],
  });
  expect(exchange).toEqual({
    inboundConnectors: ["FROM Azure VM to M365"],
    outboundConnectors: ["M365 to Azure VM"],
    transportRules: [
      "Guard loop header of own Azure VM",
      "Route all Mails to own Azure VM",
      "Route all Mails to own Azure VM, domains",
      "Approve all Mails from own SMTP Server on Azure VM",
      "Strip loop header of own Azure VM",
    ],
  });
  const { probeMailbox } = contoso.spec.microsoft365;
  expect(addresses.forwarded).toEqual(expect.arrayContaining([probeMailbox, ...contoso.spec.pilot.addresses]));
  expect(await drift()).toMatchObject({ status: "inSync", differences: [], unread: [] });
  const kept = [
    platform.logged.join("\n"),
    filesIn(directory),
    await tablesNow(),
    await blobsNow(),
    JSON.stringify([plan, onboarded]),
  ];
  expect(kept.map((text) => secretsSeen(text, new Map([["the loop GUID", made.loopGuid]])))).toEqual([[], [], [], [], []]);
});

test("no mail was lost all the while, none came twice, and each went through the gateway", async () => {
  const ways = await stream.end();
  expect(ways.through).toBeGreaterThan(0);
  expect(ways).toMatchObject({ around: 0, unmarked: 0 });
});

test("whole, it is bypassed, restored, demoted and promoted like any other, and nothing more to adopt", async () => {
  const ended = async (started: Promise<{ body: Operation }>): Promise<Operation> => platform.untilEnded((await started).body);
  const { northwind } = platform;
  const succeeded = { status: "Succeeded" };
  expect(await ended(northwind.startBypass({ tenantId, body: { reason: "it does not answer" } }))).toMatchObject(succeeded);
  expect(await ended(northwind.startRestore({ tenantId }))).toMatchObject(succeeded);
  expect(await ended(northwind.startDemotion({ tenantId }))).toMatchObject(succeeded);
  expect(await ended(northwind.startPromotion({ tenantId }))).toMatchObject(succeeded);
  expect((await tenant()).stage).toBe("live");
  expect(await drift()).toMatchObject({ status: "inSync" });
  await expect(northwind.startAdoption({ tenantId })).rejects.toMatchObject({ code: "NothingToAdopt" });
});

test("it is taken away like any other", async () => {
  const body = { confirm: tenantId, abandonQueues: true };
  const offboarded = await platform.untilEnded((await platform.northwind.startOffboarding({ tenantId, body })).body);
  expect(offboarded.error).toBeUndefined();
  const { exchange, azure, addresses } = await platform.estate(contoso);
  expect(exchange).toEqual({ inboundConnectors: [], outboundConnectors: [], transportRules: [] });
  expect(addresses.connectionFilter).toEqual([]);
  expect(azure).toEqual([]);
});

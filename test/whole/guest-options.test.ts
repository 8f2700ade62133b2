/**
 * Everything that a spec may say of iQ.Suite, at once: on a machine of the product's image, from refusals with their way out, over the
 * first client secret, to a Windows as the manual has it, which a second run leaves alone; and no secret anywhere but in its place.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Application, hashOf } from "../../infra/local/clouds/entra/directory.ts";
import { productFiles, RESET_FLAG } from "../../infra/local/clouds/guest/product.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import { textIn } from "../../infra/local/clouds/guest/xml.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createVaults } from "../../shared/vault/client.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { letRead, makeGroup } from "../support/directory-groups.ts";
import { customer, customerOf, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";
import { filesIn, secretsSeen, tablesNow } from "../support/secret-search.ts";

const directory = mkdtempSync(path.join(tmpdir(), "gatehouse-guest-options-"));
const plan = { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" };
const image = { publisher: "gatewaymaker", offer: "mail-gateway", sku: "iq-suite-2022", version: "latest", plan };
const mailboxReader = "c0ffee00-0000-4000-8000-0000000000e5";
const iqSuite = {
  automatedSetUp: { removeTranscript: true, sqlServer: {} },
  monitoring: {
    checkIntervalInSeconds: 300,
    restartSmtp: false,
    queue: { warning: 20, error: 40 },
    thresholdNames: { queueWarning: "QW", queueError: "QE", badmailWarning: "BW", badmailError: "BE" },
  },
  mailReporting: {
    account: [
      { name: "SmtpServer", value: "smtp.contoso.example" },
      { name: "SmtpPort", value: 587 },
      { name: "SmtpPassword", secret: "mail-reporting-password" },
    ],
  },
  webClient: { adminGroups: ["Gateway administrators"], resetSecurityContext: { flag: RESET_FLAG } },
  ldifGenerator: {
    administrator: { user: "admin@proseware.example", password: "webclient-administrator" },
    synchronizationUser: { user: "sync@proseware.example", password: "synchronization-user" },
  },
  exchangeWebServices: { clientId: mailboxReader, clientSecret: "mailbox-reader" },
};
const { tenantId, body } = customer("contoso", "proseware");
const tenant = customerOf(tenantId, {
  ...body,
  microsoft365: { ...body.microsoft365, powerShellApplication: true },
  gateway: { ...body.gateway, image: { ...image, acceptTerms: true }, iqSuite, relayDomains: "accepted" },
});
const organization = tenant.spec.microsoft365.tenantId;
/** Put into the vault by their owner. */
const theirs = {
  "mail-reporting-password": "c4nary-Reporting-'\"<&>-1",
  "webclient-administrator": "c4nary-Administrator-2$(x)",
  "synchronization-user": "c4nary-Synchronization-3]]>",
  "mailbox-reader": "c4nary-Mailbox-Reader-4%PATH%",
};

let platform: OnboardingPlatform;
const operations: Operation[] = [];
beforeAll(async () => {
  platform = await startOnboarding({ stateFile: path.join(directory, "durable.sqlite") });
  await platform.organize(tenant);
  await platform.register(tenant);
});
afterAll(async () => {
  await platform.stop();
  rmSync(directory, { recursive: true });
});

const onboarded = async (): Promise<Operation> => {
  const operation = await platform.untilEnded(await platform.start(tenant));
  operations.push(operation);
  return operation;
};
const machine = (): GuestState => {
  const all = platform.clouds.platform.collection<GuestState>("arm.guests").values();
  const own = all.find(({ virtualMachineId }) => virtualMachineId.includes(tenant.spec.azure.subscriptionId));
  if (!own) throw new Error("there is no machine");
  return own;
};
const key = (name: string) => machine().registry[`hklm\\software\\gbs\\iq.suite\\${name}`];
const inFile = (file: string, ...paths: string[]): (string | undefined)[] =>
  paths.map((one) => textIn(machine().files[file.toLowerCase()]?.text ?? "<none/>", file, one));
const application = (displayName: string): string | undefined =>
  platform.clouds.platform
    .collection<{ appId: string; displayName: string }>("entra.applications")
    .values()
    .find((one) => one.displayName === `${displayName} (${tenant.spec.displayName})`)?.appId;
const valueOf = (name: string): string | undefined =>
  platform.clouds.platform
    .collection<{ versions: { value: string }[] }>("vault.secrets")
    .entries()
    .find(([one]) => one.includes(tenantId.slice(0, 6)) && one.endsWith(`/${name}`))?.[1]
    .versions.at(-1)?.value;
/** As their owner does, in the vault that the refusal has named. */
async function putIntoVault(secrets: Record<string, string>): Promise<void> {
  const [, vaultUrl = ""] = operations.map(({ error }) => /the vault (\S+) has/.exec(error?.message ?? "")).find(Boolean) ?? [];
  const { environment, application: ours } = platform.clouds;
  const vaults = createVaults({ environment, credentials: createCredentials(environment, ours) });
  await platform.asStranger(async () => {
    for (const [name, value] of Object.entries(secrets))
      await vaults.write({ vaultUrl, name, value, entraTenantId: tenant.spec.azure.tenantId });
  });
}
const text = (data: string) => ({ type: "String", data });
const dword = (data: number) => ({ type: "DWord", data });

test("while nobody can tell who would administer the WebClient, nothing is made", async () => {
  makeGroup(platform.clouds, organization, "Gateway administrators", "user");
  const { findings } = (await platform.northwind.planOnboarding({ tenantId })).body;
  expect(findings.map(({ code }) => code)).toEqual(
    expect.arrayContaining(["SecretsExpected", "TranscriptRemoved", "SynchronizationUserByHand"]),
  );
  expect(findings.find(({ code }) => code === "SecretsExpected")?.message).toContain(Object.keys(theirs).join(", "));
  const refused = await onboarded();
  expect(refused.error).toMatchObject({ code: "AdminGroupUnproven", message: expect.stringContaining("can't be told") });
  expect((await platform.estate(tenant)).azure).toEqual([]);
  await platform.asStranger(async () => letRead(platform.clouds, organization));
});

test("without the secrets that the spec names no machine is built, and the vault to put them into is told", async () => {
  const refused = await onboarded();
  expect(refused.error).toMatchObject({ code: "NamedSecretMissing", target: "spec.gateway.iqSuite" });
  for (const name of Object.keys(theirs)) expect(refused.error?.message).toContain(name);
  expect((await platform.estate(tenant)).azure).not.toContain("Microsoft.Compute/virtualMachines");
  await putIntoVault(theirs);
});

test("then it is onboarded; what signs in by the WebClient's application waits for its first secret", async () => {
  const operation = await onboarded();
  expect(operation.error).toBeUndefined();
  expect(inFile(productFiles.webClient, "/configuration/Directory/DirectoryType")).toEqual(["LOCAL"]);
  expect(machine().securityContextResets).toBeUndefined();
  await platform.fire("sweepCredentials");
  const rotation = await platform.untilEndedOf("rotation", tenant);
  expect(rotation).toMatchObject({ status: "Succeeded" });
  operations.push(rotation);
});

describe("Windows is as the manual has it", () => {
  test("chapters 3.4 and 4.1: the tenant's GUID in both places, and no transcript", () => {
    const guid = valueOf("loop-guid");
    expect(guid).toBeDefined();
    expect(inFile(productFiles.configuration, "/configuration/userData/Guid")).toEqual([guid]);
    expect(key("inject")).toEqual({ AdditionalInjectHeaders: text(`X-iqsuite-process:${guid}`) });
    expect(machine().files[productFiles.transcript.toLowerCase()]).toBeUndefined();
  });

  test("chapter 3.5: monitor and mail reporting", () => {
    expect(key("controlservice\\smtpmonitoring")).toEqual({
      CheckTimeout: dword(300),
      AutoRestartSMTPSvcEnabled: dword(0),
      QW: dword(20),
      QE: dword(40),
      BW: dword(10),
      BE: dword(20),
    });
    expect(key("controlservice\\mailreporting")).toEqual({
      Enabled: dword(1),
      SmtpServer: text("smtp.contoso.example"),
      SmtpPort: dword(587),
      SmtpPassword: text(theirs["mail-reporting-password"]),
    });
  });

  test("chapters 5.2 and 5.3: the WebClient's directory, its permissions begun anew once", () => {
    const directoryOf = (name: string) => `/configuration/Directory/${name}`;
    expect(
      inFile(
        productFiles.webClient,
        ...["DirectoryType", "AzureTenantId", "AzureClientId", "AzureClientSecretKey", "AzurePSClientId"].map(directoryOf),
        ...["LDIFFilename", "AzureIdentifierLDIFField", "AzureGroupSearchDepth"].map(directoryOf),
        "/configuration/Roles/AdminGroups",
        `/configuration/${RESET_FLAG}`,
      ),
    ).toEqual([
      "AZURE",
      "proseware.example",
      application("iQ.Suite WebClient"),
      valueOf("webclient-client-secret"),
      application("iQ.Suite PowerShell"),
      productFiles.ldif,
      "externalid",
      "10",
      "Gateway administrators",
      "false",
    ]);
    expect(application("iQ.Suite PowerShell")).toBeDefined();
    expect(machine().securityContextResets).toBe(1);
  });

  test("chapter 5.4: the LDIF generator has taken its secrets in and written its file", () => {
    const node = (name: string) => `/LdifGenCfg/${name}`;
    expect(
      inFile(
        productFiles.ldifGenerator,
        ...["Active", "UseCustomProperties", "WebClientUri", "User", "UseWebClient", "AzureTenantId"].map(node),
        ...["AzureClientId", "O365User", "AzureGroupSearchDepth", "Password", "AzureClientSecretKey", "O365Password"].map(node),
      ),
    ).toEqual([
      "true",
      "false",
      `https://${machine().computerName}/webclient`,
      "admin@proseware.example",
      "false",
      "proseware.example",
      application("iQ.Suite WebClient"),
      "sync@proseware.example",
      "5",
      "",
      "",
      "",
    ]);
    expect(machine().files[productFiles.ldif.toLowerCase()]?.text).toContain("version: 1");
  });

  test("chapter 6.1: Exchange Web Services by OAuth", () => {
    expect(key("ewsscan")).toEqual({
      UseOAuth: dword(1),
      OAuthTenantId: text(organization),
      OAuthClientId: text(mailboxReader),
      OAuthClientSecret: text(theirs["mailbox-reader"]),
    });
  });
});

test("chapter 3.4: SQL Server's administrator has a password that the image's set-up never knew, and what it wrote down is gone", async () => {
  const renewal = await platform.untilEndedOf("renewal", tenant);
  expect(renewal.error).toBeUndefined();
  operations.push(renewal);
  const made = valueOf("sql-administrator-password") ?? "";
  expect(made).toHaveLength(44);
  const { sa, iqsuite } = machine().sqlServers["."]?.logins ?? {};
  expect(sa).toBe(hashOf(made));
  // The product signs in with that one, and nobody but the product knows where it keeps it.
  expect(iqsuite).not.toBe(sa);
  expect(machine().files[productFiles.transcript.toLowerCase()]).toBeUndefined();
});

test("chapters 5.2 and 5.4: another client secret of the WebClient's reaches file and generator, and the old one is dead", async () => {
  const { body } = await platform.northwind.rotateCredential({ tenantId, name: "clientSecret" });
  const rotation = await platform.untilEnded(body);
  expect(rotation.error).toBeUndefined();
  operations.push(rotation);
  const now = valueOf("webclient-client-secret") ?? "";
  expect(inFile(productFiles.webClient, "/configuration/Directory/AzureClientSecretKey")).toEqual([now]);
  const kept = `1:${createHash("sha256").update(now).digest("base64")}`;
  expect(
    inFile(productFiles.ldifGenerator, "/LdifGenCfg/AzureClientSecretKey", "/LdifGenCfg/AzureClientSecretKeyEncrypted"),
  ).toEqual(["", kept]);
  const webClient = platform.clouds.platform
    .collection<Application>("entra.applications")
    .values()
    .find(({ appId }) => appId === application("iQ.Suite WebClient"));
  expect(webClient?.passwordCredentials.map(({ hash }) => hash)).toEqual([hashOf(now)]);
});

test("a second run writes nothing, and resets nobody's permissions", async () => {
  const before = await platform.now();
  const again = await onboarded();
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(machine().securityContextResets).toBe(1);
});

test("a secret that its owner has changed reaches the machine with the next onboarding, and nothing else does", async () => {
  // Key Vault counts whole seconds: only a later one makes a version the newest.
  await pause(1100);
  await putIntoVault({ "mail-reporting-password": "c4nary-Reporting-the-next" });
  const before = await platform.now();
  expect((await onboarded()).error).toBeUndefined();
  expect(key("controlservice\\mailreporting")?.["SmtpPassword"]).toEqual(text("c4nary-Reporting-the-next"));
  expect(writes(await platform.record(before)).every((write) => write.includes("/runCommands/"))).toBe(true);
});

test("a domain that the organisation gains is relayed for with the next onboarding, and one that it loses isn't any more", async () => {
  const relayed = () => Object.keys(machine().metabase?.domains ?? {}).toSorted();
  const before = relayed();
  expect(before).toContain("proseware.example");
  expect(before.filter((domain) => domain.includes(".onmicrosoft."))).toHaveLength(1);
  const { organizations } = platform.clouds.platform;
  const known = organizations.get(organization);
  if (!known) throw new Error("there is no organisation");
  const more = [...known.domains, { name: "proseware-mail.example", verified: true, initial: false }];
  organizations.set(organization, { ...known, domains: more });
  expect((await onboarded()).error).toBeUndefined();
  expect(relayed()).toEqual([...before, "proseware-mail.example"].toSorted());
  organizations.set(organization, known);
  expect((await onboarded()).error).toBeUndefined();
  expect(relayed()).toEqual(before);
});

describe("no secret is seen", () => {
  const secrets = (): Map<string, string> =>
    new Map([
      ...Object.entries(theirs),
      ...["loop-guid", "gateway-admin-password", "webclient-client-secret"].map((name) => [name, valueOf(name) ?? ""] as const),
    ]);
  const runCommands = (): string =>
    JSON.stringify(platform.clouds.platform.collection("arm.microsoft.compute/virtualmachines/runcommands").values());
  const places: [string, () => string | Promise<string>][] = [
    ["in the run commands as they came", runCommands],
    ["in the tables", tablesNow],
    ["in the host's durable state", () => filesIn(directory)],
    ["in the record of requests", async () => JSON.stringify(await platform.record())],
    ["in what the clouds show of machines", async () => JSON.stringify(await platform.clouds.state("arm"))],
    ["in what the operations tell", () => JSON.stringify(operations)],
  ];
  test.each(places)("%s", async (_, read) => {
    expect([...secrets().values()].every((value) => value.length >= 16)).toBe(true);
    expect(secretsSeen(await read(), secrets())).toEqual([]);
  });

  test("in the logs", () => {
    expect(secretsSeen(platform.logged.join("\n"), secrets())).toEqual([]);
  });
});

everyBodyFits(
  () => platform.record(),
  ["microsoft.marketplaceordering/offertypes/publishers/offers/plans/agreements@2021-01-01"],
);

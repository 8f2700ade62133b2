/** A machine of an image that sets itself up: nothing of ours is written before that has ended, and then all of it, over what was left. */
import { describe, expect, test } from "vitest";
import { productFiles, RESET_FLAG, withSetUpBegun } from "../../infra/local/clouds/guest/product.ts";
import { freshGuest, type GuestState } from "../../infra/local/clouds/guest/state.ts";
import { gatewayDocument, type GatewaySettings } from "../../shared/guest/gateway.ts";
import { iqSuiteSchema } from "../../shared/tenants/iq-suite.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";
import { createMachine, NOW } from "./machine.ts";

const vaultUrl = "https://contoso-abc123.vault.azure.net";
const secret = (name: string) => ({ vaultUrl, name, version: "1" });
const secrets = {
  "loop-guid": "c0ffee00-0000-4000-8000-00000000900d",
  "client-secret": "kl1ent~Secret<&>",
  "next-client-secret": "n3xt~Secret",
  "smtp-password": "sm7p'Pass\"word",
  "admin-password": "adm1n&Password",
  "sync-password": "syn0]]>Password",
  "ews-secret": "ew5~Secret",
};
const settings: GatewaySettings = {
  generation: 1,
  fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
  smartHost: "contoso-example.mail.protection.outlook.com",
  domains: ["contoso.example"],
  loopHeader: "X-iqsuite-process",
  loopGuid: secret("loop-guid"),
  services: servicesSchema.parse({}),
  automatedSetUp: { removeTranscript: false },
};

const machineUntil = (endsAt: number) =>
  createMachine(
    withSetUpBegun(freshGuest({ virtualMachineId: "/vm", computerName: "gw1", smtpServerFeature: true }), endsAt),
    secrets,
  );
const fileIn = ({ files }: GuestState, path: string): string | undefined => files[path.toLowerCase()]?.text;
const monitor = "hklm\\software\\gbs\\iq.suite\\controlservice\\smtpmonitoring";

describe("the image's own set-up", () => {
  test("is not disturbed while it goes on", async () => {
    const machine = machineUntil(NOW + 1000);
    const before = structuredClone(machine.state().files);
    const run = await machine.run("set", gatewayDocument(settings));
    expect(run).toMatchObject({
      exitCode: 3,
      error: { code: "EvidenceMissing", message: `the image's own set-up has not ended: ${productFiles.configuration}` },
    });
    expect(machine.state().files).toEqual(before);
    expect(machine.state().metabase).toBeUndefined();
  });

  test("has ended only when nobody writes its transcript any more", async () => {
    const machine = createMachine(
      {
        files: {
          [productFiles.configuration.toLowerCase()]: {
            path: productFiles.configuration,
            text: "<configuration><userData><Guid>early</Guid></userData></configuration>",
          },
          [productFiles.transcript.toLowerCase()]: { path: productFiles.transcript, text: "…", open: true },
        },
      },
      secrets,
    );
    expect((await machine.run("set", gatewayDocument(settings))).error?.message).toContain("Initialize-iQSuiteAzure.log");
  });

  test("once it has ended its GUID becomes the tenant's own in both places, and its transcript stays", async () => {
    const machine = machineUntil(NOW);
    expect(await machine.run("set", gatewayDocument(settings))).toMatchObject({ inDesiredState: true });
    expect(fileIn(machine.state(), productFiles.configuration)).toContain(`<Guid>${secrets["loop-guid"]}</Guid>`);
    expect(machine.state().registry["hklm\\software\\gbs\\iq.suite\\inject"]?.["AdditionalInjectHeaders"]?.data).toBe(
      `X-iqsuite-process:${secrets["loop-guid"]}`,
    );
    expect(fileIn(machine.state(), productFiles.transcript)).toContain("SQL SA password");
  });

  test("its transcript goes where that is asked for, and stays gone", async () => {
    const machine = machineUntil(NOW);
    const desired = gatewayDocument({ ...settings, automatedSetUp: { removeTranscript: true } });
    expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true });
    expect(fileIn(machine.state(), productFiles.transcript)).toBeUndefined();
    expect(JSON.stringify(machine.state())).not.toContain("SQL SA password");
    expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true, changed: [] });
  });
});

test("the product's monitor goes by the spec's numbers, by thresholds only where their names are known", async () => {
  const names = { queueWarning: "QW", queueError: "QE", badmailWarning: "BW", badmailError: "BE" };
  const monitoring = (more: object) =>
    iqSuiteSchema.parse({ monitoring: { checkIntervalInSeconds: 300, restartSmtp: false, ...more } }).monitoring;
  const dword = (data: number) => ({ type: "DWord", data });
  const machine = machineUntil(NOW);
  await machine.run("set", gatewayDocument({ ...settings, monitoring: monitoring({}) }));
  expect(machine.state().registry[monitor]).toEqual({ CheckTimeout: dword(300), AutoRestartSMTPSvcEnabled: dword(0) });
  const named = gatewayDocument({
    ...settings,
    monitoring: monitoring({ queue: { warning: 20, error: 40 }, thresholdNames: names }),
  });
  expect(await machine.run("set", named)).toMatchObject({ inDesiredState: true });
  expect(machine.state().registry[monitor]).toMatchObject({ QW: dword(20), QE: dword(40), BW: dword(10), BE: dword(20) });
});

const clientId = "c0ffee00-0000-4000-8000-0000000000c1";
const signIn = { tenantDomain: "contoso.example", clientId, clientSecret: secret("client-secret") };
const webClient: NonNullable<GatewaySettings["webClient"]> = {
  ...signIn,
  powerShellClientId: "c0ffee00-0000-4000-8000-0000000000c2",
  ldifFile: productFiles.ldif,
  groupSearchDepth: 7,
  adminGroups: ["Gateway administrators", "Mail & Co"],
  resetFlag: RESET_FLAG,
};
const ldif: NonNullable<GatewaySettings["ldif"]> = {
  ...signIn,
  webClientUri: "https://gw1/webclient",
  user: "admin@contoso.example",
  password: secret("admin-password"),
  microsoft365User: "sync@contoso.example",
  microsoft365Password: secret("sync-password"),
  groupSearchDepth: 5,
  customProperties: false,
};

/** What an element says, as far as these files go: no element has another in it. */
const element = (text: string | undefined, name: string): string | undefined =>
  text?.includes(`<${name}/>`) ? "" : new RegExp(`<${name}>([^<]*)</${name}>`).exec(text ?? "")?.[1];
const elements = (text: string | undefined, ...names: string[]): Record<string, string | undefined> =>
  Object.fromEntries(names.map((name) => [name, element(text, name)]));

describe("the WebClient's directory", () => {
  const directory = [
    "DirectoryType",
    "AzureTenantId",
    "AzureClientId",
    "AzurePSClientId",
    "LDIFFilename",
    "AzureIdentifierLDIFField",
    "AzureGroupSearchDepth",
    "AdminGroups",
  ];

  test("is the manual's section, beside what is there, and the web server reads it", async () => {
    const machine = machineUntil(NOW);
    await machine.run("set", gatewayDocument(settings));
    const before = machine.state().restarts["W3SVC"] ?? 0;
    expect(await machine.run("set", gatewayDocument({ ...settings, webClient }))).toMatchObject({ inDesiredState: true });
    const file = fileIn(machine.state(), productFiles.webClient);
    expect(elements(file, ...directory)).toEqual({
      DirectoryType: "AZURE",
      AzureTenantId: "contoso.example",
      AzureClientId: clientId,
      AzurePSClientId: "c0ffee00-0000-4000-8000-0000000000c2",
      LDIFFilename: productFiles.ldif,
      AzureIdentifierLDIFField: "externalid",
      AzureGroupSearchDepth: "7",
      AdminGroups: "Gateway administrators;Mail &amp; Co",
    });
    expect(element(file, "AzureClientSecretKey")).toBe("kl1ent~Secret&lt;&amp;&gt;");
    expect(file).toContain("<!-- kept by the WebClient -->");
    expect(machine.state().restarts["W3SVC"]).toBe(before + 1);
  });

  test("has its permissions begun anew once, whatever is written there later", async () => {
    const machine = machineUntil(NOW);
    const desired = gatewayDocument({ ...settings, webClient });
    await machine.run("set", desired);
    expect(machine.state().securityContextResets).toBe(1);
    expect(element(fileIn(machine.state(), productFiles.webClient), RESET_FLAG)).toBe("false");
    expect(await machine.run("set", desired)).toMatchObject({ changed: [], inDesiredState: true });
    // A rotation gives it another secret, and the web server starts again.
    const rotated = { ...webClient, clientSecret: secret("next-client-secret") };
    const next = await machine.run("set", gatewayDocument({ ...settings, generation: 2, webClient: rotated }));
    expect(next.changed).toEqual([expect.stringContaining("/AzureClientSecretKey")]);
    expect(machine.state().securityContextResets).toBe(1);
  });

  test("without the flag's name nobody's permissions are touched", async () => {
    const machine = machineUntil(NOW);
    await machine.run("set", gatewayDocument({ ...settings, webClient: { ...webClient, resetFlag: undefined } }));
    expect(machine.state().securityContextResets).toBeUndefined();
  });
});

describe("the LDIF generator", () => {
  test("is set as the manual shows it, takes its secrets in, writes its file, and is left alone then", async () => {
    const machine = machineUntil(NOW);
    const desired = gatewayDocument({ ...settings, ldif });
    expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true });
    const file = fileIn(machine.state(), productFiles.ldifGenerator);
    const names = ["Active", "UseCustomProperties", "WebClientUri", "User", "UseWebClient", "AzureTenantId", "AzureClientId"];
    expect(elements(file, ...names, "O365User", "AzureGroupSearchDepth")).toEqual({
      Active: "true",
      UseCustomProperties: "false",
      WebClientUri: "https://gw1/webclient",
      User: "admin@contoso.example",
      UseWebClient: "false",
      AzureTenantId: "contoso.example",
      AzureClientId: clientId,
      O365User: "sync@contoso.example",
      AzureGroupSearchDepth: "5",
    });
    expect(elements(file, "Password", "AzureClientSecretKey", "O365Password")).toEqual({
      Password: "",
      AzureClientSecretKey: "",
      O365Password: "",
    });
    for (const kept of ["PasswordEnrypted", "AzureClientSecretKeyEncrypted", "O365PasswordEnrypted"])
      expect(element(file, kept)).toMatch(/^1:.{40}/);
    expect(fileIn(machine.state(), productFiles.ldif)).toContain("version: 1");
    expect(await machine.run("set", desired)).toMatchObject({ changed: [], inDesiredState: true });

    const rotated = gatewayDocument({
      ...settings,
      generation: 2,
      ldif: { ...ldif, clientSecret: secret("next-client-secret") },
    });
    expect(await machine.run("set", rotated)).toMatchObject({
      inDesiredState: true,
      changed: [expect.stringContaining("/AzureClientSecretKey")],
    });
  });

  test("writes elsewhere where that is said", async () => {
    const machine = machineUntil(NOW);
    const customPath = "C:\\ProgramData\\Contoso\\users.ldf";
    await machine.run("set", gatewayDocument({ ...settings, ldif: { ...ldif, customPath } }));
    expect(element(fileIn(machine.state(), productFiles.ldifGenerator), "LDIFCustomPath")).toBe(customPath);
    expect(fileIn(machine.state(), customPath)).toContain("version: 1");
  });
});

test("mail reporting is switched on with the account that the spec names, and with nothing else", async () => {
  const machine = machineUntil(NOW);
  const mailReporting = [
    { name: "SmtpServer", value: "smtp.contoso.example" },
    { name: "SmtpPort", value: 587 },
    { name: "SmtpPassword", secret: secret("smtp-password") },
  ];
  expect(await machine.run("set", gatewayDocument({ ...settings, mailReporting }))).toMatchObject({ inDesiredState: true });
  expect(machine.state().registry["hklm\\software\\gbs\\iq.suite\\controlservice\\mailreporting"]).toEqual({
    SmtpServer: { type: "String", data: "smtp.contoso.example" },
    SmtpPort: { type: "DWord", data: 587 },
    SmtpPassword: { type: "String", data: secrets["smtp-password"] },
    Enabled: { type: "DWord", data: 1 },
  });
});

test("Exchange Web Services sign in by OAuth with their own application, whatever WebClient's secret is", async () => {
  const machine = machineUntil(NOW);
  const exchangeWebServices = { tenantId: "c0ffee00-0000-4000-8000-000000000001", clientId, clientSecret: secret("ews-secret") };
  const clientSecret = secret("client-secret");
  await machine.run("set", gatewayDocument({ ...settings, clientSecret, exchangeWebServices }));
  expect(machine.state().registry["hklm\\software\\gbs\\iq.suite\\ewsscan"]).toEqual({
    UseOAuth: { type: "DWord", data: 1 },
    OAuthTenantId: { type: "String", data: "c0ffee00-0000-4000-8000-000000000001" },
    OAuthClientId: { type: "String", data: clientId },
    OAuthClientSecret: { type: "String", data: secrets["ews-secret"] },
  });
});

/** What a gateway's and a UCM server's document says, how it travels to a machine, and how the engine's output is read. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeDocument, encodeDocument } from "../../shared/guest/encoding.ts";
import { parseEngineOutput } from "../../shared/guest/engine.ts";
import { gatewayDocument, type GatewaySettings } from "../../shared/guest/gateway.ts";
import { ucmDocument } from "../../shared/guest/ucm.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";

const settings: GatewaySettings = {
  generation: 1,
  fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
  smartHost: "contoso-example.mail.protection.outlook.com",
  domains: ["contoso.example"],
  loopHeader: "X-iqsuite-process",
  loopGuid: { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "loop-guid", version: "0123456789abcdef" },
  services: servicesSchema.parse({ rdp: { sources: ["203.0.113.0/24"] }, keyManager: {} }),
};

const MONITORING = "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\ControlService\\SMTPMonitoring";

const everything: Partial<GatewaySettings> = {
  clientSecret: settings.loopGuid,
  mailReporting: [
    { name: "Server", value: "smtp.contoso.example" },
    { name: "Port", value: 587 },
  ],
  certificate: { thumbprint: "A".repeat(40), secret: settings.loopGuid, replaces: ["B".repeat(40)] },
  automatedSetUp: { removeTranscript: true },
  exchangeWebServices: {
    tenantId: "c0ffee00-0000-4000-8000-000000000001",
    clientId: "c0ffee00-0000-4000-8000-0000000000c1",
    clientSecret: settings.loopGuid,
  },
  webClient: {
    tenantDomain: "contoso.example",
    clientId: "c0ffee00-0000-4000-8000-0000000000c1",
    clientSecret: settings.loopGuid,
    powerShellClientId: "c0ffee00-0000-4000-8000-0000000000c2",
    ldifFile: "",
    groupSearchDepth: 10,
    adminGroups: ["gateway-admins"],
  },
  ldif: {
    webClientUri: "https://gw1/webclient",
    user: "admin@contoso.example",
    password: settings.loopGuid,
    tenantDomain: "contoso.example",
    clientId: "c0ffee00-0000-4000-8000-0000000000c1",
    clientSecret: settings.loopGuid,
    microsoft365User: "sync@contoso.example",
    microsoft365Password: settings.loopGuid,
    groupSearchDepth: 5,
    customProperties: false,
  },
  heartbeat: {
    url: "https://gatehouse.example/api/agents/1/heartbeat?api-version=2026-11-01",
    audience: "90a7e000-0000-4000-8000-00000000000a",
    identityClientId: "90a7e000-0000-4000-8000-0000000000d1",
    fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
    services: ["SMTPSVC"],
    probe: { host: "contoso-example.mail.protection.outlook.com", recipient: "postmaster@contoso.example" },
  },
  directory: {
    url: "https://gatehouse.example/api/agents/1/directory?api-version=2026-11-01",
    audience: "90a7e000-0000-4000-8000-00000000000a",
    identityClientId: "90a7e000-0000-4000-8000-0000000000d1",
    file: "C:\\Program Files\\GBS\\iQ.Suite\\Config\\iqsuite.ldf",
  },
};

describe("the gateway's document", () => {
  test("is the manual's chapters 2.1, 3.2 and 4.1", () => {
    expect(gatewayDocument(settings)).toEqual({
      schema: 2,
      generation: 1,
      features: ["SMTP-Server", "Web-Metabase"],
      smtp: {
        fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
        smartHost: "contoso-example.mail.protection.outlook.com",
        inboundTls: true,
        outboundTls: true,
        relayFor: ["contoso.example"],
      },
      registry: [
        {
          path: "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\Inject",
          name: "AdditionalInjectHeaders",
          type: "String",
          secret: settings.loopGuid,
          prefix: "X-iqsuite-process:",
        },
        { path: MONITORING, name: "CheckTimeout", type: "DWord", value: 600 },
        { path: MONITORING, name: "AutoRestartSMTPSvcEnabled", type: "DWord", value: 1 },
      ],
      xml: [
        {
          file: "C:\\iQSuite-Azure-Automation\\GBS-PowerShell-Management\\configuration.xml",
          whenPresent: true,
          nodes: [{ path: "/configuration/userData/Guid", secret: settings.loopGuid }],
        },
      ],
      defender: { exclusions: ["C:\\inetpub", "C:\\Program Files\\GBS\\iQ.Suite\\GrpData"] },
      firewall: [
        { name: "Gatehouse RDP", port: 3389, protocol: "TCP", sources: ["203.0.113.0/24"] },
        { name: "Gatehouse SMTP", port: 25, protocol: "TCP" },
        { name: "Gatehouse KeyManager", port: 8080, protocol: "TCP" },
      ],
      services: [
        { name: "SMTPSVC", startType: "Automatic", state: "Running", restartAfter: ["certificates", "smtp", "registry"] },
      ],
    });
  });

  test("has EWS, WebClient, LDIF, own certificate, transcript, heartbeat and directory where they are wanted", () => {
    const made = gatewayDocument({ ...settings, ...everything });
    const names = (made.registry ?? []).map(({ path, name }) => `${path.split("\\").at(-1)}\\${name}`);
    expect(names).toEqual(
      expect.arrayContaining([
        "EWSScan\\UseOAuth",
        "EWSScan\\OAuthTenantId",
        "EWSScan\\OAuthClientId",
        "EWSScan\\OAuthClientSecret",
      ]),
    );
    expect(names).toContain("MailReporting\\Enabled");
    const nodes = Object.fromEntries((made.xml ?? []).map(({ file, nodes: all }) => [file.split("\\").at(-1), all]));
    expect(nodes["dynamic_configuration.xml"]).toEqual(
      expect.arrayContaining([
        { path: "/configuration/Directory/DirectoryType", value: "AZURE" },
        { path: "/configuration/Directory/AzureIdentifierLDIFField", value: "externalid" },
        { path: "/configuration/Roles/AdminGroups", value: "gateway-admins" },
      ]),
    );
    expect(nodes["LdifGenCfg.xml"]).toEqual(
      expect.arrayContaining([
        { path: "/LdifGenCfg/UseWebClient", value: "false" },
        { path: "/LdifGenCfg/Password", secret: settings.loopGuid, twin: "/LdifGenCfg/PasswordEnrypted" },
        { path: "/LdifGenCfg/AzureGroupSearchDepth", value: "5" },
      ]),
    );
    expect(made.certificates).toEqual([
      { thumbprint: "A".repeat(40), store: "My", secret: settings.loopGuid },
      { thumbprint: "B".repeat(40), store: "My", absent: true },
    ]);
    expect((made.files ?? []).map(({ path, absent }) => [path.split("\\").at(-1), absent])).toEqual([
      ["heartbeat.ps1", undefined],
      ["heartbeat.json", undefined],
      ["directory.ps1", undefined],
      ["directory.json", undefined],
      ["Initialize-iQSuiteAzure.log", true],
    ]);
    expect(made.tasks?.map(({ name, everyInMinutes }) => [name, everyInMinutes])).toEqual([
      ["Heartbeat", 10],
      ["Directory", 30],
    ]);
    expect(made.evidence?.map(({ file }) => file.split("\\").at(-1))).toEqual([
      "configuration.xml",
      "Initialize-iQSuiteAzure.log",
    ]);
    expect(made.services?.map(({ name }) => name)).toEqual(["SMTPSVC", "iQ.Suite LDIF Generator Service", "W3SVC"]);
    expect(JSON.stringify({ ...made, files: [] })).not.toMatch(/"value":"[^"]*(password|secret)/i);
  });

  test("arrives as it was sent, in an alphabet that cmd.exe leaves alone", () => {
    fc.assert(
      fc.property(fc.array(fc.domain(), { minLength: 1, maxLength: 20 }), fc.nat({ max: 1000 }), (domains, generation) => {
        const document = gatewayDocument({ ...settings, domains, generation: generation + 1 });
        const encoded = encodeDocument(document);
        expect(encoded).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeDocument(encoded)).toEqual(document);
      }),
    );
  });

  test("is refused when it does not fit into one argument", () => {
    const noise = Array.from(
      { length: 900 },
      (_, index) => `${(index * 2_654_435_761).toString(36)}-${(index * 40_503_011).toString(36)}.example`,
    );
    expect(() => encodeDocument(gatewayDocument({ ...settings, domains: noise }))).toThrow(
      expect.objectContaining({ code: "GuestDocumentTooLarge" }),
    );
  });

  test("is refused when it is none", () => {
    for (const encoded of ["", "AAAA", encodeDocument(gatewayDocument(settings)).slice(0, 40)])
      expect(() => decodeDocument(encoded)).toThrow(expect.objectContaining({ code: "GuestDocumentMalformed" }));
  });
});

test("the UCM server's document is the prerequisites' E6 to E9", () => {
  const made = ucmDocument({
    generation: 1,
    account: "CONTOSO\\svc-ucm",
    subnet: "192.0.2.0/24",
    controllers: ["192.0.2.4"],
  });
  expect(made.groups).toEqual([{ group: "S-1-5-32-544", members: ["CONTOSO\\svc-ucm"] }]);
  expect(made.rights).toEqual([{ right: "SeServiceLogonRight", accounts: ["CONTOSO\\svc-ucm"] }]);
  expect(made.defender).toEqual({ exclusions: ["C:\\Program Files (x86)\\itrezzoAgent"] });
  expect(made.registry?.map(({ name, value }) => [name, value])).toEqual([
    ["IsInstalled", 0],
    ["IsInstalled", 0],
  ]);
  expect(made.firewall?.map(({ port, direction = "Inbound", sources }) => [port, direction, sources])).toEqual([
    [80, "Inbound", ["192.0.2.0/24"]],
    ["49241-65535", "Inbound", ["192.0.2.0/24"]],
    [80, "Outbound", undefined],
    [443, "Outbound", undefined],
    [389, "Outbound", ["192.0.2.4"]],
  ]);
});

describe("the engine's output", () => {
  const line = '{"inDesiredState":false,"generation":3,"differences":["smtp/fqdn"],"changed":[]}';
  test("is the last line of ours", () => {
    expect(parseEngineOutput(`WARNING: something\r\n{"other":1}\r\n${line}\r\n\r\n`)).toMatchObject({
      generation: 3,
      differences: ["smtp/fqdn"],
    });
  });
  test("is nothing when the engine said nothing", () => {
    for (const output of ["", "boom", "{", '{"inDesiredState":"yes"}']) expect(parseEngineOutput(output)).toBeUndefined();
  });
});

/**
 * iQ.Suite as a publisher's image brings it: what its automated set-up leaves on a machine, and what its services do with their files when
 * they start. Sources: the iQ.Suite manual, chapters 3.4, 3.5, 4.1, 5.2 to 5.4 and 6.1. Root elements of two files and the name of the
 * flag that resets the SecurityContext are inferred, since the manual shows neither.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { documentSchema } from "./document.ts";
import { kinds } from "./kinds.ts";
import type { GuestFile, GuestState } from "./state.ts";
import { hashOf, knownValues } from "./values.ts";
import { textIn, withTexts } from "./xml.ts";

const AUTOMATION = "C:\\iQSuite-Azure-Automation\\GBS-PowerShell-Management";
export const productFiles = {
  configuration: `${AUTOMATION}\\configuration.xml`,
  transcript: `${AUTOMATION}\\Initialize-iQSuiteAzure.log`,
  webClient: "C:\\ProgramData\\GBS\\iQ.Suite WebClient\\dynamic_configuration.xml",
  ldifGenerator: "C:\\Program Files\\GBS\\iQ.Suite\\GrpData\\LdifGen\\LdifGenCfg.xml",
  ldif: "C:\\Program Files\\GBS\\iQ.Suite\\Config\\iqsuite.ldf",
} as const;
const PRODUCT = "hklm\\software\\gbs\\iq.suite";
const LDIF_SERVICE = "iQ.Suite LDIF Generator Service";
export const RESET_FLAG = "ResetSecurityContext";

/** The machine as it comes up: its set-up has begun, and its transcript is open. */
export const withSetUpBegun = (guest: GuestState, endsAt: number): GuestState => ({
  ...withFiles(guest, [
    { path: productFiles.configuration, text: "<configuration><userData><Guid></Guid></userData></configuration>" },
    { path: productFiles.transcript, text: "Windows PowerShell transcript start\r\n", open: true },
  ]),
  setUp: { endsAt },
});

/** The machine at that time: once its set-up has ended, all that it leaves is there. */
export function setUpBy(now: number, guest: GuestState): GuestState {
  if (guest.setUp === undefined || now < guest.setUp.endsAt) return guest;
  const { setUp: _ended, ...rest } = guest;
  const guid = randomUUID();
  const password = (): string => randomBytes(18).toString("base64url");
  const [sa, user] = [password(), password()];
  const features = documentSchema.parse({ schema: 2, generation: 1, features: ["SMTP-Server", "Web-Server"] });
  const means = { now, values: knownValues(new Map()), certificates: new Map() };
  const installed = kinds["features"]?.set(rest, features, means) ?? rest;
  const dword = (data: number) => ({ type: "DWord", data });
  return withFiles(
    {
      ...installed,
      services: {
        ...installed.services,
        W3SVC: { startType: "Automatic", state: "Running" },
        [LDIF_SERVICE]: { startType: "Manual", state: "Stopped" },
      },
      // Whether SYSTEM may change logins is not known of the image; SQL Server's own set-up doesn't let it by itself.
      sqlServers: { ".": { systemMayAlter: true, logins: { sa: hashOf(sa), iqsuite: hashOf(user) } } },
      registry: {
        ...installed.registry,
        [`${PRODUCT}\\inject`]: { AdditionalInjectHeaders: { type: "String", data: `X-iqsuite-process:${guid}` } },
        [`${PRODUCT}\\controlservice\\smtpmonitoring`]: { CheckTimeout: dword(600), AutoRestartSMTPSvcEnabled: dword(1) },
        [`${PRODUCT}\\controlservice\\mailreporting`]: { Enabled: dword(0) },
        [`${PRODUCT}\\ewsscan`]: { UseOAuth: dword(0) },
      },
    },
    [
      {
        path: productFiles.configuration,
        text: `<?xml version="1.0" encoding="utf-8"?>\r\n<configuration>\r\n  <userData><Guid>${guid}</Guid></userData>\r\n</configuration>\r\n`,
      },
      {
        path: productFiles.transcript,
        text: `Windows PowerShell transcript start\r\nSQL SA password: ${sa}\r\nGlobal password: ${password()}\r\niQSuite password: ${user}\r\nWindows PowerShell transcript end\r\n`,
      },
      {
        path: productFiles.webClient,
        text: `<?xml version="1.0" encoding="utf-8"?>\r\n<configuration>\r\n  <!-- kept by the WebClient -->\r\n  <Directory>\r\n    <DirectoryType>LOCAL</DirectoryType>\r\n    <AzureTenantId></AzureTenantId>\r\n    <AzureClientId></AzureClientId>\r\n    <AzureClientSecretKey></AzureClientSecretKey>\r\n    <AzurePSClientId></AzurePSClientId>\r\n    <LDIFFilename></LDIFFilename>\r\n    <AzureIdentifierLDIFField></AzureIdentifierLDIFField>\r\n    <AzureGroupSearchDepth>10</AzureGroupSearchDepth>\r\n  </Directory>\r\n  <Roles><AdminGroups></AdminGroups></Roles>\r\n  <${RESET_FLAG}>false</${RESET_FLAG}>\r\n</configuration>\r\n`,
      },
      {
        path: productFiles.ldifGenerator,
        text: `<?xml version="1.0"?>\r\n<LdifGenCfg xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\r\n  <Active>false</Active>\r\n  <UseCustomProperties>false</UseCustomProperties>\r\n  <WebClientUri></WebClientUri>\r\n  <User></User>\r\n  <Password></Password>\r\n  <PasswordEnrypted></PasswordEnrypted>\r\n  <UseWebClient>true</UseWebClient>\r\n  <AzureTenantId></AzureTenantId>\r\n  <AzureClientId></AzureClientId>\r\n  <AzureClientSecretKey></AzureClientSecretKey>\r\n  <AzureClientSecretKeyEncrypted></AzureClientSecretKeyEncrypted>\r\n  <O365User></O365User>\r\n  <O365Password></O365Password>\r\n  <O365PasswordEnrypted></O365PasswordEnrypted>\r\n  <AzureGroupSearchDepth>5</AzureGroupSearchDepth>\r\n</LdifGenCfg>\r\n`,
      },
    ],
  );
}

/** What the product's services do when they start: whichever were started or restarted between two looks. */
export function productStarted(before: GuestState, after: GuestState): GuestState {
  const started = (name: string): boolean =>
    after.services[name]?.state === "Running" &&
    ((after.restarts[name] ?? 0) > (before.restarts[name] ?? 0) || before.services[name]?.state !== "Running");
  const webClient = started("W3SVC") ? resetSecurityContext(after) : after;
  return started(LDIF_SERVICE) ? generateLdif(webClient) : webClient;
}

/** Chapter 5.3: with the flag set, permissions are begun anew, once. */
function resetSecurityContext(guest: GuestState): GuestState {
  const file = guest.files[productFiles.webClient.toLowerCase()];
  const flag = `/configuration/${RESET_FLAG}`;
  if (file === undefined || textIn(file.text, file.path, flag) !== "true") return guest;
  return {
    ...withFiles(guest, [{ ...file, text: withTexts(file.text, file.path, { [flag]: "false" }) }]),
    securityContextResets: (guest.securityContextResets ?? 0) + 1,
  };
}

/** The elements that the product empties, and where it keeps them encrypted; the spelling is its own. */
const ENCRYPTED = {
  "/LdifGenCfg/Password": "/LdifGenCfg/PasswordEnrypted",
  "/LdifGenCfg/AzureClientSecretKey": "/LdifGenCfg/AzureClientSecretKeyEncrypted",
  "/LdifGenCfg/O365Password": "/LdifGenCfg/O365PasswordEnrypted",
};

/** Chapter 5.4: secrets are taken in, and the directory is written to the LDIF file. */
function generateLdif(guest: GuestState): GuestState {
  const file = guest.files[productFiles.ldifGenerator.toLowerCase()];
  if (file === undefined || textIn(file.text, file.path, "/LdifGenCfg/Active") !== "true") return guest;
  const texts: Record<string, string> = {};
  for (const [plain, encrypted] of Object.entries(ENCRYPTED)) {
    const text = textIn(file.text, file.path, plain) ?? "";
    if (text === "") continue;
    texts[plain] = "";
    texts[encrypted] = `1:${createHash("sha256").update(text).digest("base64")}`;
  }
  const custom = textIn(file.text, file.path, "/LdifGenCfg/LDIFCustomPath") ?? "";
  const path = custom === "" ? productFiles.ldif : custom;
  return withFiles(guest, [
    { ...file, text: withTexts(file.text, file.path, texts) },
    { path, text: "version: 1\r\n" },
  ]);
}

const withFiles = (guest: GuestState, files: GuestFile[]): GuestState => ({
  ...guest,
  files: { ...guest.files, ...Object.fromEntries(files.map((file) => [file.path.toLowerCase(), file])) },
});

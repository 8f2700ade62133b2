/** A mail gateway's guest document: chapters 2.1, 3, 4.1, 5.2 to 5.4 and 6.1 of the manual as data. Pure. */
import { openServices } from "../azure/services.ts";
import { type MailFlowMonitor, mailFlowMonitorSchema } from "../tenants/iq-suite.ts";
import type { Services } from "../tenants/spec.ts";
import type { SecretReference } from "../vault/reference.ts";
import { directoryFiles, type DirectorySettings, directoryTask } from "./directory.ts";
import { GUEST_SCHEMA, type GuestDocument, guestDocumentSchema } from "./document.ts";
import { heartbeatFiles, heartbeatTask, type HeartbeatSettings } from "./heartbeat.ts";

export interface GatewaySettings {
  generation: number;
  fqdn: string;
  /** The Microsoft 365 domain's own MX (manual, chapter 3.2). */
  smartHost: string;
  domains: string[];
  /** Name of the header that marks processed mail, for example `X-iqsuite-process`. */
  loopHeader: string;
  /** Secret that follows the header: mission B5, the same on every machine of the tenant. */
  loopGuid: SecretReference;
  services: Services;
  /** Client secret that the product signs in with at Entra; none before the first one was made. */
  clientSecret?: SecretReference | undefined;
  /** Whose mail is relayed to every domain, for example Exchange Online's published ranges. */
  relayFrom?: string[] | undefined;
  /** How the machine tells us how it is; without it there is no heartbeat. */
  heartbeat?: HeartbeatSettings | undefined;
  /** Mission D5: where the machine fetches the directory and puts it. */
  directory?: DirectorySettings | undefined;
  /** The product's own monitor (mission B7); the manual's defaults when left out. */
  monitoring?: MailFlowMonitor | undefined;
  /** Mission B8: the product's own notification, off by default; the values of the account that it is sent with. */
  mailReporting?: MailReportingValue[] | undefined;
  /** Mission B15: the customer's own certificate for SMTP. */
  certificate?: { thumbprint: string; secret: SecretReference; replaces?: string[] } | undefined;
  /** Mission B16: the image's own set-up has to have ended; B6: its transcript goes, where passwords stand in clear. */
  automatedSetUp?: { removeTranscript: boolean } | undefined;
  webClient?: WebClientDirectory | undefined;
  ldif?: LdifSync | undefined;
  exchangeWebServices?: ExchangeWebServices | undefined;
}

/** Mission B10 and B11: how the WebClient finds users and groups in Entra. */
export interface WebClientDirectory {
  /** Domain name, not id: so the manual's chapter 5.2. */
  tenantDomain: string;
  clientId: string;
  clientSecret: SecretReference;
  /** Left as it is where there is no application for PowerShell. */
  powerShellClientId?: string | undefined;
  /** Absolute path of the LDIF file; empty without one. */
  ldifFile: string;
  groupSearchDepth: number;
  /** Groups of Entra whose members get in after the SecurityContext was reset. */
  adminGroups: string[];
  /**
   * Name of the flag that resets the SecurityContext, once; the manual's picture of it is lost, so it is only set where somebody named it.
   */
  resetFlag?: string | undefined;
}

/** Mission B12: the manual's chapter 5.4, with the names of elements as the product spells them. */
export interface LdifSync {
  webClientUri: string;
  user: string;
  password: SecretReference;
  tenantDomain: string;
  clientId: string;
  clientSecret: SecretReference;
  microsoft365User: string;
  microsoft365Password: SecretReference;
  groupSearchDepth: number;
  customProperties: boolean;
  /** Where the LDIF file goes; single-tenant installations only. */
  customPath?: string | undefined;
}

/** Mission B13: manual, chapter 6.1. */
export interface ExchangeWebServices {
  tenantId: string;
  clientId: string;
  clientSecret: SecretReference;
}

export interface MailReportingValue {
  /** Of a registry value. */
  name: string;
  value?: string | number | undefined;
  secret?: SecretReference | undefined;
}

const AUTOMATION = "C:\\iQSuite-Azure-Automation\\GBS-PowerShell-Management";
const CONFIGURATION = `${AUTOMATION}\\configuration.xml`;
const TRANSCRIPT = `${AUTOMATION}\\Initialize-iQSuiteAzure.log`;
const DYNAMIC_CONFIGURATION = "C:\\ProgramData\\GBS\\iQ.Suite WebClient\\dynamic_configuration.xml";
const LDIF_GENERATOR = "C:\\Program Files\\GBS\\iQ.Suite\\GrpData\\LdifGen\\LdifGenCfg.xml";
const PRODUCT = "HKLM\\SOFTWARE\\GBS\\iQ.Suite";
const MAIL_REPORTING = `${PRODUCT}\\ControlService\\MailReporting`;
const SMTP_MONITORING = `${PRODUCT}\\ControlService\\SMTPMonitoring`;

/** Where the generator writes to unless it is told otherwise (manual, chapter 5.4). */
export const LDIF_FILE = "C:\\Program Files\\GBS\\iQ.Suite\\Config\\iqsuite.ldf";

/** The manual names the sections, not the root element around them: inferred. A node that is not there fails the run, nothing is guessed. */
const CONFIGURATION_ROOT = "/configuration";
const DIRECTORY = "/configuration/Directory";
const LDIF_ROOT = "/LdifGenCfg";

type Registry = NonNullable<GuestDocument["registry"]>;
type Files = NonNullable<GuestDocument["files"]>;
type Tasks = NonNullable<GuestDocument["tasks"]>;
type Xml = NonNullable<GuestDocument["xml"]>;

export function gatewayDocument(settings: GatewaySettings): GuestDocument {
  const { generation, fqdn, smartHost, domains, services, relayFrom, certificate, automatedSetUp } = settings;
  const { files, tasks } = agentsOf(settings);
  const xml = [...loopGuidFile(settings), ...webClientFile(settings.webClient), ...ldifFile(settings.ldif)];
  return guestDocumentSchema.parse({
    schema: GUEST_SCHEMA,
    generation,
    ...(automatedSetUp === undefined ? {} : { evidence: setUpEnded }),
    // The metabase is what the engine configures the SMTP server through; Windows Server 2025 has neither.
    features: ["SMTP-Server", "Web-Metabase"],
    ...(files.length === 0 ? {} : { files }),
    ...(certificate === undefined ? {} : { certificates: certificatesOf(certificate) }),
    smtp: {
      fqdn,
      smartHost,
      inboundTls: true,
      outboundTls: true,
      relayFor: domains.toSorted(),
      ...(relayFrom === undefined ? {} : { relayFrom: relayFrom.toSorted() }),
    },
    registry: [...injectedHeader(settings), ...monitoring(settings), ...exchangeWebServices(settings)],
    ...(xml.length === 0 ? {} : { xml }),
    // Mission B1: manual, chapter 3.1.
    defender: { exclusions: ["C:\\inetpub", "C:\\Program Files\\GBS\\iQ.Suite\\GrpData"] },
    // Mission B2: manual, chapter 2.1. Windows' firewall knows no port without a protocol: KeyManager's "any" is TCP here.
    firewall: openServices(services).map(({ name, port, sources }) => ({
      name: `Gatehouse ${name}`,
      port,
      protocol: "TCP" as const,
      ...(sources === undefined ? {} : { sources }),
    })),
    ...(tasks.length === 0 ? {} : { tasks }),
    services: [
      { name: "SMTPSVC", startType: "Automatic", state: "Running", restartAfter: ["certificates", "smtp", "registry"] },
      ...(settings.ldif === undefined
        ? []
        : [
            {
              name: "iQ.Suite LDIF Generator Service",
              startType: "Automatic" as const,
              state: "Running" as const,
              restartAfter: [`xml/${LDIF_GENERATOR}`],
            },
          ]),
      // The WebClient is an application in IIS and reads its configuration when it starts.
      ...(settings.webClient === undefined
        ? []
        : [
            {
              name: "W3SVC",
              startType: "Automatic" as const,
              state: "Running" as const,
              restartAfter: [`xml/${DYNAMIC_CONFIGURATION}`],
            },
          ]),
    ],
  });
}

/** Our own scripts, and the set-up's transcript, which goes. */
function agentsOf({ heartbeat, directory, automatedSetUp }: GatewaySettings): { files: Files; tasks: Tasks } {
  const told = heartbeat && { ...heartbeat, ...(directory && { directoryFile: directory.file }) };
  return {
    files: [
      ...(told ? heartbeatFiles(told) : []),
      ...(directory ? directoryFiles(directory) : []),
      ...transcript(automatedSetUp),
    ],
    tasks: [...(told ? [heartbeatTask] : []), ...(directory ? [directoryTask] : [])],
  };
}

/** Mission B5, first place. */
const injectedHeader = ({ loopHeader, loopGuid }: GatewaySettings): Registry => [
  { path: `${PRODUCT}\\Inject`, name: "AdditionalInjectHeaders", type: "String", secret: loopGuid, prefix: `${loopHeader}:` },
];

/** Mission B5, second place: what the image's own set-up made. A plain Windows has no such file. */
const loopGuidFile = ({ loopGuid }: GatewaySettings): Xml => [
  { file: CONFIGURATION, whenPresent: true, nodes: [{ path: `${CONFIGURATION_ROOT}/userData/Guid`, secret: loopGuid }] },
];

/** Mission B7 and B8: manual, chapter 3.5. The thresholds' names are not known, so they are written only where somebody named them. */
const monitoring = ({ monitoring: monitor = mailFlowMonitorSchema.parse({}), mailReporting }: GatewaySettings): Registry => [
  dword(SMTP_MONITORING, "CheckTimeout", monitor.checkIntervalInSeconds),
  dword(SMTP_MONITORING, "AutoRestartSMTPSvcEnabled", monitor.restartSmtp ? 1 : 0),
  ...thresholds(monitor),
  ...(mailReporting ?? []).map((entry) => mailReportingValue(entry)),
  ...(mailReporting === undefined ? [] : [dword(MAIL_REPORTING, "Enabled", 1)]),
];

const mailReportingValue = ({ name, value, secret }: MailReportingValue): Registry[number] => {
  if (typeof value === "number") return dword(MAIL_REPORTING, name, value);
  return { path: MAIL_REPORTING, name, type: "String", ...(secret === undefined ? { value } : { secret }) };
};

const thresholds = ({ thresholdNames: names, queue, badmail }: MailFlowMonitor): Registry =>
  names === undefined
    ? []
    : [
        dword(SMTP_MONITORING, names.queueWarning, queue.warning),
        dword(SMTP_MONITORING, names.queueError, queue.error),
        dword(SMTP_MONITORING, names.badmailWarning, badmail.warning),
        dword(SMTP_MONITORING, names.badmailError, badmail.error),
      ];

const dword = (path: string, name: string, value: number): Registry[number] => ({ path, name, type: "DWord", value });

/** Mission B13. Until it is wanted, WebClient's secret alone is there: it is rotated either way. */
const exchangeWebServices = ({ exchangeWebServices: wanted, clientSecret }: GatewaySettings): Registry => {
  const path = `${PRODUCT}\\EWSScan`;
  const text = (name: string, value: string): Registry[number] => ({ path, name, type: "String", value });
  const secret = wanted?.clientSecret ?? clientSecret;
  return [
    ...(wanted === undefined
      ? []
      : [dword(path, "UseOAuth", 1), text("OAuthTenantId", wanted.tenantId), text("OAuthClientId", wanted.clientId)]),
    ...(secret === undefined ? [] : [{ path, name: "OAuthClientSecret", type: "String" as const, secret }]),
  ];
};

/** Mission B16: the set-up makes the GUID, and writes its transcript until it ends. */
const setUpEnded: NonNullable<GuestDocument["evidence"]> = [
  { file: CONFIGURATION, path: `${CONFIGURATION_ROOT}/userData/Guid` },
  { file: TRANSCRIPT, whenPresent: true },
];

const transcript = (automatedSetUp: GatewaySettings["automatedSetUp"]): Files =>
  automatedSetUp?.removeTranscript === true ? [{ path: TRANSCRIPT, absent: true }] : [];

const certificatesOf = ({
  thumbprint,
  secret,
  replaces = [],
}: NonNullable<GatewaySettings["certificate"]>): GuestDocument["certificates"] => [
  { thumbprint, store: "My", secret },
  // IIS' SMTP service picks by name: two valid ones of one name would be ambiguous.
  ...replaces.map((old) => ({ thumbprint: old, store: "My" as const, absent: true as const })),
];

const webClientFile = (wanted: WebClientDirectory | undefined): Xml => {
  if (wanted === undefined) return [];
  const { tenantDomain, clientId, clientSecret, powerShellClientId, ldifFile: file, groupSearchDepth, adminGroups } = wanted;
  return [
    {
      file: DYNAMIC_CONFIGURATION,
      nodes: [
        { path: `${DIRECTORY}/DirectoryType`, value: "AZURE" },
        { path: `${DIRECTORY}/AzureTenantId`, value: tenantDomain },
        { path: `${DIRECTORY}/AzureClientId`, value: clientId },
        { path: `${DIRECTORY}/AzureClientSecretKey`, secret: clientSecret },
        ...(powerShellClientId === undefined ? [] : [{ path: `${DIRECTORY}/AzurePSClientId`, value: powerShellClientId }]),
        { path: `${DIRECTORY}/LDIFFilename`, value: file },
        { path: `${DIRECTORY}/AzureIdentifierLDIFField`, value: "externalid" },
        { path: `${DIRECTORY}/AzureGroupSearchDepth`, value: String(groupSearchDepth) },
        { path: "/configuration/Roles/AdminGroups", value: adminGroups.join(";") },
        // The product puts its flag back; a machine that has been told once is not told again.
        ...(wanted.resetFlag === undefined
          ? []
          : [{ path: `/configuration/${wanted.resetFlag}`, value: "true", once: "onboarding" }]),
      ],
    },
  ];
};

const ldifFile = (wanted: LdifSync | undefined): Xml => {
  if (wanted === undefined) return [];
  const node = (name: string) => `${LDIF_ROOT}/${name}`;
  return [
    {
      file: LDIF_GENERATOR,
      nodes: [
        { path: node("Active"), value: "true" },
        { path: node("UseCustomProperties"), value: String(wanted.customProperties) },
        { path: node("WebClientUri"), value: wanted.webClientUri },
        { path: node("User"), value: wanted.user },
        { path: node("Password"), secret: wanted.password, twin: node("PasswordEnrypted") },
        { path: node("UseWebClient"), value: "false" },
        { path: node("AzureTenantId"), value: wanted.tenantDomain },
        { path: node("AzureClientId"), value: wanted.clientId, create: true },
        { path: node("AzureClientSecretKey"), secret: wanted.clientSecret, twin: node("AzureClientSecretKeyEncrypted") },
        { path: node("O365User"), value: wanted.microsoft365User, create: true },
        { path: node("O365Password"), secret: wanted.microsoft365Password, twin: node("O365PasswordEnrypted") },
        { path: node("AzureGroupSearchDepth"), value: String(wanted.groupSearchDepth) },
        ...(wanted.customPath === undefined
          ? []
          : [{ path: node("LDIFCustomPath"), value: wanted.customPath, create: true as const }]),
      ],
    },
  ];
};

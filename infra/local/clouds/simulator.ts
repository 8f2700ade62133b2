/** The contract of a simulated cloud: it answers requests as the real one would, from state that survives a restart. */
import type { CloudEnvironment } from "../../../shared/environment.ts";
import type { BlocklistChange } from "./dns/blocklists.ts";
import type { RecordType } from "./dns/zones.ts";
import type { Fault, Matchable } from "./faults.ts";

export type CloudName = "entra" | "arm" | "vault" | "graph" | "exchange" | "dns" | "mail" | "identity" | "webhooks";

/** A request as it came over the wire. Header names are lower case; `body` is the parsed JSON or form, undefined when there is none. */
export interface SimulatedRequest {
  method: string;
  /** Absolute, with the base of this cloud as the client dialled it. */
  url: URL;
  headers: Record<string, string>;
  body: unknown;
  text: string;
}

export interface SimulatedResponse {
  status: number;
  headers?: Record<string, string>;
  /** An object goes out as JSON, a string as it is (with the content type of `headers`). */
  body?: unknown;
  /** Whether this call changed the cloud; by meaning (cmdlet verb, test or set mode), not by HTTP method. Default "none". */
  effect?: "none" | "write";
}

export interface Simulator {
  readonly name: CloudName;
  handle(request: SimulatedRequest): Promise<SimulatedResponse> | SimulatedResponse;
  /** What `GET /state/<cloud>` shows: plain JSON, secrets redacted. */
  state(): unknown;
  /** Opens what the simulator listens on itself (UDP, SMTP, proxy), after all simulators were created and before anything is asked. */
  start?(): Promise<void> | void;
  close?(): Promise<void> | void;
}

/** A named set of JSON documents, kept in SQLite and written through at each change. */
export interface Collection<T> {
  get(id: string): T | undefined;
  set(id: string, value: T): void;
  delete(id: string): boolean;
  entries(): [string, T][];
  values(): T[];
}

/** One customer (or partner, or ourselves) as `POST /organizations` made it. */
export interface Organization {
  /** Entra tenant id. */
  tenantId: string;
  displayName: string;
  domains: { name: string; verified: boolean; initial: boolean }[];
  /** Primary SMTP addresses, lower case. */
  mailboxes: string[];
  subscriptionId?: string;
  /** Azure offer: decides `subscriptionPolicies.quotaId` and whether port 25 is open outbound. */
  offer: "EnterpriseAgreement" | "PayAsYouGo" | "CSP";
  /** Whether our application's service principal holds its roles on the subscription. */
  azureAccess: boolean;
  /** Its tenant-wide app management policy: what it forbids of applications' client secrets. Nothing by default. */
  clientSecrets?: { forbidden?: boolean | undefined; longestLifetimeInDays?: number | undefined } | undefined;
  /** What is unusual about its Exchange Online; nothing by default. */
  exchange?: ExchangeOrganization;
}

export interface ExchangeOrganization {
  /** It shares Microsoft's default settings until Enable-OrganizationCustomization is run. */
  dehydrated?: boolean | undefined;
  /** New inbound connectors are disabled until Microsoft's support enables them, as in trial organisations. */
  inboundConnectorsDisabled?: boolean | undefined;
  /** Mail that names one of the organisation's own domains as sender, and that no inbound connector accounts for, is refused. */
  rejectDirectSend?: boolean | undefined;
  /** By domain, where it is not authoritative; `none`: verified in Entra, but not switched on for mail. */
  acceptedDomains?: Record<string, "Authoritative" | "InternalRelay" | "ExternalRelay" | "none"> | undefined;
  /** null where nobody has decided. */
  ewsEnabled?: boolean | null | undefined;
  /** Client ids with commas between them. */
  ewsAllowedAppIds?: string | null | undefined;
  /** Mailboxes whose licence was taken away; Exchange keeps them for 30 days. */
  unlicensed?: string[] | undefined;
  /** By address, what Get-Mailbox shows of it otherwise than of any other. */
  mailboxes?: Record<string, Record<string, unknown>> | undefined;
  /** External recipients of the last 24 hours, and how many there may be. */
  externalRecipients?: { observed: number; threshold: number } | undefined;
}

/** What an access token that was issued here says; `undefined` from `verify` means: no, foreign, expired or for another audience. */
export interface Claims {
  iss: string;
  aud: string;
  tid: string;
  /** Object id of the service principal or identity in that tenant. */
  oid: string;
  appid?: string;
  azp?: string;
  roles?: string[];
  exp: number;
}

/** Who Gatehouse is on this platform: values of its settings, never known to the application's code. */
export interface PlatformIdentity {
  homeTenantId: string;
  /** Client id of the multi-tenant application. */
  applicationId: string;
  /** The function app's user-assigned managed identity. */
  managedIdentity: { clientId: string; principalId: string };
}

export interface Certificates {
  /** The authority's certificate, PEM. */
  readonly authority: string;
  /** A server certificate with its key, both PEM; the first name is the subject. Names are DNS names or IPv4 addresses. */
  issue(...names: [string, ...string[]]): Promise<{ certificate: string; key: string }>;
  /** The same for what a customer asks of it, or what somebody signs himself. */
  certify(request: CertificateRequest): Promise<{ certificate: string; key: string }>;
  /** A key and its certificate signing request (PKCS #10), for another authority to sign; both DER, the key as PKCS #8. */
  request(wanted: Pick<CertificateRequest, "names" | "keyType">): Promise<{ request: Buffer; key: Buffer }>;
}

export interface CertificateRequest {
  names: [string, ...string[]];
  keyType?: "EC" | "RSA";
  days?: number;
  /** Object identifiers of extended key usages; a server's by default. */
  usages?: string[];
  selfSigned?: boolean;
}

/** What every simulator is given. */
export interface Platform {
  /** Complete before any simulator is created: HTTPS ports are bound by then; DNS binds UDP at `dnsServers[0]`, a free port that is kept. */
  readonly environment: CloudEnvironment;
  /** Our own application and home organisation: who asks for consent and for Azure access. */
  readonly identity: PlatformIdentity;
  /** The platform's certificate authority, for servers that a simulator opens itself. */
  readonly certificates: Certificates;
  /** Milliseconds; the simulators' only clock. */
  readonly now: () => number;
  readonly collection: <T>(name: string) => Collection<T>;
  organizations: Collection<Organization>;
  /** Checks `Authorization: Bearer …` against Entra's keys. */
  verify(request: SimulatedRequest, audience: string): Promise<Claims | undefined>;
  /** Multiplies modelled durations (VM creation, propagation): 1 is the modelled time, 0 is at once. */
  readonly tempo: number;
  /** How many of the first looks at what was just written miss it, as on a replica that lags behind; 0 is none. */
  readonly lag: number;
  /** Runs something that many milliseconds of `now` later. It doesn't keep the process alive. */
  readonly after: (milliseconds: number, run: () => void) => { cancel(): void };
  /** Says that something is on its way (a mail over a socket), until what it answers is called: virtual time stands still meanwhile. */
  readonly hold: () => () => void;
  /** The fault that was planned for what didn't come over HTTPS (DNS query, SMTP session), used up by one. */
  fault(cloud: "dns" | "mail", request: Matchable): Fault | undefined;
  /** Notes an effect or a read that did not come over HTTPS (DNS query, SMTP hop) in the record of requests. */
  note(
    cloud: CloudName,
    entry: {
      method: string;
      url: string;
      /** Whose organisation it is about, where a token would have told. */
      tenant?: string;
      requestBody?: unknown;
      status: number;
      responseBody?: unknown;
      effect?: "none" | "write";
      /** The fault that was applied, if any. */
      fault?: Fault["kind"] | undefined;
    },
  ): void;
  /** Words that must never be seen in the record: whatever is added here is redacted by value. */
  secrets: { add(value: string): void };
  /** An object's answer to a question that another simulator asks: the mail internet asks ARM which VM has an address, ARM asks the vault... */
  readonly peers: Peers;
}

/** What simulators ask of each other in-process, each filled in by the simulator that knows. */
export interface Peers {
  /** ARM: the running gateway behind a public address, if its NSG and guest firewall admit TCP `port` from `source`. */
  gatewayAt?(address: string, port: number, source: string): SimulatedGuest | undefined;
  /** ARM: a machine's inside, whether anybody can reach it or not; its SMTP server runs only while the machine does. */
  guestOf?(virtualMachineId: string): SimulatedGuest | undefined;
  /** ARM: what a delegated zone of Azure DNS says of a name; undefined when none says anything. */
  publicRecords?(name: string, type: RecordType): string[] | undefined;
  /** ARM: name and address of every public DNS label and reverse FQDN. */
  publicAddresses?(): { fqdn: string | undefined; reverseFqdn: string | undefined; address: string }[];
  /** ARM: whether a principal holds a role (by role definition GUID) on a scope, a resource id in lower case, or on one above it. */
  holdsRole?(principalId: string, roleDefinitionId: string, scope: string): boolean;
  /** ARM: the vault of that name, if it exists. */
  vaultNamed?(name: string): { id: string; tenantId: string; purgeProtection?: boolean } | undefined;
  /** ARM: every virtual machine, with its tags. */
  machines?(): { virtualMachineId: string; tags: Record<string, string> }[];
  /** ARM: does to a machine at once what a person or the platform would; false when there is none. */
  actOnMachine?(virtualMachineId: string, action: "start" | "stop" | "fail" | "recover"): boolean;
  /** ARM: answers `/azure/…` of the control door; undefined when there is no such request. */
  controlAzure?(request: Pick<SimulatedRequest, "method" | "url" | "body">): SimulatedResponse | undefined;
  /** ARM: the user-assigned identities that exist, with the tenant that issues their tokens. */
  identities?(): { resourceId: string; clientId: string; principalId: string; tenantId: string }[];
  /** Key Vault: sets the expiry of a secret's newest version, as its owner would; undefined when there is no such secret. */
  bringNearExpiry?(vault: string, name: string, expires: number): NearExpiry | undefined;
  /** Key Vault: a person imports a certificate with its key (PEM) by hand; its version, undefined when there is no such vault. */
  importCertificate?(vault: string, name: string, pem: string): string | undefined;
  /** Entra: access token for a managed identity of a VM, as its own metadata endpoint (169.254.169.254) would give it. */
  tokenForIdentity?(clientId: string, audience: string): Promise<string | undefined>;
  /** Entra: makes sure that a service principal of our application or of a first-party resource exists in a tenant; its object id. */
  servicePrincipal?(tenantId: string, applicationId: string): { objectId: string } | undefined;
  /** Exchange: takes a message that a mailbox of the tenant sent (Graph sendMail, `POST /mail`). */
  submitMail?(tenantId: string, message: MailMessage, options?: { saveToSentItems: boolean }): Promise<void>;
  /** Exchange: a cmdlet that a person at the customer runs; it is in the record as theirs. */
  runByHand?(tenantId: string, cmdlet: string, parameters: Record<string, unknown>): Promise<void>;
  /** Exchange: what lies in a mailbox, oldest first; undefined when the organisation has no such mailbox. */
  /** What message trace knows of an organisation's mail, the newest first. */
  messageTraces?(tenantId: string): MessageTrace[];
  messagesIn?(tenantId: string, mailbox: string): MailboxMessage[] | undefined;
  /** Exchange: its front end, if it listens at that address; gateways are found by `gatewayAt`. */
  mailReceiverAt?(address: string): MailReceiver | undefined;
  /** Mail internet: what waits in a gateway's queue and badmail folders, as its heartbeat counts them. */
  mailQueue?(virtualMachineId: string): { queued: number; badmail: number; oldestQueuedAt: number | undefined };
  /** Mail internet: what a gateway's SMTP service has logged of its own sending, in W3C's extended format. */
  smtpLog?(virtualMachineId: string): string[];
  /** Mail internet: opens SMTP from a modelled source address, delivers, answers each recipient's fate. */
  deliverMail?(options: {
    from: Party;
    to: { host: string; port: 25 };
    message: MailMessage;
    tls: "required" | "opportunistic";
    /** The certificate has to be of the authority that everybody trusts, and for that domain where one is named. */
    validate?: { domain: string | undefined } | undefined;
  }): Promise<MailDelivery>;
  /** DNS: MX hosts of a domain in order of preference, addresses of a name. */
  lookup?(name: string, type: RecordType): string[];
  /** DNS: its blocklist zones, for the control door and for the page on which a person asks for a removal. */
  blocklists?: {
    change(change: BlocklistChange): unknown;
    portal(request: SimulatedRequest): SimulatedResponse;
  };
}

/** What Key Vault tells Event Grid of a secret that is near its expiry. */
export interface NearExpiry {
  vault: string;
  /** Azure's resource id of the vault, and the Entra tenant that it is in. */
  resourceId: string;
  tenantId: string;
  secretId: string;
  name: string;
  version: string;
  /** Seconds since 1970. */
  notBefore?: number;
  expires: number;
}

/** Somebody on the mail internet: who dials, with which modelled public address. */
export interface Party {
  name: string;
  address: string;
  /** Its certificate with its key, shown to servers that ask for one: PKCS #12 in base64. */
  pkcs12?: string | undefined;
}

/** What a client's certificate says. */
export interface ClientCertificate {
  names: string[];
  /** Of the authority that everybody trusts. */
  trusted: boolean;
}

export interface MailMessage {
  envelopeFrom: string;
  recipients: string[];
  /** RFC 5322, CRLF line ends, headers first. */
  mime: string;
}

export interface MailDelivery {
  accepted: string[];
  /** SMTP's own reply, such as `550 5.7.64 TenantAttribution; Relay Access Denied`. */
  refused: { recipient: string; reply: string }[];
  /** Whether STARTTLS was used, and the subject and issuer of the certificate that was shown. */
  tls: { used: boolean; subject?: string };
}

/** One message on its way to one recipient through an organisation's Exchange Online, once for each time that it came in. */
export interface MessageTrace {
  id: string;
  tenantId: string;
  messageId: string;
  sender: string;
  recipient: string;
  subject: string;
  size: number;
  receivedAt: number;
  /** Who handed it over; null for a mailbox. */
  fromIp: string | null;
  /** Who took it; null for a mailbox, and while nobody has. */
  toIp: string | null;
  status: "pending" | "delivered" | "failed" | "filteredAsSpam";
}

/** A message as it lies in a mailbox. */
export interface MailboxMessage {
  id: string;
  folder: "inbox" | "junkemail" | "sentitems";
  receivedAt: number;
  envelopeFrom: string;
  /** RFC 5322, CRLF line ends, headers first. */
  mime: string;
}

/** An SMTP server of the mail internet. A reply is SMTP's own, such as `550 5.7.64 TenantAttribution; Relay Access Denied`; none accepts. */
export interface MailReceiver {
  fqdn: string;
  /** Text after the host name in the greeting. */
  banner: string;
  startTls: boolean;
  /** What STARTTLS shows: PKCS #12 in base64, or one that the server has signed itself; one of the authority's when left out. */
  certificate?: { pkcs12: string } | "selfSigned" | undefined;
  /** Clients are asked for their certificate. */
  asksForCertificates?: boolean;
  /** Asked at each RCPT TO. */
  refuses(
    source: string,
    envelopeFrom: string,
    recipient: string,
    certificate: ClientCertificate | undefined,
  ): string | undefined;
  /** Asked when the message is there; an accepting reply may be given too, such as `250 2.6.0 Queued mail for delivery`. */
  take(delivery: {
    source: string;
    helo: string;
    tls: boolean;
    message: MailMessage;
    certificate: ClientCertificate | undefined;
  }): Promise<string> | string;
}

/** A simulated Windows VM's inside, as far as guest documents can change it. */
export interface SimulatedGuest {
  virtualMachineId: string;
  computerName: string;
  /** The public address that its outgoing connections come from; empty when there is no way out. */
  egressAddress: string;
  /** Nothing gets out to port 25: no way out, or a subscription of a kind that Azure blocks it for. */
  outboundSmtpBlocked?: boolean;
  smtp: {
    running: boolean;
    fqdn: string | undefined;
    smartHost: string | undefined;
    inboundTls: boolean;
    outboundTls: boolean;
    /** The certificate that it shows, with its key: PKCS #12 in base64. None when Windows has signed it itself. */
    pkcs12?: string | undefined;
    /** Recipient domains that anybody's mail is relayed for. */
    relayFor?: string[];
    /** Addresses and ranges whose mail is relayed to every domain. Without either list, Exchange Online's own range is. */
    relayFrom?: string[];
  };
  /** `HKLM\…` path, lower case → value name → data. */
  registry: Record<string, Record<string, { type: string; data: unknown }>>;
  firewall: { name: string; port: number | "any"; protocol: "TCP" | "UDP"; enabled: boolean }[];
}

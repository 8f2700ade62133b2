/**
 * The inside of a simulated Windows Server, as far as Gatehouse's engine can see and change it, and as others see it: what the SMTP server
 * does follows from metabase, service and certificates, and from nothing else.
 */
import type { SimulatedGuest } from "../simulator.ts";

export interface GuestState extends SimulatedGuest {
  /** Whether this Windows has the feature SMTP-Server at all: 2025 has not. */
  smtpServerFeature: boolean;
  features: string[];
  /** Features that ask for a restart after they were installed; a role's own business. */
  restartFor: string[];
  services: Record<string, { startType: "Automatic" | "Manual" | "Disabled"; state: "Running" | "Stopped" }>;
  /** How often each service was restarted: a setting counts only from then on. */
  restarts: Record<string, number>;
  metabase: Metabase | undefined;
  certificates: MachineCertificate[];
  firewall: FirewallRule[];
  /** By path in lower case, since Windows compares so. */
  files: Record<string, GuestFile>;
  /** Folders that Defender leaves alone; undefined where it isn't installed. */
  exclusions: string[] | undefined;
  tasks: Record<string, ScheduledTask>;
  /** Names that Windows can translate, in lower case, and their SIDs. */
  accounts: Record<string, string>;
  /** Hashes of local users' passwords, by the user's name in lower case. */
  passwords: Record<string, string>;
  /** SQL Servers on the machine, by how they are called: hashes of their own logins' passwords, and whether SYSTEM may change those. */
  sqlServers: Record<string, { systemMayAlter: boolean; logins: Record<string, string> }>;
  /** SIDs of members, by the group's SID. */
  groups: Record<string, string[]>;
  /** SIDs of those who hold a user right. */
  rights: Record<string, string[]>;
  /** An image that sets itself up does so until then. */
  setUp?: { endsAt: number };
  /** How often the WebClient has begun its permissions anew. */
  securityContextResets?: number;
  /** Another configuration keeps the Local Configuration Manager busy. */
  lcmBusy: boolean;
  /** Which secret gave the data of a place and the hash of what it gave; so that a comparison needs no second look into the vault. */
  origins: Record<string, { secret: string; hash: string }>;
}

export interface GuestFile {
  path: string;
  text: string;
  /** A program still writes it. */
  open?: boolean;
  /** When, for files that a task of ours writes. */
  writtenAt?: number;
}

export interface FirewallRule {
  name: string;
  displayName: string;
  group: string | undefined;
  port: number | "any";
  /** The last port of a range that begins with `port`. */
  lastPort?: number;
  /** Inbound when left out. */
  direction?: "Outbound";
  protocol: "TCP" | "UDP";
  enabled: boolean;
  sources: string[];
}

export interface Metabase {
  fqdn: string;
  smartHost: string;
  smartHostType: number;
  alwaysUseSsl: boolean;
  accessSsl: boolean;
  domains: Record<string, { tls: boolean; smartHost: string }>;
  relayFrom: string[];
}

export interface MachineCertificate {
  store: string;
  thumbprint: string;
  names: string[];
  notBefore: number;
  notAfter: number;
  selfSigned: boolean;
  /** With its key, in base64, where it was imported. */
  pkcs12?: string;
}

export interface ScheduledTask {
  execute: string;
  arguments: string;
  everyInMinutes: number;
  enabled: boolean;
  user: string;
  /** When it was registered; its first run is a minute later. */
  registeredAt: number;
}

/** A Windows as the image gives it: no SMTP server, remote administration open in the firewall, nothing of ours in the registry. */
export const freshGuest = ({
  virtualMachineId,
  computerName,
  smtpServerFeature,
}: Pick<GuestState, "virtualMachineId" | "computerName" | "smtpServerFeature">): GuestState => ({
  virtualMachineId,
  computerName,
  egressAddress: "",
  smtp: { running: false, fqdn: undefined, smartHost: undefined, inboundTls: false, outboundTls: false },
  registry: {},
  firewall: [
    builtIn("RemoteDesktop-UserMode-In-TCP", "Remote Desktop - User Mode (TCP-In)", 3389),
    builtIn("WINRM-HTTP-In-TCP", "Windows Remote Management (HTTP-In)", 5985),
  ],
  smtpServerFeature,
  features: [],
  restartFor: [],
  services: { W32Time: { startType: "Manual", state: "Running" }, WinDefend: { startType: "Automatic", state: "Running" } },
  restarts: {},
  metabase: undefined,
  certificates: [],
  files: {},
  exclusions: [],
  tasks: {},
  accounts: { administrator: "S-1-5-21-1004336348-1177238915-682003330-500" },
  passwords: {},
  sqlServers: {},
  groups: { "S-1-5-32-544": ["S-1-5-21-1004336348-1177238915-682003330-500"] },
  rights: { SeServiceLogonRight: ["S-1-5-80-0"] },
  lcmBusy: false,
  origins: {},
});

const builtIn = (name: string, displayName: string, port: number): FirewallRule => ({
  name,
  displayName,
  group: undefined,
  port,
  protocol: "TCP",
  enabled: true,
  sources: ["Any"],
});

/** Whether a rule lets a TCP connection in on that port, its source aside. */
export const opens = ({ enabled, direction, protocol, port: first, lastPort }: FirewallRule, port: number): boolean =>
  enabled &&
  direction === undefined &&
  protocol === "TCP" &&
  (first === "any" || (lastPort === undefined ? port === first : port >= first && port <= lastPort));

/** The one that IIS' SMTP service takes: the newest in the machine's own store that is good and has the server's name. */
export const tlsCertificateOf = (
  { certificates }: Pick<GuestState, "certificates">,
  fqdn: string,
): MachineCertificate | undefined =>
  certificates
    .filter(({ store, names }) => store === "My" && names.includes(fqdn))
    .toSorted((one, other) => other.notAfter - one.notAfter)[0];

/** What others see of the SMTP server. */
export const derived = (guest: GuestState): GuestState => ({
  ...guest,
  smtp: {
    running: guest.metabase !== undefined && guest.services["SMTPSVC"]?.state === "Running",
    fqdn: guest.metabase?.fqdn,
    smartHost: guest.metabase?.smartHost,
    inboundTls:
      guest.metabase !== undefined && guest.metabase.accessSsl && tlsCertificateOf(guest, guest.metabase.fqdn) !== undefined,
    outboundTls: guest.metabase?.alwaysUseSsl ?? false,
    pkcs12: guest.metabase && tlsCertificateOf(guest, guest.metabase.fqdn)?.pkcs12,
    ...(guest.metabase === undefined
      ? {}
      : { relayFor: Object.keys(guest.metabase.domains), relayFrom: guest.metabase.relayFrom }),
  },
});

/** For `GET /state`: what came out of a vault appears as a hash, and a file that holds such a value not at all. */
export function redacted(guest: GuestState): unknown {
  const registry = structuredClone(guest.registry);
  for (const [path, values] of Object.entries(registry))
    for (const [name, value] of Object.entries(values)) {
      const origin = guest.origins[`registry/${path}\\${name}`.toLowerCase()];
      if (origin !== undefined) values[name] = { type: value.type, data: `[secret ${origin.hash.slice(0, 8)}]` };
    }
  const secretFiles = Object.keys(guest.origins).map((place) => /^(?:files|xml)\/([^#]+)/.exec(place)?.[1]);
  const files = Object.fromEntries(
    Object.entries(guest.files).map(([key, file]) => [key, secretFiles.includes(key) ? { ...file, text: "[secret]" } : file]),
  );
  const certificates = guest.certificates.map(({ pkcs12: _key, ...certificate }) => certificate);
  return { ...guest, registry, files, certificates, smtp: { ...guest.smtp, pkcs12: undefined }, origins: undefined };
}

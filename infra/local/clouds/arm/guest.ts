/**
 * The inside of a simulated Windows Server, as far as Gatehouse's guest engine can see and change it: features, services, the SMTP
 * server's metabase, registry, firewall, certificates. Scripts are not interpreted: the engine (shared/guest/engine.ps1) is recognised by
 * its first line and played here part by part; any other script fails as PowerShell would.
 *
 * Sources: the engine's own text; cmd.exe between Run Command and the script (Azure/azure-powershell#29880); secrets come from Key Vault
 * over HTTPS with a token of the machine's identity, as they would from the metadata endpoint.
 */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import * as z from "zod";
import type { SimulatedGuest } from "../simulator.ts";
import { textOf } from "./envelope.ts";
import type { SecretReference } from "../../../../shared/vault/reference.ts";

export interface GuestState extends SimulatedGuest {
  /** Whether this Windows has the feature SMTP-Server at all: 2025 has not. */
  smtpServerFeature: boolean;
  features: string[];
  services: Record<string, { startType: "Automatic" | "Manual" | "Disabled"; state: "Running" | "Stopped" }>;
  metabase: Metabase | undefined;
  /** Subject names of certificates in Cert:\LocalMachine\My. */
  certificates: string[];
  firewall: FirewallRule[];
  /** Which secret gave a registry value and the hash of what it gave; so that a comparison needs no second look into the vault. */
  origins: Record<string, { secret: string; hash: string }>;
}

interface FirewallRule {
  name: string;
  displayName: string;
  group: string | undefined;
  port: number | "any";
  protocol: "TCP" | "UDP";
  enabled: boolean;
  sources: string[];
}

interface Metabase {
  fqdn: string;
  smartHost: string;
  smartHostType: number;
  alwaysUseSsl: boolean;
  accessSsl: boolean;
  domains: Record<string, { tls: boolean; smartHost: string }>;
  relayFrom: string[];
}

/** The agreement with the engine, not its schema's code: what the machine reads out of the document. */
const documentSchema = z.object({
  schema: z.literal(1),
  generation: z.number().int(),
  features: z.array(z.string()),
  smtp: z.object({
    fqdn: z.string(),
    smartHost: z.string(),
    inboundTls: z.boolean(),
    outboundTls: z.boolean(),
    relayFor: z.array(z.string()),
    relayFrom: z.array(z.string()).optional(),
  }),
  registry: z.array(
    z.object({
      path: z.string(),
      name: z.string(),
      type: z.enum(["String", "DWord"]),
      value: z.union([z.string(), z.number()]).optional(),
      secret: z.object({ vaultUrl: z.string(), name: z.string(), version: z.string() }).optional(),
      prefix: z.string().optional(),
    }),
  ),
  firewall: z.array(
    z.object({
      name: z.string(),
      port: z.union([z.number(), z.literal("any")]),
      protocol: z.enum(["TCP", "UDP"]),
      sources: z.array(z.string()).optional(),
    }),
  ),
  services: z.array(
    z.object({ name: z.string(), startType: z.enum(["Automatic", "Manual", "Disabled"]), state: z.enum(["Running", "Stopped"]) }),
  ),
});

type Document = z.output<typeof documentSchema>;
type RegistryEntry = Document["registry"][number];

/** A Windows as the image gives it: no SMTP server, remote administration open in the firewall, nothing of ours in the registry. */
export const freshGuest = ({
  virtualMachineId,
  computerName,
  smtpServerFeature,
}: {
  virtualMachineId: string;
  computerName: string;
  smtpServerFeature: boolean;
}): GuestState => ({
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
  services: { W32Time: { startType: "Manual", state: "Running" } },
  metabase: undefined,
  certificates: [],
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

export interface Parameter {
  name: string;
  value: string;
}

export interface ScriptResult {
  exitCode: number;
  output: string;
  error: string;
  /** The machine afterwards; left out when nothing changed. */
  guest?: GuestState;
}

export interface Engine {
  document: Document;
  mode: "test" | "set";
  identityClientId: string;
}

const ENGINE = /^\uFEFF?# gatehouse-guest-engine\b/;
const MOST_CHARACTERS = 6 * 1024;

/** What Run Command would start: our engine with its arguments, or the error that Windows answers with instead. */
export function readScript(script: string, parameters: Parameter[]): Engine | { error: string } {
  if (!ENGINE.test(script))
    return { error: "The simulated Windows plays only Gatehouse's guest engine; this script cannot be run here." };
  if (parameters.some(({ value }) => value.length > MOST_CHARACTERS)) return { error: "The command line is too long." };
  const mangled = parameters.find(({ name, value }) => /[\s^&%<>|"]/.test(name + value));
  if (mangled !== undefined) return { error: `A positional parameter cannot be found that accepts argument '${mangled.name}'.` };
  const given = new Map(parameters.map(({ name, value }) => [name.toLowerCase(), value]));
  const unknown = parameters.find(({ name }) => !["document", "mode", "identityclientid"].includes(name.toLowerCase()));
  if (unknown !== undefined) return { error: `A parameter cannot be found that matches parameter name '${unknown.name}'.` };
  const document = given.get("document");
  const mode = given.get("mode");
  const identityClientId = given.get("identityclientid");
  const missing = Object.entries({ Document: document, Mode: mode, IdentityClientId: identityClientId }).find(
    ([, value]) => value === undefined,
  );
  if (missing !== undefined || document === undefined || identityClientId === undefined)
    return { error: `Cannot process command because of one or more missing mandatory parameters: ${missing?.[0]}.` };
  if (mode !== "test" && mode !== "set")
    return {
      error: `Cannot validate argument on parameter 'Mode'. The argument "${mode}" does not belong to the set "test,set".`,
    };
  if (!/^[A-Za-z0-9_-]+$/.test(document))
    return { error: "Cannot validate argument on parameter 'Document'. The argument does not match the pattern." };
  if (!/^[0-9a-f-]{36}$/i.test(identityClientId))
    return { error: "Cannot validate argument on parameter 'IdentityClientId'. The argument does not match the pattern." };
  try {
    const json: unknown = JSON.parse(
      gunzipSync(Buffer.from(document, "base64url"), { maxOutputLength: 1024 * 1024 }).toString("utf8"),
    );
    return { document: documentSchema.parse(json), mode, identityClientId };
  } catch {
    return { error: "The guest document could not be read." };
  }
}

export type ReadSecret = (reference: SecretReference, identityClientId: string) => Promise<string>;

/** Plays the engine on a machine: test compares, set changes what differs and compares again. */
export async function runEngine(
  before: GuestState,
  { document, mode, identityClientId }: Engine,
  readSecret: ReadSecret,
): Promise<ScriptResult> {
  const seen = generationOf(before);
  if (document.generation < seen)
    return failed(
      document.generation,
      "GenerationOutdated",
      `the machine has generation ${seen}, the document is ${document.generation}`,
    );
  const fenced = mode === "set" ? withGeneration(before, document.generation) : before;
  const unknownFeature = document.features.find((feature) => feature !== "SMTP-Server" || !before.smtpServerFeature);
  if (unknownFeature !== undefined)
    return failed(
      document.generation,
      "FeatureUnknown",
      `this Windows has no feature ${unknownFeature}; the image must be Windows Server 2022 or older`,
      fenced,
    );
  const values = new Map<RegistryEntry, string>();
  try {
    for (const entry of document.registry) values.set(entry, await valueOf(entry, identityClientId, readSecret));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "failed";
    return failed(document.generation, "SecretUnreadable", reason, fenced);
  }
  const valueNow = (entry: RegistryEntry): string => values.get(entry) ?? "";
  const found = differences(before, document, valueNow);
  const after = mode === "set" ? apply(fenced, document, found, valueNow) : before;
  const left = mode === "set" ? differences(after, document, valueNow) : found;
  const changed = mode === "set" ? found.filter((difference) => !left.includes(difference)) : [];
  const result = { inDesiredState: left.length === 0, generation: document.generation, differences: left, changed };
  return { exitCode: 0, output: `${JSON.stringify(result)}\r\n`, error: "", ...(mode === "set" ? { guest: after } : {}) };
}

/** Whether a run in set mode would change the machine, told without the vault: a secret of a known version is known by its hash. */
export function wouldChange(guest: GuestState, { document, mode }: Engine): boolean {
  if (mode === "test" || document.generation < generationOf(guest)) return false;
  const remembered = (entry: RegistryEntry): string => {
    if (entry.secret === undefined) return String(entry.value ?? "");
    const data = textOf(guest.registry[entry.path.toLowerCase()]?.[entry.name]?.data);
    const origin = guest.origins[originKey(entry)];
    return origin?.secret === secretId(entry) && origin.hash === hashOf(data) ? data : "\0";
  };
  return document.generation > generationOf(guest) || differences(guest, document, remembered).length > 0;
}

const failed = (generation: number, code: string, message: string, guest?: GuestState): ScriptResult => ({
  exitCode: 1,
  output: `${JSON.stringify({ inDesiredState: false, generation, differences: [], changed: [], error: { code, message } })}\r\n`,
  error: "",
  ...(guest === undefined ? {} : { guest }),
});

const STATE_KEY = "hklm\\software\\gatehouse\\guest";

const generationOf = ({ registry }: GuestState): number => Number(registry[STATE_KEY]?.["Generation"]?.data ?? 0);

const withGeneration = (guest: GuestState, generation: number): GuestState => ({
  ...guest,
  registry: { ...guest.registry, [STATE_KEY]: { Generation: { type: "DWord", data: generation } } },
});

async function valueOf(entry: RegistryEntry, identityClientId: string, readSecret: ReadSecret): Promise<string> {
  if (entry.secret === undefined) return String(entry.value ?? "");
  return (entry.prefix ?? "") + (await readSecret(entry.secret, identityClientId));
}

const secretId = ({ secret, prefix }: RegistryEntry): string =>
  JSON.stringify([secret?.vaultUrl, secret?.name, secret?.version, prefix]);
const originKey = ({ path, name }: RegistryEntry): string => `${path}\\${name}`.toLowerCase();
const hashOf = (data: string): string => createHash("sha256").update(data).digest("hex");

/** The engine's own order and names: features, smtp, registry, firewall, services. */
function differences(guest: GuestState, document: Document, valueOf: (entry: RegistryEntry) => string): string[] {
  const { features, registry, firewall, services } = document;
  const wanted = firewall.map(({ name }) => ruleName(name));
  return [
    ...features.filter((feature) => !guest.features.includes(feature)).map((feature) => `features/${feature}`),
    ...smtpDifferences(guest, document.smtp),
    ...registry.filter((entry) => !holds(guest, entry, valueOf(entry))).map(({ path, name }) => `registry/${path}\\${name}`),
    ...firewall.filter((rule) => !guest.firewall.some((there) => sameRule(there, rule))).map(({ name }) => `firewall/${name}`),
    ...guest.firewall
      .filter(({ group, name }) => group === "Gatehouse" && !wanted.includes(name))
      .map(({ displayName }) => `firewall/${displayName}`),
    ...services
      .filter(
        ({ name, startType, state }) => guest.services[name]?.startType !== startType || guest.services[name]?.state !== state,
      )
      .map(({ name }) => `services/${name}`),
  ];
}

function smtpDifferences({ metabase, certificates }: GuestState, smtp: Document["smtp"]): string[] {
  if (metabase === undefined) return ["smtp"];
  const domainFits = (domain: string): boolean => {
    const route = metabase.domains[domain];
    return route !== undefined && route.tls === smtp.outboundTls && route.smartHost === smtp.smartHost;
  };
  const inbound = metabase.accessSsl === smtp.inboundTls && (!smtp.inboundTls || certificates.includes(smtp.fqdn));
  return [
    ...(metabase.fqdn === smtp.fqdn ? [] : ["smtp/fqdn"]),
    ...(metabase.smartHost === smtp.smartHost && metabase.smartHostType === 2 ? [] : ["smtp/smartHost"]),
    ...(metabase.alwaysUseSsl === smtp.outboundTls ? [] : ["smtp/outboundTls"]),
    ...(inbound ? [] : ["smtp/inboundTls"]),
    ...smtp.relayFor.filter((domain) => !domainFits(domain)).map((domain) => `smtp/relayFor/${domain}`),
    ...(sameList(metabase.relayFrom, grantsOf(smtp)) ? [] : ["smtp/relayFrom"]),
  ];
}

const grantsOf = ({ relayFrom }: Document["smtp"]): string[] => ["127.0.0.1", ...(relayFrom ?? [])];
const sameList = (a: string[], b: string[]): boolean => a.toSorted().join() === b.toSorted().join();

const holds = ({ registry }: GuestState, { path, name, type }: RegistryEntry, data: string): boolean => {
  const value = registry[path.toLowerCase()]?.[name];
  return value !== undefined && value.type === type && textOf(value.data) === data;
};

const ruleName = (name: string): string => `Gatehouse-${name.replace(/^Gatehouse /, "").replaceAll(" ", "-")}`;

const sameRule = (there: FirewallRule, rule: Document["firewall"][number]): boolean =>
  there.name === ruleName(rule.name) &&
  there.enabled &&
  there.port === rule.port &&
  there.protocol === rule.protocol &&
  sameList(there.sources, rule.sources ?? ["Any"]);

function apply(guest: GuestState, document: Document, found: string[], valueOf: (entry: RegistryEntry) => string): GuestState {
  const { smtp } = document;
  const features = [...new Set([...guest.features, ...document.features])];
  const services = { ...guest.services };
  if (features.includes("SMTP-Server")) services["SMTPSVC"] ??= { startType: "Manual", state: "Stopped" };
  for (const { name, startType, state } of document.services)
    if (services[name] !== undefined) services[name] = { startType, state };
  const registry = structuredClone(guest.registry);
  const origins = { ...guest.origins };
  for (const entry of document.registry) {
    const data = valueOf(entry);
    registry[entry.path.toLowerCase()] = {
      ...registry[entry.path.toLowerCase()],
      [entry.name]: { type: entry.type, data: entry.type === "DWord" ? Number(data) : data },
    };
    if (entry.secret !== undefined) origins[originKey(entry)] = { secret: secretId(entry), hash: hashOf(data) };
  }
  const domains = Object.fromEntries(
    smtp.relayFor.map((domain) => [domain, { tls: smtp.outboundTls, smartHost: smtp.smartHost }]),
  );
  const metabase = features.includes("SMTP-Server")
    ? {
        fqdn: smtp.fqdn,
        smartHost: smtp.smartHost,
        smartHostType: 2,
        alwaysUseSsl: smtp.outboundTls,
        accessSsl: smtp.inboundTls,
        domains: { ...guest.metabase?.domains, ...domains },
        relayFrom: grantsOf(smtp),
      }
    : guest.metabase;
  // A restart ends in a running service, whatever it was before (Restart-Service starts a stopped one).
  const restarted = found.some((difference) => /^(smtp|registry)\b/.test(difference));
  const smtpService = services["SMTPSVC"];
  if (restarted && smtpService !== undefined && smtpService.startType !== "Disabled")
    services["SMTPSVC"] = { ...smtpService, state: "Running" };
  return derived({
    ...guest,
    features,
    services,
    registry,
    origins,
    metabase,
    certificates: smtp.inboundTls ? [...new Set([...guest.certificates, smtp.fqdn])] : guest.certificates,
    firewall: [
      ...guest.firewall.filter(({ group }) => group !== "Gatehouse"),
      ...document.firewall.map(
        ({ name, port, protocol, sources }): FirewallRule => ({
          name: ruleName(name),
          displayName: name,
          group: "Gatehouse",
          port,
          protocol,
          enabled: true,
          sources: sources ?? ["Any"],
        }),
      ),
    ],
  });
}

/** What others see of the SMTP server follows from metabase, service and certificates. */
const derived = (guest: GuestState): GuestState => ({
  ...guest,
  smtp: {
    running: guest.metabase !== undefined && guest.services["SMTPSVC"]?.state === "Running",
    fqdn: guest.metabase?.fqdn,
    smartHost: guest.metabase?.smartHost,
    inboundTls: guest.metabase !== undefined && guest.metabase.accessSsl && guest.certificates.includes(guest.metabase.fqdn),
    outboundTls: guest.metabase?.alwaysUseSsl ?? false,
    ...(guest.metabase === undefined
      ? {}
      : { relayFor: Object.keys(guest.metabase.domains), relayFrom: guest.metabase.relayFrom }),
  },
});

/** For `GET /state`: values that came out of a vault appear as hashes. */
export function redacted(guest: GuestState): unknown {
  const registry = structuredClone(guest.registry);
  for (const [path, values] of Object.entries(registry))
    for (const [name, value] of Object.entries(values)) {
      const origin = guest.origins[`${path}\\${name}`.toLowerCase()];
      if (origin !== undefined) values[name] = { type: value.type, data: `[secret ${origin.hash.slice(0, 8)}]` };
    }
  return { ...guest, registry, origins: undefined };
}

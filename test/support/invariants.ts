/**
 * The safety invariants of onboarding, checked over what the simulated clouds recorded: from the outside, knowing nothing of our code.
 * Numbers are those of the design's chapter on onboarding. What counts is what took effect, whether or not its answer arrived.
 */
import type { Exchange } from "../../infra/local/clouds/record.ts";

/** The customer whose mail must not be harmed. A record may be of several; the Azure side is told apart by its paths. */
export interface Watched {
  /** Entra tenant id of the Microsoft 365 organisation. */
  organization: string;
  domains: string[];
  probeMailbox: string;
}

export interface Violation {
  invariant: 1 | 2 | 3 | 4 | 7 | 8;
  seq: number;
  what: string;
}

export const violations = (record: Exchange[], watched: Watched): Violation[] => [
  ...scopeBeforeProof(record, watched),
  ...moreThanOneGuid(record, watched),
  ...unscopedConnector(record, watched),
  ...unguardedNetwork(record),
  ...writesBeforeConsent(record, watched),
  ...effectsTwice(record),
];

const tookEffect = ({ effect }: Exchange): boolean => effect === "write";
/** Answered, and the answer arrived: what the other side can know. */
const answered = ({ status, fault }: Exchange): boolean => status >= 200 && status < 300 && fault !== "cut-after-effect";

interface Cmdlet {
  seq: number;
  exchange: Exchange;
  name: string;
  parameters: Record<string, unknown>;
  /** The objects of the answer. */
  value: Record<string, unknown>[];
}

const cmdletsOf = (record: Exchange[], organization: string): Cmdlet[] =>
  record.flatMap((exchange) => {
    if (exchange.cloud !== "exchange" || !pathOf(exchange.url).includes(organization.toLowerCase())) return [];
    const { CmdletInput: input } = (exchange.requestBody ?? {}) as {
      CmdletInput?: { CmdletName?: string; Parameters?: Record<string, unknown> };
    };
    if (!input?.CmdletName) return [];
    const { value = [] } = (exchange.responseBody ?? {}) as { value?: Record<string, unknown>[] };
    return [{ seq: exchange.seq, exchange, name: input.CmdletName, parameters: input.Parameters ?? {}, value }];
  });

const words = (given: unknown): string[] =>
  (Array.isArray(given) ? given : given === undefined || given === null ? [] : [given]).map((word) => String(word).toLowerCase());

/** A transport rule as the record shows it: what it does, and whom it concerns. */
interface Rule {
  names: Set<string>;
  forwards: boolean;
  approves: boolean;
  /** Senders or recipients. Conditions of a rule all have to hold, so they alone say how far it reaches; nobody named means everybody. */
  people: string[];
}

/** 1: nobody's mail beside the probe mailbox's is forwarded before STARTTLS, the loop, approval rule and inbound connector are proven. */
function scopeBeforeProof(record: Exchange[], { organization, probeMailbox }: Watched): Violation[] {
  const cmdlets = cmdletsOf(record, organization);
  const rules: Rule[] = [];
  const found: Violation[] = [];
  for (const cmdlet of cmdlets) {
    if (cmdlet.name === "Get-TransportRule" && answered(cmdlet.exchange)) cmdlet.value.forEach((shown) => know(rules, shown));
    if (!/^(New|Set)-TransportRule$/.test(cmdlet.name) || !tookEffect(cmdlet.exchange)) continue;
    const before = rules.map((rule) => ({ rule, wide: wide(rule, probeMailbox) }));
    const rule = written(rules, cmdlet);
    if (!rule || !wide(rule, probeMailbox) || before.some((one) => one.rule === rule && one.wide)) continue;
    for (const what of unproven(record, cmdlets, cmdlet.seq, { rules, organization, probeMailbox }))
      found.push({ invariant: 1, seq: cmdlet.seq, what: `the forwarding rule was widened before ${what}` });
  }
  return found;
}

const wide = ({ forwards, people }: Rule, probeMailbox: string): boolean =>
  forwards && (people.length === 0 || people.some((one) => one !== probeMailbox.toLowerCase()));

const ruleNamed = (rules: Rule[], name: unknown): Rule | undefined =>
  rules.find(({ names }) => typeof name === "string" && names.has(name.toLowerCase()));

const namesOf = (shown: Record<string, unknown>): string[] =>
  words([shown["Name"], shown["Guid"], shown["Identity"]].filter(Boolean));

/** A rule as Exchange shows it, which also tells the name that a GUID belongs to. */
function know(rules: Rule[], shown: Record<string, unknown>): void {
  const names = namesOf(shown);
  const known = rules.find((rule) => names.some((name) => rule.names.has(name)));
  const rule = {
    names: new Set(names),
    forwards: words(shown["RouteMessageOutboundConnector"]).length > 0,
    approves: words(shown["SetSCL"]).includes("-1"),
    people: words([shown["From"] ?? [], shown["SentTo"] ?? []].flat()),
  };
  if (known) Object.assign(known, rule);
  else rules.push(rule);
}

/** A new rule has what it was given; a changed one keeps what wasn't named. */
function written(rules: Rule[], { name, parameters, value }: Cmdlet): Rule | undefined {
  const made: Rule = { names: new Set(), forwards: false, approves: false, people: [] };
  const rule = name === "New-TransportRule" ? made : ruleNamed(rules, parameters["Identity"]);
  if (!rule) return undefined;
  if (rule === made) rules.push(rule);
  for (const one of words([parameters["Name"], ...value.flatMap(namesOf)].filter(Boolean))) rule.names.add(one);
  if ("RouteMessageOutboundConnector" in parameters)
    rule.forwards = words(parameters["RouteMessageOutboundConnector"]).length > 0;
  if ("SetSCL" in parameters) rule.approves = words(parameters["SetSCL"]).includes("-1");
  for (const by of ["From", "SentTo"]) if (by in parameters) rule.people = words(parameters[by]);
  return rule;
}

/** What wasn't proven when request `seq` was made. A proof older than the last change of what it proves is none. */
function unproven(
  record: Exchange[],
  cmdlets: Cmdlet[],
  seq: number,
  { rules, organization, probeMailbox }: { rules: Rule[] } & Omit<Watched, "domains">,
): string[] {
  const before = cmdlets.filter((one) => one.seq < seq);
  const lastWrite = (concerns: (cmdlet: Cmdlet) => boolean): number =>
    before.findLast((one) => tookEffect(one.exchange) && concerns(one))?.seq ?? Number.POSITIVE_INFINITY;
  const shownAfter = (at: number, cmdlet: string, shows: (value: Record<string, unknown>[]) => boolean): boolean =>
    before.some((one) => one.seq > at && one.name === cmdlet && answered(one.exchange) && shows(one.value));
  const writes = (noun: string) => (cmdlet: Cmdlet) => new RegExp(`^(New|Set)-${noun}$`).test(cmdlet.name);
  const approval = (cmdlet: Cmdlet): boolean =>
    writes("TransportRule")(cmdlet) &&
    (ruleNamed(rules, cmdlet.parameters["Identity"] ?? cmdlet.parameters["Name"])?.approves ?? false);
  const proofs: [boolean, string][] = [
    [shownAfter(lastWrite(writes("OutboundConnector")), "Validate-OutboundConnector", validated), "STARTTLS to the gateway"],
    [
      record.some((one) => one.seq < seq && one.tenant === organization && returnedProbe(one, probeMailbox)),
      "a probe mail that came back",
    ],
    [
      shownAfter(lastWrite(writes("InboundConnector")), "Get-InboundConnector", (value) => value.length > 0),
      "the inbound connector read back",
    ],
    [
      shownAfter(lastWrite(approval), "Get-TransportRule", (value) => value.some(({ SetSCL }) => words(SetSCL).includes("-1"))),
      "the approval rule read back",
    ],
  ];
  return proofs.filter(([proven]) => !proven).map(([, what]) => what);
}

const validated = (value: Record<string, unknown>[]): boolean =>
  value.length > 0 && value.every(({ IsTaskSuccessful, TlsUsed }) => IsTaskSuccessful === true && TlsUsed === true);

/** A mail in the probe mailbox with our header, whose value is a secret that the clouds know: the record shows it as redacted. */
function returnedProbe({ cloud, method, url, responseBody, ...exchange }: Exchange, probeMailbox: string): boolean {
  if (cloud !== "graph" || method !== "GET" || exchange.status !== 200 || exchange.fault !== undefined) return false;
  if (!decodeURIComponent(pathOf(url)).includes(`/users/${probeMailbox.toLowerCase()}/`)) return false;
  const { value = [] } = (responseBody ?? {}) as { value?: { internetMessageHeaders?: { name: string; value: string }[] }[] };
  return value.some(({ internetMessageHeaders = [] }) =>
    internetMessageHeaders.some((header) => header.name.toLowerCase() === "x-iqsuite-process" && header.value === "[redacted]"),
  );
}

/** 2: one loop GUID, made once, kept in the vault, and no other value in a rule. The record shows vault secrets as redacted. */
function moreThanOneGuid(record: Exchange[], { organization }: Watched): Violation[] {
  const written = record.filter((exchange) => exchange.cloud === "vault" && tookEffect(exchange));
  const putTo = Map.groupBy(
    written.filter(({ method, url }) => method === "PUT" && pathOf(url).endsWith("/secrets/loop-guid")),
    ({ url }) => pathOf(url),
  );
  const twice = [...putTo].flatMap(([path, puts]): Violation[] => {
    // Of writers that met, all but one have switched their own version off.
    const switchedOff = written.filter(({ method, url }) => method === "PATCH" && pathOf(url).startsWith(`${path}/`)).length;
    const surplus = puts[1 + switchedOff];
    return surplus ? [{ invariant: 2, seq: surplus.seq, what: `a second loop GUID was made in ${path}` }] : [];
  });
  const foreign = cmdletsOf(record, organization).flatMap(({ seq, parameters }): Violation[] => {
    const marks = [...words(parameters["ExceptIfHeaderContainsWords"]), ...words(parameters["HeaderContainsWords"])];
    const bad = marks.filter((word) => word !== "[redacted]");
    return bad.length === 0 ? [] : [{ invariant: 2, seq, what: "a rule has a loop GUID that no vault has" }];
  });
  return [...twice, ...foreign];
}

/** 3: the outbound connector concerns only mail that a rule sends to it, from birth. */
const unscopedConnector = (record: Exchange[], { organization }: Watched): Violation[] =>
  cmdletsOf(record, organization).flatMap(({ seq, name, parameters, exchange }): Violation[] => {
    if (!tookEffect(exchange)) return [];
    const scoped = parameters["IsTransportRuleScoped"];
    const wrong = name === "New-OutboundConnector" ? scoped !== true : name === "Set-OutboundConnector" && scoped === false;
    return wrong ? [{ invariant: 3, seq, what: "the outbound connector was not scoped to rules" }] : [];
  });

/** 4: no network interface without a security group; a VM's placement is in its first write and never changes. */
function unguardedNetwork(record: Exchange[]): Violation[] {
  const placements = new Map<string, string>();
  return record.flatMap((exchange): Violation[] => {
    if (exchange.cloud !== "arm" || !tookEffect(exchange)) return [];
    const { method, seq, url, requestBody } = exchange;
    const path = pathOf(url);
    // What is made under the name of a machine that was taken away is another machine.
    const gone = removalOf(exchange);
    if (gone) placements.delete(gone);
    if (method !== "PUT") return [];
    const body = (requestBody ?? {}) as { location?: string; zones?: string[]; properties?: Record<string, unknown> };
    const { id: guard } = (body.properties?.["networkSecurityGroup"] ?? {}) as { id?: string };
    if (/\/networkinterfaces\/[^/]+$/.test(path) && !guard)
      return [{ invariant: 4, seq, what: "a network interface was written without a network security group" }];
    if (!/\/virtualmachines\/[^/]+$/.test(path)) return [];
    const placement = JSON.stringify([body.location, body.zones ?? [], body.properties?.["availabilitySet"] ?? null]);
    const earlier = placements.get(`arm ${path}`);
    placements.set(`arm ${path}`, placement);
    if (!body.location) return [{ invariant: 4, seq, what: "a VM was written without its placement" }];
    return earlier === undefined || earlier === placement
      ? []
      : [{ invariant: 4, seq, what: "a VM's placement was changed after its birth" }];
  });
}

/** 7: nothing is written to Graph or Exchange before a token of that tenant was had and the declared domains were seen verified there. */
function writesBeforeConsent(record: Exchange[], { organization, domains }: Watched): Violation[] {
  const token = record.find(
    (exchange) =>
      exchange.cloud === "entra" &&
      exchange.method === "POST" &&
      pathOf(exchange.url).includes(`/${organization.toLowerCase()}/oauth2/v2.0/token`) &&
      answered(exchange),
  );
  const verified = record.find(
    (exchange) =>
      exchange.cloud === "graph" &&
      exchange.method === "GET" &&
      exchange.tenant === organization &&
      pathOf(exchange.url).endsWith("/v1.0/domains") &&
      answered(exchange) &&
      showsVerified(exchange.responseBody, domains),
  );
  const proven = token && verified ? Math.max(token.seq, verified.seq) : Number.POSITIVE_INFINITY;
  const there = ({ cloud, tenant, url }: Exchange): boolean =>
    (cloud === "graph" || (cloud === "exchange" && url.startsWith("https:"))) && tenant === organization;
  return record
    .filter((exchange) => there(exchange) && tookEffect(exchange) && exchange.seq < proven)
    .map(({ seq, cloud, method, url }) => ({
      invariant: 7,
      seq,
      what: `${cloud} was written before consent was proven: ${method} ${pathOf(url)}`,
    }));
}

function showsVerified(body: unknown, domains: string[]): boolean {
  const { value = [] } = (body ?? {}) as { value?: { id?: string; isVerified?: boolean }[] };
  return domains.every((domain) => value.some(({ id, isVerified }) => id?.toLowerCase() === domain && isVerified));
}

/**
 * 8: nothing is made twice: no second birth of an object that was not removed in between. A mail under way can't be seen by anybody, so
 * one whose sender doesn't know whether it was sent may be sent once more, but not when it has arrived.
 */
function effectsTwice(record: Exchange[]): Violation[] {
  return [...bornTwice(record), ...sentTwice(record)];
}

function bornTwice(record: Exchange[]): Violation[] {
  const alive = new Map<string, number>();
  const names = namesByGuid(record);
  return record.filter(tookEffect).flatMap((exchange): Violation[] => {
    const gone = removalOf(exchange, names);
    if (gone) for (const key of [...alive.keys()].filter((one) => one === gone || one.startsWith(`${gone}/`))) alive.delete(key);
    const born = birthOf(exchange);
    if (!born) return [];
    const earlier = alive.get(born);
    alive.set(born, exchange.seq);
    return earlier === undefined
      ? []
      : [{ invariant: 8, seq: exchange.seq, what: `made a second time: ${born} (first: ${earlier})` }];
  });
}

/** What a write brought into being, or undefined. */
function birthOf({ cloud, method, status, url, tenant, requestBody }: Exchange): string | undefined {
  const path = pathOf(url);
  const body = (requestBody ?? {}) as Record<string, unknown>;
  if (cloud === "arm") return method === "PUT" && status === 201 ? `arm ${path}` : undefined;
  if (cloud === "vault") return method === "PUT" ? `vault ${path} ${generationOf(body)}`.trimEnd() : undefined;
  if (cloud === "exchange") {
    const input = body["CmdletInput"] as { CmdletName: string; Parameters: Record<string, unknown> } | undefined;
    return input?.CmdletName.startsWith("New-")
      ? `exchange ${tenant} ${input.CmdletName.slice(4)} ${String(input.Parameters["Name"])}`.toLowerCase()
      : undefined;
  }
  if (cloud !== "graph") return undefined;
  if (status !== 201) return undefined;
  return `graph ${tenant} ${path} ${[body["appId"], body["principalId"], body["appRoleId"], body["clientId"]].join(" ")}`;
}

/** A rotation makes the next one of the same secret. */
const generationOf = ({ tags }: Record<string, unknown>): string =>
  (tags as Record<string, string> | undefined)?.["gatehouse-generation"] ?? "";

function sentTwice(record: Exchange[]): Violation[] {
  const mails = new Map<string, { sent: number; arrived: boolean }>();
  return record.filter(tookEffect).flatMap(({ seq, cloud, method, url, tenant, requestBody }): Violation[] => {
    const sending = cloud === "graph" && pathOf(url).endsWith("/sendmail");
    const arriving = cloud === "exchange" && method === "DELIVER";
    if (!sending && !arriving) return [];
    const body = (requestBody ?? {}) as { subject?: string; message?: { subject?: string } };
    const subject = body.subject ?? body.message?.subject ?? "";
    const organization = tenant ?? /^exchange:([^/]+)/.exec(url)?.[1] ?? "";
    const mail = mails.get(`${organization} ${subject}`) ?? { sent: 0, arrived: false };
    mails.set(`${organization} ${subject}`, mail);
    if (arriving) mail.arrived = true;
    else mail.sent += 1;
    if (arriving || mail.sent === 1 || (mail.sent === 2 && !mail.arrived)) return [];
    return [{ invariant: 8, seq, what: `sent again: ${subject}` }];
  });
}

/** Objects of Exchange Online are made by name and removed by GUID; any answer that shows one tells both. */
function namesByGuid(record: Exchange[]): Map<string, string> {
  const shown = record.flatMap(({ cloud, responseBody }) => {
    const { value } = (cloud === "exchange" ? (responseBody ?? {}) : {}) as { value?: unknown };
    return Array.isArray(value) ? (value as { Guid?: unknown; Name?: unknown }[]) : [];
  });
  return new Map(
    shown.flatMap(({ Guid, Name }) => (typeof Guid === "string" && typeof Name === "string" ? [[Guid.toLowerCase(), Name]] : [])),
  );
}

function removalOf(
  { cloud, method, url, tenant, requestBody }: Exchange,
  names: Map<string, string> = new Map(),
): string | undefined {
  const path = pathOf(url);
  if (cloud === "arm" && method === "DELETE") return `arm ${path}`;
  if (cloud !== "exchange") return undefined;
  const { CmdletInput: input } = (requestBody ?? {}) as {
    CmdletInput?: { CmdletName: string; Parameters: Record<string, unknown> };
  };
  if (!input?.CmdletName.startsWith("Remove-")) return undefined;
  const identity = String(input.Parameters["Identity"]);
  return `exchange ${tenant} ${input.CmdletName.slice(7)} ${names.get(identity.toLowerCase()) ?? identity}`.toLowerCase();
}

const pathOf = (url: string): string =>
  new URL(url, "https://cloud.invalid").pathname.toLowerCase().replaceAll("//", "/").replace(/\/$/, "");

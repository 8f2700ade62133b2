/**
 * The transport pipeline: loop check, rules, routing, delivery, queue and non-delivery reports.
 *
 * Sources: Microsoft's "Mail routing in Exchange Online", "Mail flow rules" and the table of NDR codes (5.4.14 loops, 5.4.316 expiry,
 * 5.1.10 unknown recipient); retry times are Exchange's defaults, expiry Exchange Online's 24 hours.
 */
import { randomUUID } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Collection, MailDelivery, MailMessage, MessageTrace, Platform } from "../simulator.ts";
import {
  bodyOf,
  domainOf,
  headerValues,
  hops,
  mailDate,
  messageIdOf,
  nonDeliveryReport,
  subjectOf,
  withHeader,
  withHeaderOnTop,
  withoutHeader,
  withoutHeaders,
} from "../mail/message.ts";
import { schedule } from "../mail/timers.ts";
import { OUTBOUND_ADDRESS, OUTBOUND_NAME } from "./addresses.ts";
import { list, tlsOf } from "./connectors.ts";
import { findGroup } from "./groups.ts";
import { type Envelope, predicates } from "./predicates.ts";
import type { Connector, ExchangeStore, TransportRule } from "./store.ts";

export const ORGANIZATION_HEADER = "X-MS-Exchange-Organization-";
const SCL_HEADER = `${ORGANIZATION_HEADER}SCL`;
const SERVER = "AM0PR01MB0001.eurprd01.prod.exchangelabs.example";
/** More servers than that, and it is a loop. */
const HOP_LIMIT = 20;
const LOOP_REPLY = "554 5.4.14 Hop count exceeded - possible mail loop ATTR34";
const RETRY_IN_MINUTES = 5;
const SLOW_RETRY_IN_MINUTES = 30;
const SLOW_AFTER_TRIES = 12;
const EXPIRY_IN_MINUTES = 24 * 60;
/** "Anti-spam message headers": SFV is NSPM for no spam, SPM for spam, SKN for marked as no spam before it came to the filter, SKI for internal. */
const REPORT_HEADER = "X-Forefront-Antispam-Report";
const judgement = (level: number, given: string | undefined): string =>
  `CIP:255.255.255.255;CTRY:;LANG:en;SCL:${level};SRV:;IPV:NLI;SFV:${level >= JUNK_LEVEL ? "SPM" : level >= 0 ? "NSPM" : given === undefined ? "SKI" : "SKN"};CAT:${level >= JUNK_LEVEL ? "SPM" : "NONE"};DIR:INB;`;
/** GTUBE, the test string that every content filter takes for spam. */
const SPAM = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
const JUNK_LEVEL = 5;

/** A message that entered the organisation. */
export interface Submission {
  tenantId: string;
  message: MailMessage;
  /** The server that handed it over, and what it called itself; undefined when a mailbox sent it. */
  lastHop: { address: string; helo: string } | undefined;
  authenticated: boolean;
  /** What the connection filter says. */
  scl: number | undefined;
}

interface QueuedMail {
  tenantId: string;
  message: MailMessage;
  /** By an outbound connector (its Guid), or to a domain's mail exchanger. */
  route: { connector: string } | { domain: string };
  queuedAt: number;
  tries: number;
  lastReply?: string;
  /** Traces by recipient; a report has none. */
  traces?: Record<string, string>;
}

/** What became of a message at a server, and which. */
type Attempt = Pick<MailDelivery, "accepted" | "refused"> & { host?: string };

export interface Transport {
  readonly submit: (submission: Submission) => void;
  /** Takes up what an earlier process left in the queue. */
  resume(): void;
  stop(): void;
  state(): unknown;
}

export function createTransport(platform: Platform, store: ExchangeStore): Transport {
  const queue: Collection<QueuedMail> = platform.collection("exchange.queue");
  const timers = schedule(platform);

  function submit({ tenantId, message, lastHop, authenticated, scl }: Submission): void {
    const received = `${lastHop ? `from ${lastHop.helo} (${lastHop.address})` : `from ${SERVER} ([fe80::1])`} by ${SERVER} with ${lastHop ? "Microsoft SMTP Server (version=TLS1_3)" : "mapi"} id 15.20.7000.0; ${mailDate(platform.now())}`;
    // The header firewall: nobody outside speaks for the organisation.
    const clean = withoutHeaders(message.mime, (name) => name.toLowerCase().startsWith(ORGANIZATION_HEADER.toLowerCase()));
    const authorized = withHeaderOnTop(
      withHeaderOnTop(clean, `${ORGANIZATION_HEADER}AuthSource`, SERVER),
      `${ORGANIZATION_HEADER}AuthAs`,
      authenticated ? "Internal" : "Anonymous",
    );
    const mime = withHeaderOnTop(
      scl === undefined ? authorized : withHeaderOnTop(authorized, SCL_HEADER, String(scl)),
      "Received",
      received,
    );
    const traces = begun(tenantId, { ...message, mime }, lastHop?.address);
    if (hops(mime) > HOP_LIMIT) {
      ended(traces, message.recipients, { status: "failed" });
      return report(tenantId, { ...message, mime }, message.recipients, LOOP_REPLY);
    }
    const organization = store.organization(tenantId);
    const accepted = (domain: string): boolean =>
      organization?.domains.some((one) => one.verified && one.name.toLowerCase() === domain) ?? false;
    const ruled = applyRules(store.effectiveRules(tenantId).filter(worksAt(platform.now())), {
      ...message,
      mime,
      lastHop: lastHop?.address,
      authenticated,
      scl,
      accepted,
      memberOf: (address, group) => findGroup({ tenantId, store }, group)?.members.includes(address.toLowerCase()) ?? false,
    });
    for (const rule of ruled.applied)
      platform.note("exchange", {
        method: "RULE",
        url: `exchange:${tenantId}/${rule.name}`,
        requestBody: { from: message.envelopeFrom, to: message.recipients, subject: subjectOf(mime), lastHop: lastHop?.address },
        status: 200,
      });
    const onward = { ...message, mime: ruled.mime };
    if (ruled.deleted) return ended(traces, message.recipients, { status: "failed" });
    if (ruled.connector !== undefined)
      return enqueue({ tenantId, message: onward, route: { connector: ruled.connector }, traces });
    const own = message.recipients.filter((recipient) => accepted(domainOf(recipient)));
    deliverLocally(tenantId, { ...onward, recipients: own }, authenticated, traces);
    for (const [domain, recipients] of byDomain(message.recipients.filter((recipient) => !own.includes(recipient)))) {
      const connector = connectorFor(tenantId, domain);
      const route = connector ? { connector: connector.guid } : { domain };
      enqueue({ tenantId, message: { ...onward, recipients }, route, traces });
    }
  }

  function begun(tenantId: string, message: MailMessage, fromIp: string | undefined): Record<string, string> {
    const { envelopeFrom: sender, recipients, mime } = message;
    const size = Buffer.byteLength(mime);
    const common = { tenantId, messageId: messageIdOf(mime), sender, subject: subjectOf(mime), size, toIp: null };
    return Object.fromEntries(
      recipients.map((recipient) => {
        const id = randomUUID();
        const receivedAt = platform.now();
        store.trace({ ...common, id, recipient, receivedAt, fromIp: fromIp ?? null, status: "pending" });
        return [recipient, id];
      }),
    );
  }

  function ended(
    traces: Record<string, string> | undefined,
    recipients: string[],
    change: Pick<MessageTrace, "status"> & Partial<MessageTrace>,
  ): void {
    for (const recipient of recipients) store.traced(traces?.[recipient] ?? "", change);
  }

  function deliverLocally(tenantId: string, message: MailMessage, authenticated: boolean, traces: Record<string, string>): void {
    const unknown: string[] = [];
    for (const recipient of message.recipients) {
      if (store.messagesIn(tenantId, recipient) === undefined) unknown.push(recipient);
      else {
        const folder = deliverTo(tenantId, recipient, message, authenticated);
        ended(traces, [recipient], { status: folder === "inbox" ? "delivered" : "filteredAsSpam" });
      }
    }
    ended(traces, unknown, { status: "failed" });
    if (unknown.length > 0)
      report(tenantId, message, unknown, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup");
  }

  function deliverTo(tenantId: string, mailbox: string, message: MailMessage, authenticated: boolean): "inbox" | "junkemail" {
    // Content filtering comes after the rules: what they set stands.
    const given = headerValues(message.mime, SCL_HEADER)[0];
    const level = given === undefined ? (authenticated ? -1 : message.mime.includes(SPAM) ? 9 : 1) : Number(given);
    const folder = level >= JUNK_LEVEL ? "junkemail" : "inbox";
    const judged = withHeader(withHeader(message.mime, SCL_HEADER, String(level)), REPORT_HEADER, judgement(level, given));
    const mime = withHeaderOnTop(judged, "Return-Path", `<${message.envelopeFrom}>`);
    store.deliver(tenantId, mailbox.toLowerCase(), {
      id: randomUUID(),
      folder,
      receivedAt: platform.now(),
      envelopeFrom: message.envelopeFrom,
      mime,
    });
    platform.note("exchange", {
      method: "DELIVER",
      url: `exchange:${tenantId}/${mailbox}`,
      requestBody: {
        from: message.envelopeFrom,
        subject: subjectOf(mime),
        messageId: messageIdOf(mime),
        received: headerValues(mime, "Received"),
        folder,
        scl: level,
      },
      status: 250,
      effect: "write",
    });
    return folder;
  }

  /** An outbound connector that isn't rule-scoped takes the mail for its recipient domains. */
  const connectorFor = (tenantId: string, domain: string): Connector | undefined =>
    store.outboundConnectors
      .of(tenantId)
      .find(
        ({ settings }) =>
          settings["Enabled"] === true &&
          settings["IsTransportRuleScoped"] !== true &&
          settings["TestMode"] !== true &&
          list(settings["RecipientDomains"]).some(
            (wanted) =>
              wanted === "*" ||
              wanted.toLowerCase() === domain ||
              (wanted.startsWith("*.") && domain.endsWith(wanted.slice(1).toLowerCase())),
          ),
      );

  function enqueue(mail: Omit<QueuedMail, "queuedAt" | "tries">): void {
    const id = randomUUID();
    const mime = withoutHeaders(mail.message.mime, (name) => name.toLowerCase().startsWith(ORGANIZATION_HEADER.toLowerCase()));
    queue.set(id, { ...mail, message: { ...mail.message, mime }, queuedAt: platform.now(), tries: 0 });
    timers.soon(() => forward(id));
  }

  async function forward(id: string): Promise<void> {
    const mail = queue.get(id);
    if (!mail) return;
    const { accepted, refused, host } = await send(mail);
    ended(mail.traces, accepted, { status: "delivered", toIp: addressOf(host) });
    const returned = refused.filter(({ reply }) => reply.startsWith("5"));
    const waiting = mail.message.recipients.filter(
      (recipient) => !accepted.includes(recipient) && !returned.some((one) => one.recipient === recipient),
    );
    for (const [reply, recipients] of byReply(returned)) {
      ended(mail.traces, recipients, { status: "failed", toIp: addressOf(host) });
      report(mail.tenantId, mail.message, recipients, reply);
    }
    if (waiting.length === 0) return void queue.delete(id);
    const tries = mail.tries + 1;
    const lastReply = refused.find(({ recipient }) => waiting.includes(recipient))?.reply ?? "450 4.4.0";
    if (minutesAfter(tries) > EXPIRY_IN_MINUTES) {
      queue.delete(id);
      ended(mail.traces, waiting, { status: "failed" });
      return report(mail.tenantId, mail.message, waiting, `550 5.4.316 Message expired, ${lastReply.replace(/^\d{3} \S+ /, "")}`);
    }
    queue.set(id, { ...mail, message: { ...mail.message, recipients: waiting }, tries, lastReply });
    timers.after((minutesAfter(tries) - minutesAfter(tries - 1)) * 60_000, () => forward(id));
  }

  /** A smart host may be an address by itself. */
  const addressOf = (host: string | undefined): string | null =>
    host === undefined ? null : isIPv4(host) ? host : (platform.peers.lookup?.(host, "A")[0] ?? null);

  async function send({ tenantId, message, route }: QueuedMail): Promise<Attempt> {
    const refusing = (reply: string): Attempt => ({
      accepted: [],
      refused: message.recipients.map((recipient) => ({ recipient, reply })),
    });
    const { peers } = platform;
    if (!peers.deliverMail) return refusing("450 4.4.315 Connection timed out");
    const from = { name: OUTBOUND_NAME, address: OUTBOUND_ADDRESS };
    if ("domain" in route) {
      const [host] = peers.lookup?.(route.domain, "MX") ?? [];
      if (host === undefined) return refusing(`550 5.4.310 DNS domain ${route.domain} does not exist`);
      return { ...(await peers.deliverMail({ from, to: { host, port: 25 }, message, tls: "opportunistic" })), host };
    }
    const connector = store.outboundConnectors.of(tenantId).find(({ guid }) => guid === route.connector);
    if (!connector) return refusing("550 5.4.4 Unrouteable: the outbound connector doesn't exist");
    if (connector.settings["Enabled"] !== true) return refusing("450 4.4.0 The outbound connector is disabled");
    const security = tlsOf(connector.settings);
    let fate = refusing("450 4.4.0 The outbound connector has no smart host");
    for (const host of list(connector.settings["SmartHosts"])) {
      fate = { ...(await peers.deliverMail({ from, to: { host, port: 25 }, message, ...security })), host };
      // The next smart host is tried when this one can't be talked to, not when it refuses the mail.
      if (!fate.refused.some(({ reply }) => reply.startsWith("4"))) return fate;
    }
    return fate;
  }

  /** Tells the sender; a report about a report would never end, so there is none. */
  function report(tenantId: string, message: MailMessage, recipients: string[], reply: string): void {
    platform.note("exchange", {
      method: "NDR",
      url: `exchange:${tenantId}`,
      requestBody: { from: message.envelopeFrom, to: recipients, subject: subjectOf(message.mime), hops: hops(message.mime) },
      status: Number(reply.slice(0, 3)),
      responseBody: reply,
      effect: "write",
    });
    if (message.envelopeFrom === "") return;
    const ndr = nonDeliveryReport({
      reporter: SERVER,
      to: message.envelopeFrom,
      recipients,
      reply,
      original: message.mime,
      messageId: `${randomUUID()}@${SERVER}`,
      now: platform.now(),
    });
    if (store.messagesIn(tenantId, message.envelopeFrom) !== undefined) deliverTo(tenantId, message.envelopeFrom, ndr, true);
    else if (store.organizationOf(message.envelopeFrom) === undefined)
      enqueue({ tenantId, message: ndr, route: { domain: domainOf(message.envelopeFrom) } });
  }

  return {
    submit,
    resume: () => {
      for (const [id] of queue.entries()) timers.soon(() => forward(id));
    },
    stop: () => timers.stop(),
    state: () =>
      queue.values().map(({ tenantId, message: { envelopeFrom, recipients, mime }, route, tries, lastReply }) => ({
        tenantId,
        envelopeFrom,
        recipients,
        subject: subjectOf(mime),
        bytes: Buffer.byteLength(bodyOf(mime)),
        route,
        tries,
        lastReply,
      })),
  };
}

/** Rules in their order; each sees what the ones above it changed. */
export function applyRules(
  rules: TransportRule[],
  message: Envelope,
): { mime: string; connector: string | undefined; deleted: boolean; applied: TransportRule[] } {
  let { mime, scl } = message;
  let connector: string | undefined;
  let deleted = false;
  const applied: TransportRule[] = [];
  for (const rule of rules) {
    if (!applies(rule.settings, { ...message, mime, scl })) continue;
    applied.push(rule);
    // Audit only counts; it routes, changes and stops nothing.
    if (rule.mode !== "Enforce") continue;
    const {
      RouteMessageOutboundConnector,
      SetSCL,
      RemoveHeader,
      SetHeaderName,
      SetHeaderValue,
      PrependSubject,
      DeleteMessage,
      StopRuleProcessing,
    } = rule.settings;
    if (typeof RemoveHeader === "string") mime = withoutHeader(mime, RemoveHeader);
    if (typeof SetHeaderName === "string") mime = withHeader(mime, SetHeaderName, String(SetHeaderValue));
    if (typeof PrependSubject === "string") mime = withHeader(mime, "Subject", `${PrependSubject}${subjectOf(mime)}`);
    if (DeleteMessage === true) deleted = true;
    if (SetSCL !== undefined) {
      scl = Number(SetSCL);
      mime = withHeader(mime, SCL_HEADER, String(scl));
    }
    if (typeof RouteMessageOutboundConnector === "string") connector = RouteMessageOutboundConnector;
    if (StopRuleProcessing === true) break;
  }
  return { mime, connector, deleted, applied };
}

const worksAt =
  (now: number) =>
  ({ settings: { ActivationDate, ExpiryDate } }: TransportRule): boolean =>
    !(typeof ActivationDate === "string" && Date.parse(ActivationDate) > now) &&
    !(typeof ExpiryDate === "string" && Date.parse(ExpiryDate) <= now);

const judgedWithTheirHeader = new Set(["HeaderContainsWords", "HeaderMatchesPatterns"]);

/** All conditions, and none of the exceptions; a rule without conditions applies to every message. */
function applies(settings: Record<string, unknown>, message: Envelope): boolean {
  const asExceptions = Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) =>
      name.startsWith("ExceptIf") ? [[name.slice("ExceptIf".length), value]] : [],
    ),
  );
  const { SenderAddressLocation } = settings;
  const met = (values: Record<string, unknown>, name: string): boolean =>
    predicates[name]?.met(values[name], message, { ...values, SenderAddressLocation }) ?? false;
  const conditions = Object.keys(predicates).filter((name) => settings[name] !== undefined);
  // The words of a header condition are judged with the header's name; alone they are no exception.
  const exceptions = Object.keys(predicates).filter(
    (name) => !judgedWithTheirHeader.has(name) && asExceptions[name] !== undefined,
  );
  return conditions.every((name) => met(settings, name)) && !exceptions.some((name) => met(asExceptions, name));
}

const minutesAfter = (tries: number): number =>
  Math.min(tries, SLOW_AFTER_TRIES) * RETRY_IN_MINUTES + Math.max(0, tries - SLOW_AFTER_TRIES) * SLOW_RETRY_IN_MINUTES;

function byDomain(recipients: string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const recipient of recipients) groups.set(domainOf(recipient), [...(groups.get(domainOf(recipient)) ?? []), recipient]);
  return groups;
}

function byReply(refused: { recipient: string; reply: string }[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { recipient, reply } of refused) groups.set(reply, [...(groups.get(reply) ?? []), recipient]);
  return groups;
}

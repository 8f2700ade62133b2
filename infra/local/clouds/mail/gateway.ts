/**
 * A gateway as the mail internet sees it: IIS SMTP with iQ.Suite, configured by what its guest says and by nothing else.
 *
 * Sources: runbook 3.3 (FQDN, smart host, inbound and outbound TLS), 4.1 (`AdditionalInjectHeaders`), 3.5 (Queue and Badmail folders);
 * retry times are IIS 6/10 SMTP's defaults (15, 30, 60, then every 240 minutes, expiry after two days).
 */
import { randomUUID } from "node:crypto";
import type { Collection, MailMessage, MailReceiver, Platform, SimulatedGuest } from "../simulator.ts";
import { exchangeOnlineAddress } from "../exchange/addresses.ts";
import { contains } from "../exchange/ranges.ts";
import type { Delivery } from "./client.ts";
import { domainOf, mailDate, nonDeliveryReport, withHeaderOnTop } from "./message.ts";
import { schedule } from "./timers.ts";

const INJECT_KEY = "hklm\\software\\gbs\\iq.suite\\inject";
const INJECT_VALUE = "additionalinjectheaders";
const RETRIES_IN_MINUTES = [15, 30, 60, 240];
const EXPIRY_IN_MINUTES = 2 * 24 * 60;

interface QueuedMail {
  virtualMachineId: string;
  /** Where and by whom the gateway was dialled: how its guest is found again. */
  address: string;
  source: string;
  message: MailMessage;
  queuedAt: number;
  tries: number;
  lastReply?: string;
}

interface Badmail {
  virtualMachineId: string;
  message: MailMessage;
  reply: string;
  at: number;
}

export interface Gateways {
  receiver(guest: SimulatedGuest, address: string, source: string): MailReceiver;
  readonly counts: (virtualMachineId: string) => { queued: number; badmail: number; oldestQueuedAt: number | undefined };
  /** Lines of its log, oldest first. */
  readonly log: (virtualMachineId: string) => string[];
  /** Takes up what an earlier process left in the queues. */
  resume(): void;
  stop(): void;
  state(): unknown;
}

export function createGateways(
  platform: Platform,
  deliver: (delivery: Delivery) => ReturnType<NonNullable<Platform["peers"]["deliverMail"]>>,
): Gateways {
  const queue: Collection<QueuedMail> = platform.collection("mail.gateway-queue");
  const badmail: Collection<Badmail> = platform.collection("mail.gateway-badmail");
  const logs: Collection<{ lines: string[] }> = platform.collection("mail.gateway-logs");
  const lastSeen = new Map<string, SimulatedGuest>();
  const timers = schedule(platform);

  function receiver(guest: SimulatedGuest, address: string, source: string): MailReceiver {
    lastSeen.set(guest.virtualMachineId, guest);
    const fqdn = guest.smtp.fqdn ?? guest.computerName;
    return {
      fqdn,
      banner: "Microsoft ESMTP MAIL Service, Version: 10.0.20348.1 ready",
      startTls: guest.smtp.inboundTls,
      certificate: guest.smtp.pkcs12 === undefined ? "selfSigned" : { pkcs12: guest.smtp.pkcs12 },
      refuses: (from, _envelopeFrom, recipient) =>
        relays(guest, from, recipient) ? undefined : `550 5.7.1 Unable to relay for ${recipient}`,
      take: ({ helo, message }) => {
        const id = randomUUID();
        const received = `from ${helo} ([${source}]) by ${fqdn} with Microsoft SMTPSVC(10.0.20348.1); ${mailDate(platform.now())}`;
        const mime = withHeaderOnTop(withInjectedHeaders(guest, message.mime), "Received", received);
        const { virtualMachineId } = guest;
        queue.set(id, { virtualMachineId, address, source, message: { ...message, mime }, queuedAt: platform.now(), tries: 0 });
        timers.soon(() => forward(id));
        return `250 2.6.0 <${id}@${fqdn}> Queued mail for delivery`;
      },
    };
  }

  async function forward(id: string): Promise<void> {
    const mail = queue.get(id);
    if (!mail) return;
    const { guestOf, gatewayAt } = platform.peers;
    const guest =
      guestOf?.(mail.virtualMachineId) ?? gatewayAt?.(mail.address, 25, mail.source) ?? lastSeen.get(mail.virtualMachineId);
    if (!guest?.smtp.running) return retry(id, mail, "the SMTP service doesn't run");
    const { accepted, refused } = await deliverFor(guest, mail.message);
    log(guest, refused);
    const waiting = refused.filter(({ reply }) => !reply.startsWith("5"));
    const returned = refused.filter(({ reply }) => reply.startsWith("5"));
    if (returned.length > 0) bounce(mail, returned, guest);
    if (waiting.length === 0) return void queue.delete(id);
    const recipients = mail.message.recipients.filter((recipient) => !accepted.includes(recipient));
    return retry(
      id,
      {
        ...mail,
        message: { ...mail.message, recipients: recipients.filter((one) => waiting.some(({ recipient }) => recipient === one)) },
      },
      waiting[0]?.reply ?? "",
    );
  }

  /** Of each conversation that ended with a refusal, its greeting and the refusals; a service that got no connection has nobody's words. */
  function log({ virtualMachineId, computerName, smtp: { smartHost } }: SimulatedGuest, refused: { reply: string }[]): void {
    const answers = refused.map(({ reply }) => reply).filter((reply) => !reply.startsWith("450 4.4.3"));
    if (answers.length === 0 || smartHost === undefined) return;
    const [address = "-"] = platform.peers.lookup?.(smartHost, "A") ?? [];
    const [date, time = ""] = new Date(platform.now()).toISOString().split("T");
    const line = (reply: string): string =>
      `${date} ${time.slice(0, 8)} ${address} OutboundConnectionResponse SMTPSVC1 ${computerName} - 25 - - ${reply.replaceAll(/\s+/g, "+")} 0 0 ${reply.length} 0 0 SMTP - - - -`;
    const greeting = `220 ${smartHost} Microsoft ESMTP MAIL Service ready`;
    const { lines } = logs.get(virtualMachineId) ?? { lines: [] };
    logs.set(virtualMachineId, { lines: [...lines, ...[greeting, ...answers].map(line)] });
  }

  async function deliverFor(guest: SimulatedGuest, message: MailMessage): ReturnType<typeof deliver> {
    const { smartHost, outboundTls, fqdn, pkcs12 } = guest.smtp;
    const from = { name: fqdn ?? guest.computerName, address: guest.egressAddress, pkcs12 };
    const tls = outboundTls ? "required" : "opportunistic";
    if (guest.outboundSmtpBlocked) {
      const reply = "450 4.4.315 Connection timed out [Message=Socket error code 10060]";
      return { accepted: [], refused: message.recipients.map((recipient) => ({ recipient, reply })), tls: { used: false } };
    }
    if (smartHost !== undefined) return deliver({ from, to: { host: smartHost, port: 25 }, message, tls });
    // Runbook 3.3: without a smart host mail leaves from the VM itself.
    const domain = domainOf(message.recipients[0] ?? "");
    return deliver({ from, to: { host: platform.peers.lookup?.(domain, "MX")[0] ?? domain, port: 25 }, message, tls });
  }

  function retry(id: string, mail: QueuedMail, lastReply: string): void {
    const tries = mail.tries + 1;
    const waited = RETRIES_IN_MINUTES.slice(0, tries).reduce((sum, minutes) => sum + minutes, 0) + Math.max(0, tries - 4) * 240;
    if (waited > EXPIRY_IN_MINUTES) {
      queue.delete(id);
      return setAside(mail, lastReply);
    }
    queue.set(id, { ...mail, tries, lastReply });
    timers.after((RETRIES_IN_MINUTES[tries - 1] ?? 240) * 60_000, () => forward(id));
  }

  /** A report goes the same way as the mail; what was itself a report, or can't be reported, lands in Badmail. */
  function bounce(mail: QueuedMail, returned: { recipient: string; reply: string }[], guest: SimulatedGuest): void {
    const { envelopeFrom } = mail.message;
    const reply = returned[0]?.reply ?? "";
    if (envelopeFrom === "") return setAside(mail, reply);
    const id = randomUUID();
    const reporter = guest.smtp.fqdn ?? guest.computerName;
    const message = nonDeliveryReport({
      reporter,
      to: envelopeFrom,
      recipients: returned.map(({ recipient }) => recipient),
      reply,
      original: mail.message.mime,
      messageId: `${id}@${reporter}`,
      now: platform.now(),
    });
    queue.set(id, { ...mail, message, queuedAt: platform.now(), tries: 0 });
    timers.soon(() => forward(id));
  }

  function setAside({ virtualMachineId, message }: QueuedMail, reply: string): void {
    badmail.set(randomUUID(), { virtualMachineId, message, reply, at: platform.now() });
    platform.note("mail", {
      method: "BADMAIL",
      url: `gateway:${virtualMachineId}`,
      requestBody: { from: message.envelopeFrom, to: message.recipients },
      status: Number(reply.slice(0, 3)) || 550,
      responseBody: reply,
      effect: "write",
    });
  }

  return {
    receiver,
    counts: (virtualMachineId) => {
      const queued = queue.values().filter((mail) => mail.virtualMachineId === virtualMachineId);
      const oldest = Math.min(...queued.map((mail) => mail.queuedAt));
      return {
        queued: queued.length,
        badmail: badmail.values().filter((mail) => mail.virtualMachineId === virtualMachineId).length,
        oldestQueuedAt: queued.length > 0 ? oldest : undefined,
      };
    },
    log: (virtualMachineId) => logs.get(virtualMachineId)?.lines ?? [],
    resume: () => {
      for (const [id] of queue.entries()) timers.soon(() => forward(id));
    },
    stop: () => timers.stop(),
    state: () => ({
      queue: queue.values().map(({ virtualMachineId, message: { envelopeFrom, recipients }, tries, lastReply }) => ({
        virtualMachineId,
        envelopeFrom,
        recipients,
        tries,
        lastReply,
      })),
      badmail: badmail.values().map(({ virtualMachineId, message: { envelopeFrom, recipients }, reply }) => ({
        virtualMachineId,
        envelopeFrom,
        recipients,
        reply,
      })),
    }),
  };
}

/** IIS relays for the domains it knows and for the addresses in its relay list (metabase RelayIpList), and for nobody else. */
function relays({ smtp: { relayFor, relayFrom } }: SimulatedGuest, source: string, recipient: string): boolean {
  if (relayFor === undefined && relayFrom === undefined) return exchangeOnlineAddress(source);
  return (relayFor ?? []).some((domain) => domain.toLowerCase() === domainOf(recipient)) || contains(relayFrom ?? [], source);
}

/** Registry names are case-insensitive; the value holds `name:value`, several in a REG_MULTI_SZ. */
function withInjectedHeaders(guest: SimulatedGuest, mime: string): string {
  const key = Object.entries(guest.registry).find(([path]) => path.toLowerCase() === INJECT_KEY)?.[1] ?? {};
  const data = Object.entries(key).find(([name]) => name.toLowerCase() === INJECT_VALUE)?.[1].data;
  const lines = (Array.isArray(data) ? data.map(String) : typeof data === "string" ? data.split(/\r?\n/) : []).filter((line) =>
    line.includes(":"),
  );
  return lines.reduceRight((message, line) => {
    const colon = line.indexOf(":");
    return withHeaderOnTop(message, line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }, mime);
}

/** A message a second through the simulated mail internet, whatever happens meanwhile; and what became of each of them. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Exchange } from "../clouds/record.ts";
import type { Control } from "./control.ts";

export interface Way {
  from: string;
  to: string;
}

interface Sent extends Way {
  messageId: string;
  /** When its sender had handed it over; milliseconds since 1970. */
  at: number;
}

interface Arrival {
  messageId: string;
  mailbox: string;
  /** Whether a gateway had it in between. */
  processed: boolean;
}

export interface Counts {
  sent: number;
  delivered: number;
  lost: Sent[];
  /** The same Message-ID twice in one mailbox. */
  twice: Sent[];
  /** Not by way of the gateway, though it had to. */
  unprocessed: Sent[];
  /** Non-delivery reports, and what a gateway could not report. */
  reports: string[];
}

export interface MailStream {
  sent(): number;
  /** No message is sent any more. */
  stop(): Promise<void>;
  /** @param hadTo whether a message had to go through the gateway */
  count(hadTo: (message: Sent) => boolean): Promise<Counts>;
}

const EVERY_MILLISECONDS = 1000;
/** As a mail server of somebody who is asked to come again; the real ones wait longer. */
const AGAIN_AFTER_MILLISECONDS = 2000;

/** Takes the ways in turn. */
export async function startMail(control: Control, ways: Way[]): Promise<MailStream> {
  const { next: since } = await control<{ next: number }>("GET /requests?cloud=identity&since=0");
  const began = Date.now();
  const sent: Sent[] = [];
  const refused: string[] = [];
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();

  async function send(way: Way): Promise<void> {
    const messageId = `<${randomUUID()}@${way.from.slice(way.from.lastIndexOf("@") + 1)}>`;
    const body = { from: way.from, to: way.to, subject: "A message of every day", headers: { "Message-ID": messageId } };
    for (;;) {
      const { deliveries = [] } = await control<{ deliveries?: { refused: { reply: string }[] }[] }>("POST /mail", body);
      const reply = deliveries.flatMap(({ refused: replies }) => replies.map((one) => one.reply))[0];
      if (reply === undefined) return void sent.push({ ...way, messageId, at: Date.now() });
      if (reply.startsWith("5")) return void refused.push(`${way.from} to ${way.to}: ${reply}`);
      await pause(AGAIN_AFTER_MILLISECONDS);
    }
  }

  const sending = (async () => {
    for (let index = 0; !stopping.signal.aborted; index++) {
      const way = ways[index % ways.length];
      if (!way) throw new Error("there is no way for mail");
      const one: Promise<void> = send(way).finally(() => underWay.delete(one));
      underWay.add(one);
      await pause(Math.max(0, began + (index + 1) * EVERY_MILLISECONDS - Date.now()));
    }
  })();
  // A failure is told by `stop`, not before.
  sending.catch(() => undefined);

  async function arrivals(): Promise<{ arrived: Arrival[]; reports: string[] }> {
    const { value } = await control<{ value: Exchange[] }>(`GET /requests?cloud=exchange&since=${since}`);
    const { outside, gateways } = await control<{
      outside: { recipients: string[]; mime: string }[];
      gateways: { badmail: { reply: string }[] };
    }>("GET /state/mail");
    const inside = value.flatMap(({ method, url, requestBody }): Arrival[] => {
      if (method !== "DELIVER") return [];
      const { messageId, received } = requestBody as { messageId: string; received: string[] };
      return [{ messageId, mailbox: url.slice(url.lastIndexOf("/") + 1).toLowerCase(), processed: received.some(byGateway) }];
    });
    const world = outside.flatMap(({ recipients, mime }): Arrival[] => {
      const messageId = /^Message-ID:\s*(\S+)/im.exec(mime)?.[1] ?? "";
      return recipients.map((mailbox) => ({ messageId, mailbox: mailbox.toLowerCase(), processed: byGateway(mime) }));
    });
    const reports = value.flatMap(({ method, responseBody }) => (method === "NDR" ? [String(responseBody)] : []));
    return {
      arrived: [...inside, ...world],
      reports: [...reports, ...gateways.badmail.map(({ reply }) => reply), ...refused],
    };
  }

  return {
    sent: () => sent.length,
    stop: async () => {
      stopping.abort();
      await sending;
      await Promise.all(underWay);
    },
    count: async (hadTo) => {
      const { arrived, reports } = await arrivals();
      const of = Map.groupBy(arrived, ({ messageId, mailbox }) => `${messageId} ${mailbox}`);
      const arrivalsOf = ({ messageId, to }: Sent): Arrival[] => of.get(`${messageId} ${to.toLowerCase()}`) ?? [];
      return {
        sent: sent.length,
        delivered: sent.filter((one) => arrivalsOf(one).length > 0).length,
        lost: sent.filter((one) => arrivalsOf(one).length === 0),
        twice: sent.filter((one) => arrivalsOf(one).length > 1),
        unprocessed: sent.filter((one) => hadTo(one) && arrivalsOf(one).some(({ processed }) => !processed)),
        reports,
      };
    },
  };
}

/** What a gateway's SMTP server writes on top of each message that it takes. */
const byGateway = (received: string): boolean => / with Microsoft SMTPSVC\(/u.test(received);

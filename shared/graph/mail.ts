/** Sends a probe mail from a mailbox and looks for what arrived in it: the evidence that mail runs through the gateway. */
import * as z from "zod";
import { observing } from "../resources/observing.ts";
import type { Absent, Observed, Unknown } from "../resources/resource.ts";
import type { MailToSend, SentMailStore } from "../stores/sent-mails.ts";
import { type Graph, literal, mayHaveHappened, nothing, segment } from "./client.ts";

export interface ProbeMail {
  /** Names this probe and no other: it is what the mail is found by. */
  subject: string;
  to: string;
  /** In the header `X-Gatehouse-Probe` and in the body. */
  nonce: string;
}

export interface ArrivedProbe {
  state: "arrived";
  /** In the order of the message: the last hop first. */
  headers: { name: string; value: string }[];
  /** Values of the `Received` headers, the last hop first. */
  receivedHops: string[];
}

export interface PlainMail {
  /** Names this mail and no other. */
  subject: string;
  to: string;
  /** Who is answered. */
  replyTo: string;
  text: string;
}

export interface ProbeMails {
  /** At most once for a subject, as with probes; a copy stays among the sent mails. */
  sendOnce(organization: string, mailbox: string, mail: PlainMail): Promise<void>;
  /**
   * At most once for a subject, whoever asks and how often. A mail whose answer was lost counts as sent: whoever waits for it sends
   * another one, of another subject, when it doesn't come.
   */
  sendProbe(organization: string, mailbox: string, probe: ProbeMail): Promise<void>;
  findProbe(organization: string, mailbox: string, subject: string): Promise<ArrivedProbe | Absent | Unknown>;
  /** What a mail server said when it returned the mail to this mailbox. */
  findReport(organization: string, mailbox: string, subject: string): Promise<Observed<{ text: string }>>;
}

const messageSchema = z.looseObject({
  subject: z.string().nullish(),
  internetMessageHeaders: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
});

const reportSchema = z.looseObject({ body: z.object({ content: z.string() }).nullish() });

export const createProbeMails = (graph: Graph, sentMails: SentMailStore): ProbeMails => ({
  sendProbe: (organization, mailbox, { subject, to, nonce }) => {
    const message = {
      subject,
      body: {
        contentType: "Text",
        content: `This message proves that mail runs through your gateway. You may delete it.\r\n\r\n${nonce}\r\n`,
      },
      toRecipients: [{ emailAddress: { address: to } }],
      internetMessageHeaders: [{ name: "X-Gatehouse-Probe", value: nonce }],
    };
    // Else the copy that was sent would be found instead of what arrived.
    return send(graph, sentMails, { organization, mailbox, subject }, { message, saveToSentItems: false });
  },

  sendOnce: (organization, mailbox, { subject, to, replyTo, text }) => {
    const message = {
      subject,
      body: { contentType: "Text", content: text.replaceAll("\n", "\r\n") },
      toRecipients: [{ emailAddress: { address: to } }],
      replyTo: [{ emailAddress: { address: replyTo } }],
    };
    return send(graph, sentMails, { organization, mailbox, subject }, { message, saveToSentItems: true });
  },

  async findProbe(organization, mailbox, subject) {
    const observed = await observing(async () => {
      // In all folders: junk mail has arrived too.
      const filter = `$filter=subject eq ${literal(subject)}`.replaceAll(" ", "%20");
      const messages = await graph.list(
        organization,
        `/users/${segment(mailbox)}/messages?${filter}&$select=subject,internetMessageHeaders&$top=10`,
        messageSchema,
      );
      // Only what came in has headers of the internet.
      return messages.find(({ internetMessageHeaders }) => internetMessageHeaders && internetMessageHeaders.length > 0);
    });
    if (observed.state !== "present") return observed;
    const headers = observed.actual.internetMessageHeaders ?? [];
    return {
      state: "arrived",
      headers,
      receivedHops: headers.filter(({ name }) => name.toLowerCase() === "received").map(({ value }) => value),
    };
  },

  findReport: (organization, mailbox, subject) =>
    observing(async () => {
      const filter = `$filter=subject eq ${literal(`Undeliverable: ${subject}`)}`.replaceAll(" ", "%20");
      const reports = await graph.list(
        organization,
        `/users/${segment(mailbox)}/messages?${filter}&$select=subject,body&$top=10`,
        reportSchema,
      );
      return reports[0] && { text: reports[0].body?.content ?? "" };
    }),
});

async function send(graph: Graph, sentMails: SentMailStore, mail: MailToSend, body: object): Promise<void> {
  if (!(await sentMails.claim(mail))) return;
  try {
    await graph.post(mail.organization, `/users/${segment(mail.mailbox)}/sendMail`, body, nothing);
  } catch (error) {
    if (!mayHaveHappened(error)) await sentMails.giveBack(mail);
    throw error;
  }
}

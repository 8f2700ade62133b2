/** Sends a probe mail from a mailbox and looks for what arrived in it: the evidence that mail runs through the gateway. */
import * as z from "zod";
import { observing } from "../resources/observing.ts";
import type { Absent, Observed, Unknown } from "../resources/resource.ts";
import type { SentMailStore } from "../stores/sent-mails.ts";
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

export interface ProbeMails {
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
  async sendProbe(organization, mailbox, { subject, to, nonce }) {
    const mail = { organization, mailbox, subject };
    if (!(await sentMails.claim(mail))) return;
    const message = {
      subject,
      body: {
        contentType: "Text",
        content: `This message proves that mail runs through your gateway. You may delete it.\r\n\r\n${nonce}\r\n`,
      },
      toRecipients: [{ emailAddress: { address: to } }],
      internetMessageHeaders: [{ name: "X-Gatehouse-Probe", value: nonce }],
    };
    try {
      // Else the copy that was sent would be found instead of what arrived.
      await graph.post(organization, `/users/${segment(mailbox)}/sendMail`, { message, saveToSentItems: false }, nothing);
    } catch (error) {
      if (!mayHaveHappened(error)) await sentMails.giveBack(mail);
      throw error;
    }
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

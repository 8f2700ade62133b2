/** Sends plain mails from a mailbox, as often as it is asked: for what has to arrive at least once. */
import { type Graph, nothing, segment } from "./client.ts";

export interface Letter {
  to: string;
  /** One line. */
  subject: string;
  /** Plain text; nothing in it is markup. */
  text: string;
}

export interface Mailer {
  send(organization: string, mailbox: string, letter: Letter): Promise<void>;
}

export const createMailer = (graph: Graph): Mailer => ({
  send: (organization, mailbox, { to, subject, text }) =>
    graph.post(
      organization,
      `/users/${segment(mailbox)}/sendMail`,
      {
        message: {
          subject,
          body: { contentType: "Text", content: text.replaceAll("\n", "\r\n") },
          toRecipients: [{ emailAddress: { address: to } }],
        },
        // Thousands of them would fill the mailbox.
        saveToSentItems: false,
      },
      nothing,
    ),
});

/**
 * Table `sentmails`: partition = row = SHA-256 of organisation, mailbox and subject. Creating the row is the right to send that mail: Graph
 * takes no key by which it would know a request that it has already seen (`sendMail`, Microsoft Graph reference), so a mail that may
 * have been sent is never sent again.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Storage } from "./storage.ts";
import { createTable } from "./table.ts";

export interface MailToSend {
  organization: string;
  mailbox: string;
  subject: string;
}

export interface SentMailStore {
  /** True for the first who wants to send it, false for everybody after. */
  claim(mail: MailToSend): Promise<boolean>;
  /** Only by who holds the claim, and only when the mail certainly wasn't sent. */
  giveBack(mail: MailToSend): Promise<void>;
}

export function createSentMailStore(storage: Storage): SentMailStore {
  const table = createTable(storage, "sentmails");
  const keyOf = ({ organization, mailbox, subject }: MailToSend) => {
    const key = createHash("sha256")
      .update(JSON.stringify([organization, mailbox, subject]))
      .digest("hex");
    return { partitionKey: key, rowKey: key };
  };
  return {
    claim: async (mail) => {
      const key = keyOf(mail);
      const stamp = randomUUID();
      const { outcome } = await table.create({ ...key, stamp });
      // The SDK repeats a create whose answer was lost; the stamp tells our own success from somebody else's.
      return outcome === "done" || (await table.get(key))?.["stamp"] === stamp;
    },
    giveBack: async (mail) => {
      const row = await table.get(keyOf(mail));
      if (row) await table.remove(keyOf(mail), row.etag);
    },
  };
}

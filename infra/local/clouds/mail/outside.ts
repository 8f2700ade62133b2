/** The rest of the world: every domain that no organisation here has is a mail server that accepts and keeps what it gets. */
import { randomUUID } from "node:crypto";
import type { Collection, MailMessage, MailReceiver, Party, Platform } from "../simulator.ts";
import { mailDate, withHeaderOnTop } from "./message.ts";

/** MX host of every domain outside; also who sends from there. */
export const OUTSIDE: Party = { name: "mx.outside.example", address: "192.0.2.25" };

interface KeptMail {
  source: string;
  tls: boolean;
  message: MailMessage;
  at: number;
}

export function createOutside(platform: Platform): { receiver: MailReceiver; state(): unknown } {
  const kept: Collection<KeptMail> = platform.collection("mail.outside");
  return {
    receiver: {
      fqdn: OUTSIDE.name,
      banner: "ESMTP",
      startTls: true,
      refuses: () => undefined,
      take: ({ source, helo, tls, message }) => {
        const received = `from ${helo} ([${source}]) by ${OUTSIDE.name}; ${mailDate(platform.now())}`;
        const mime = withHeaderOnTop(message.mime, "Received", received);
        kept.set(randomUUID(), { source, tls, message: { ...message, mime }, at: platform.now() });
        return "250 2.0.0 Ok: queued";
      },
    },
    state: () =>
      kept.values().map(({ source, tls, message, at }) => ({ source, tls, at: new Date(at).toISOString(), ...message })),
  };
}

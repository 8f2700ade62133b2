/** SMTP servers on loopback, one for each public address that somebody dialled, with the behaviour of who stands behind it. */
import type { AddressInfo } from "node:net";
import { SMTPServer, type SMTPServerSession } from "smtp-server";
import type { Certificates, MailReceiver } from "../simulator.ts";

const LOOPBACK = "127.0.0.1";
/** Exchange Online's default limit for messages. */
const SIZE_LIMIT_IN_BYTES = 36 * 1024 * 1024;

export interface Listeners {
  /** Loopback port of the server that answers at `address` as `receiver` does. */
  portFor(address: string, receiver: MailReceiver): Promise<number>;
  close(): Promise<void>;
}

interface Listener {
  receiver: MailReceiver;
  server: SMTPServer;
  port: Promise<number>;
}

export function createListeners(certificates: Certificates): Listeners {
  const listeners = new Map<string, Promise<Listener>>();

  async function portFor(address: string, receiver: MailReceiver): Promise<number> {
    const key = [address, receiver.fqdn, receiver.banner, receiver.startTls].join(" ");
    const starting = listeners.get(key) ?? start(receiver, certificates);
    listeners.set(key, starting);
    const listener = await starting;
    // Who stands behind the address may have changed its mind since the last connection.
    listener.receiver = receiver;
    return listener.port;
  }

  async function close(): Promise<void> {
    for (const starting of listeners.values()) {
      const { server } = await starting;
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  return { portFor, close };
}

async function start(first: MailReceiver, certificates: Certificates): Promise<Listener> {
  const { certificate, key } = await certificates.issue(first.fqdn);
  const server = new SMTPServer({
    cert: certificate,
    key,
    name: first.fqdn,
    banner: first.banner,
    disabledCommands: first.startTls ? ["AUTH"] : ["AUTH", "STARTTLS"],
    authOptional: true,
    useProxy: true,
    disableReverseLookup: true,
    logger: false,
    size: SIZE_LIMIT_IN_BYTES,
    closeTimeout: 100,
    onRcptTo: ({ address }, session, callback) => {
      const { mailFrom } = session.envelope;
      const reply = listener.receiver.refuses(session.remoteAddress, mailFrom ? mailFrom.address : "", address.toLowerCase());
      callback(reply === undefined ? null : replying(reply));
    },
    onData: (stream, session, callback) => {
      void (async () => {
        const reply = await take(listener.receiver, stream, session);
        if (reply.startsWith("250 ")) callback(null, reply.slice(4));
        else callback(replying(reply));
      })();
    },
  });
  // A client that hangs up is no event of ours; without a listener it would end the process.
  server.on("error", () => undefined);
  const port = new Promise<number>((resolve, reject) => {
    const socket = server.listen(0, LOOPBACK, () => resolve((socket.address() as AddressInfo).port));
    socket.once("error", reject);
  });
  const listener: Listener = { receiver: first, server, port };
  return listener;
}

async function take(receiver: MailReceiver, stream: AsyncIterable<unknown>, session: SMTPServerSession): Promise<string> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    const { mailFrom, rcptTo } = session.envelope;
    const message = {
      envelopeFrom: mailFrom ? mailFrom.address : "",
      recipients: rcptTo.map(({ address }) => address.toLowerCase()),
      mime: Buffer.concat(chunks).toString(),
    };
    const { remoteAddress: source, hostNameAppearsAs: helo, secure: tls } = session;
    return await receiver.take({ source, helo, tls, message });
  } catch (error) {
    return `451 4.3.0 ${error instanceof Error ? error.message : "error"}`;
  }
}

/** smtp-server answers with the error's code and message. */
function replying(reply: string): Error {
  const [, code = "451", text = reply] = /^(\d{3}) (.*)$/s.exec(reply) ?? [];
  return Object.assign(new Error(text), { responseCode: Number(code) });
}

/** SMTP servers on loopback, one for each public address that somebody dialled, with the behaviour of who stands behind it. */
import { createHash, X509Certificate } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { SMTPServer, type SMTPServerSession } from "smtp-server";
import type { Fault } from "../faults.ts";
import type { Certificates, ClientCertificate, MailReceiver } from "../simulator.ts";

const LOOPBACK = "127.0.0.1";
const LONGEST_SILENCE_IN_MILLISECONDS = 600_000;
/** Exchange Online's default limit for messages. */
const SIZE_LIMIT_IN_BYTES = 36 * 1024 * 1024;

export interface Listeners {
  /** Loopback port of the server that answers at `address` as `receiver` does; `fault` meets the next session that `source` opens. */
  portFor(address: string, receiver: MailReceiver, session: { source: string; fault: Fault | undefined }): Promise<number>;
  close(): Promise<void>;
}

interface Listener {
  receiver: MailReceiver;
  server: SMTPServer;
  port: Promise<number>;
  /** What is to meet the next session of a source. */
  coming: { source: string; fault: Fault }[];
}

export function createListeners(certificates: Certificates): Listeners {
  const listeners = new Map<string, Promise<Listener>>();

  async function portFor(
    address: string,
    receiver: MailReceiver,
    { source, fault }: { source: string; fault: Fault | undefined },
  ): Promise<number> {
    const key = [address, receiver.fqdn, receiver.banner, receiver.startTls, digestOf(receiver.certificate)].join(" ");
    const starting = listeners.get(key) ?? start(receiver, certificates);
    listeners.set(key, starting);
    const listener = await starting;
    // Who stands behind the address may have changed its mind since the last connection.
    listener.receiver = receiver;
    if (fault) listener.coming.push({ source, fault });
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

/** A server that shows another certificate is another listener. */
const digestOf = (certificate: MailReceiver["certificate"]): string =>
  typeof certificate === "object" ? createHash("sha256").update(certificate.pkcs12).digest("hex") : (certificate ?? "");

async function shownBy({ fqdn, certificate: own }: MailReceiver, certificates: Certificates): Promise<object> {
  if (typeof own === "object") return { pfx: Buffer.from(own.pkcs12, "base64"), passphrase: "" };
  const { certificate, key } = await certificates.certify({ names: [fqdn], selfSigned: own === "selfSigned" });
  return { cert: certificate, key };
}

/** Undefined where the client has none. */
function clientCertificateOf(socket: Socket): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer };
  if (raw === undefined) return undefined;
  const names = (new X509Certificate(raw).subjectAltName ?? "")
    .split(", ")
    .map((name) => name.replace(/^DNS:/, "").toLowerCase());
  return { names, trusted: socket.authorized };
}

async function start(first: MailReceiver, certificates: Certificates): Promise<Listener> {
  const clients = new Map<string, ClientCertificate | undefined>();
  const faults = new Map<string, Fault>();
  const server = new SMTPServer({
    ...(await shownBy(first, certificates)),
    ...(first.asksForCertificates ? { requestCert: true, rejectUnauthorized: false, ca: certificates.authority } : {}),
    name: first.fqdn,
    banner: first.banner,
    disabledCommands: first.startTls ? ["AUTH"] : ["AUTH", "STARTTLS"],
    authOptional: true,
    useProxy: true,
    disableReverseLookup: true,
    logger: false,
    size: SIZE_LIMIT_IN_BYTES,
    closeTimeout: 100,
    onConnect: (session, callback) => {
      void (async () => {
        const at = listener.coming.findIndex(({ source }) => source === session.remoteAddress);
        const [{ fault } = { fault: undefined }] = at < 0 ? [] : listener.coming.splice(at, 1);
        if (fault) faults.set(session.id, fault);
        if (fault?.kind === "delay") await wait(fault.milliseconds ?? 1000);
        const refusal = refusalAt("greeting", fault);
        callback(refusal === undefined ? null : replying(refusal));
      })();
    },
    onSecure: (socket, { id }, callback) => {
      clients.set(id, clientCertificateOf(socket));
      callback(null);
    },
    onClose: ({ id }) => {
      faults.delete(id);
      clients.delete(id);
    },
    onMailFrom: (_address, { id }, callback) => {
      const refusal = refusalAt("sender", faults.get(id));
      callback(refusal === undefined ? null : replying(refusal));
    },
    onRcptTo: ({ address }, session, callback) => {
      const { mailFrom } = session.envelope;
      const reply =
        refusalAt("recipient", faults.get(session.id)) ??
        listener.receiver.refuses(
          session.remoteAddress,
          mailFrom ? mailFrom.address : "",
          address.toLowerCase(),
          clients.get(session.id),
        );
      callback(reply === undefined ? null : replying(reply));
    },
    onData: (stream, session, callback) => {
      void (async () => {
        const fault = faults.get(session.id);
        const before = fault?.kind === "cut-before-effect" || fault?.kind === "timeout-before-effect";
        const refusal = refusalAt("data", fault);
        const receive = refusal === undefined && !before ? listener.receiver.take : () => refusal ?? "451 4.4.2 Connection lost";
        const reply = await take(receive, stream, session, clients.get(session.id));
        if (fault?.kind === "cut-before-effect" || fault?.kind === "cut-after-effect") return hangUp(server, session);
        if (fault?.kind === "timeout-before-effect" || fault?.kind === "timeout-after-effect")
          return void setTimeout(() => hangUp(server, session), fault.milliseconds ?? LONGEST_SILENCE_IN_MILLISECONDS).unref();
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
  const listener: Listener = { receiver: first, server, port, coming: [] };
  return listener;
}

/** What the fault answers at this point of the session; 421 ends it (RFC 5321, chapter 3.8). */
function refusalAt(phase: "greeting" | "sender" | "recipient" | "data", fault: Fault | undefined): string | undefined {
  if (fault?.kind === "reply") return fault.phase === phase ? fault.reply : undefined;
  if (phase !== "greeting") return undefined;
  if (fault?.kind === "throttle")
    return "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel";
  if (fault?.kind !== "status") return undefined;
  return `${fault.status} ${fault.status < 500 ? "4.3.2 Service not active" : "5.3.2 Service not available"}`;
}

/** The connection ends as if the host had died: no reply, no QUIT. */
function hangUp({ connections }: SMTPServer, { id }: SMTPServerSession): void {
  for (const connection of connections as Set<{ id: string; _socket: Socket }>)
    if (connection.id === id) connection._socket.destroy();
}

async function take(
  receive: MailReceiver["take"],
  stream: AsyncIterable<unknown>,
  session: SMTPServerSession,
  certificate: ClientCertificate | undefined,
): Promise<string> {
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
    return await receive({ source, helo, tls, message, certificate });
  } catch (error) {
    return `451 4.3.0 ${error instanceof Error ? error.message : "error"}`;
  }
}

/** smtp-server answers with the error's code and message. */
function replying(reply: string): Error {
  const [, code = "451", text = reply] = /^(\d{3}) (.*)$/s.exec(reply) ?? [];
  return Object.assign(new Error(text), { responseCode: Number(code) });
}

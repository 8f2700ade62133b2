/** Sends a message over SMTP to one host and tells each recipient's fate. */
import { isIPv4 } from "node:net";
import { getCACertificates, TLSSocket } from "node:tls";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { MailDelivery, MailMessage, Party, Peers } from "../simulator.ts";
import { DialError, type EgressProxy } from "./egress-proxy.ts";

const TIMEOUT_IN_MILLISECONDS = 30_000;

export type Delivery = Parameters<NonNullable<Peers["deliverMail"]>>[0];

/** Tries the host's addresses in turn until one answers; a host that can't be reached refuses everybody with a 4xx reply. */
export async function deliver(
  { proxy, lookup, authority }: { proxy: EgressProxy; lookup: NonNullable<Peers["lookup"]>; authority: string },
  { from, to, message, tls, validate }: Delivery,
): Promise<MailDelivery> {
  const literal = to.host.replace(/^\[|\]$/g, "");
  const addresses = isIPv4(literal) ? [literal] : lookup(to.host, "A");
  let failure = `450 4.4.312 DNS query failed [Message=no address for ${to.host}]`;
  for (const address of addresses) {
    try {
      const socket = await proxy.dial(from, address, to.port);
      return await converse({ socket, from, host: to.host, message, tlsRequired: tls === "required", authority, validate });
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      failure = error.reply;
    }
  }
  return refusedForAll(message, failure);
}

async function converse(options: {
  socket: Awaited<ReturnType<EgressProxy["dial"]>>;
  from: Party;
  host: string;
  message: MailMessage;
  tlsRequired: boolean;
  authority: string;
  validate: Delivery["validate"];
}): Promise<MailDelivery> {
  const { socket, from, host, message, tlsRequired, authority, validate } = options;
  const connection = new SMTPConnection({
    connection: socket,
    host,
    port: 25,
    name: from.name,
    requireTLS: tlsRequired,
    opportunisticTLS: !tlsRequired,
    tls: {
      // Whether it will do is looked at afterwards: for encryption only, any certificate does (the manual's "any digital certificate").
      rejectUnauthorized: false,
      ca: [...new Set([authority, ...trustedHere()])],
      checkServerIdentity: () => undefined,
      ...(from.pkcs12 === undefined ? {} : { pfx: Buffer.from(from.pkcs12, "base64"), passphrase: "" }),
      ...(isIPv4(host) ? {} : { servername: host }),
    },
    greetingTimeout: TIMEOUT_IN_MILLISECONDS,
    socketTimeout: TIMEOUT_IN_MILLISECONDS,
    logger: false,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      connection.on("error", reject);
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    const used = connection.secure;
    const shown = connection._socket;
    const unfit = validate && unfitness(shown, validate.domain);
    if (unfit !== undefined)
      return refusedForAll(
        message,
        `450 4.7.320 Certificate validation failed [Message=${unfit}] [LastAttemptedServerName=${host}]`,
      );
    const subject = used && shown instanceof TLSSocket ? shown.getPeerCertificate().subject?.CN : undefined;
    const fate = await send(connection, message);
    return { ...fate, tls: { used, ...(subject === undefined ? {} : { subject: String(subject) }) } };
  } catch (error) {
    return refusedForAll(message, replyOf(error));
  } finally {
    connection.on("error", () => undefined);
    connection.quit();
  }
}

/** In Exchange Online's own words for it. */
function unfitness(socket: unknown, domain: string | undefined): string | undefined {
  if (!(socket instanceof TLSSocket)) return "NoCertificate";
  if (!socket.authorized) return "UntrustedRoot";
  const certificate = socket.getPeerX509Certificate();
  return domain === undefined || certificate?.checkHost(domain) !== undefined ? undefined : "SubjectMismatch";
}

/** What nodemailer's errors say about the reply. */
interface SmtpFailure {
  code?: string | undefined;
  response?: string | undefined;
  message: string;
  recipient?: string | undefined;
  rejectedErrors?: SmtpFailure[] | undefined;
}

const send = async (connection: SMTPConnection, message: MailMessage): Promise<Omit<MailDelivery, "tls">> =>
  new Promise((resolve) => {
    const refusals = (errors: SmtpFailure[]): MailDelivery["refused"] =>
      errors.map((error) => ({ recipient: (error.recipient ?? "").toLowerCase(), reply: replyOf(error) }));
    connection.send({ from: message.envelopeFrom, to: message.recipients }, message.mime, (error, info) => {
      const failure = error as SmtpFailure | null;
      if (!failure) {
        const refused = refusals(info?.rejectedErrors ?? []);
        const names = new Set(refused.map(({ recipient }) => recipient));
        resolve({ accepted: message.recipients.filter((recipient) => !names.has(recipient.toLowerCase())), refused });
      } else if (failure.rejectedErrors?.length) resolve({ accepted: [], refused: refusals(failure.rejectedErrors) });
      else resolve({ accepted: [], refused: message.recipients.map((recipient) => ({ recipient, reply: replyOf(failure) })) });
    });
  });

function replyOf(error: unknown): string {
  const { code, response, message } = error as SmtpFailure;
  // A server without STARTTLS answers that it doesn't know the command; Exchange Online keeps such mail waiting, with its own words.
  if (code === "ETLS") return "451 5.7.3 STARTTLS is required to send mail";
  if (response && /^[245]\d\d/.test(response)) return response;
  return `450 4.4.317 Cannot establish session with remote server [Message=${message}]`;
}

const refusedForAll = (message: MailMessage, reply: string): MailDelivery => ({
  accepted: [],
  refused: message.recipients.map((recipient) => ({ recipient, reply })),
  tls: { used: false },
});

/** Whom this process was told to trust, beside what Node brings along: in the simulated world those are public authorities. */
function trustedHere(): string[] {
  const bundled = new Set(getCACertificates("bundled"));
  return getCACertificates("default").filter((one) => !bundled.has(one));
}

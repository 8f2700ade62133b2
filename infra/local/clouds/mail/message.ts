/** Reads and changes a message as mail servers do: header lines at the top, never the body (RFC 5322). */

/** One header as it stands, folded lines included, without the last CRLF. */
interface HeaderLine {
  name: string;
  raw: string;
}

interface Parts {
  headers: HeaderLine[];
  body: string;
}

/** Every value of a header, unfolded, topmost first. */
export const headerValues = (mime: string, name: string): string[] =>
  split(mime)
    .headers.filter((header) => sameName(header.name, name))
    .map(valueOf);

export const headersOf = (mime: string): { name: string; value: string }[] =>
  split(mime).headers.map((header) => ({ name: header.name, value: valueOf(header) }));

/** Puts a header above all others, where each hop adds its own. */
export const withHeaderOnTop = (mime: string, name: string, value: string): string => `${name}: ${value}\r\n${mime}`;

export const withoutHeader = (mime: string, name: string): string => withoutHeaders(mime, (header) => sameName(header, name));

export function withoutHeaders(mime: string, matches: (name: string) => boolean): string {
  const { headers, body } = split(mime);
  return join({ headers: headers.filter((header) => !matches(header.name)), body });
}

/** Replaces every header of that name by one. */
export const withHeader = (mime: string, name: string, value: string): string =>
  withHeaderOnTop(withoutHeader(mime, name), name, value);

/** How many servers a message passed: the count that loop detection looks at (RFC 5321 chapter 6.3). */
export const hops = (mime: string): number => headerValues(mime, "Received").length;

export const subjectOf = (mime: string): string => headerValues(mime, "Subject")[0] ?? "";

export const messageIdOf = (mime: string): string => headerValues(mime, "Message-ID")[0] ?? "";

export const bodyOf = (mime: string): string => split(mime).body;

/** Addresses in a header such as From or To, lower case. */
export const addressesIn = (value: string): string[] =>
  [...value.matchAll(/<([^<>\s]+@[^<>\s]+)>|([^\s<>,;"()]+@[^\s<>,;"()]+)/g)].map((match) =>
    (match[1] ?? match[2] ?? "").toLowerCase(),
  );

export const domainOf = (address: string): string => address.slice(address.lastIndexOf("@") + 1).toLowerCase();

/** RFC 5322 date, always in UTC. */
export const mailDate = (now: number): string => new Date(now).toUTCString().replace("GMT", "+0000");

/** A non-delivery report to the sender, from nobody, so that it can't cause another (RFC 3464). */
export function nonDeliveryReport(options: {
  reporter: string;
  to: string;
  recipients: string[];
  reply: string;
  original: string;
  messageId: string;
  now: number;
}): { envelopeFrom: string; recipients: string[]; mime: string } {
  const { reporter, to, recipients, reply, original, messageId, now } = options;
  const boundary = `report-${messageId.replace(/[^a-z0-9]/gi, "")}`;
  const status = /\b([245]\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? "5.0.0";
  const { headers } = split(original);
  const lines = [
    `From: <postmaster@${domainOf(to)}>`,
    `To: <${to}>`,
    `Subject: Undeliverable: ${subjectOf(original)}`,
    `Date: ${mailDate(now)}`,
    `Message-ID: <${messageId}>`,
    ...(messageIdOf(original) ? [`In-Reply-To: ${messageIdOf(original)}`] : []),
    "Auto-Submitted: auto-replied",
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    "",
    `--${boundary}`,
    "Content-Type: text/plain; charset=us-ascii",
    "",
    `Your message to ${recipients.join(", ")} couldn't be delivered.`,
    reply,
    `--${boundary}`,
    "Content-Type: message/delivery-status",
    "",
    `Reporting-MTA: dns;${reporter}`,
    ...recipients.flatMap((recipient) => [
      "",
      `Final-Recipient: rfc822;${recipient}`,
      "Action: failed",
      `Status: ${status}`,
      `Diagnostic-Code: smtp;${reply}`,
    ]),
    `--${boundary}`,
    "Content-Type: text/rfc822-headers",
    "",
    ...headers.map((header) => header.raw),
    `--${boundary}--`,
    "",
  ];
  return { envelopeFrom: "", recipients: [to], mime: lines.join("\r\n") };
}

function split(mime: string): Parts {
  const end = mime.indexOf("\r\n\r\n");
  const head = end < 0 ? mime.replace(/\r\n$/, "") : mime.slice(0, end);
  const headers: HeaderLine[] = [];
  for (const line of head.split("\r\n")) {
    const last = headers.at(-1);
    if (/^[ \t]/.test(line) && last) last.raw += `\r\n${line}`;
    else if (line !== "") headers.push({ name: line.slice(0, Math.max(0, line.indexOf(":"))).trim(), raw: line });
  }
  return { headers, body: end < 0 ? "" : mime.slice(end + 4) };
}

const join = ({ headers, body }: Parts): string => `${headers.map((header) => `${header.raw}\r\n`).join("")}\r\n${body}`;

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const valueOf = ({ raw }: HeaderLine): string =>
  raw
    .slice(raw.indexOf(":") + 1)
    .replace(/\r\n[ \t]+/g, " ")
    .trim();

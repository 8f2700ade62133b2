/**
 * Conditions of transport rules: which the model knows, and when a message meets them.
 *
 * Source: Microsoft's "Mail flow rule conditions and exceptions" and New-TransportRule, as research step S5 quotes them. Values of one
 * condition are OR-ed, different conditions AND-ed, exceptions OR-ed.
 */
import { addressesIn, domainOf, headerValues, subjectOf } from "../mail/message.ts";
import { ARGUMENT, CmdletError } from "./answers.ts";
import type { ParameterType } from "./binder.ts";
import { contains, requireFilterAddresses } from "./ranges.ts";

/** A message in transport, as rules see it. */
export interface Envelope {
  envelopeFrom: string;
  recipients: string[];
  mime: string;
  /** Address of the server that handed it over; undefined when a mailbox sent it. */
  lastHop: string | undefined;
  /** Whether it came over an authenticated way: a mailbox, or a connector that it was attributed to by its sender. */
  authenticated: boolean;
  scl: number | undefined;
  /** Whether a domain is one of the organisation's own. */
  readonly accepted: (domain: string) => boolean;
  /** Whether an address is a member of the group with that address. */
  readonly memberOf: (address: string, group: string) => boolean;
}

export interface Predicate {
  type: ParameterType;
  /** Checks and normalises what was given, as it is stored and shown. */
  normalise(value: unknown): unknown;
  /** `settings` are all of the rule's, under condition names (exceptions have lost their `ExceptIf`). */
  met(value: unknown, message: Envelope, settings: Record<string, unknown>): boolean;
}

const SCOPES = ["InOrganization", "NotInOrganization"] as const;
const MESSAGE_TYPES = [
  "OOF",
  "AutoForward",
  "Encrypted",
  "Calendaring",
  "PermissionControlled",
  "Voicemail",
  "Signed",
  "ApprovalRequest",
  "ReadReceipt",
] as const;

/** Condition name → what it means; every one exists as exception too, with `ExceptIf` before its name. */
export const predicates: Record<string, Predicate> = {
  From: {
    type: "strings",
    normalise: (value) => addresses("From", value),
    met: (value, message, settings) => senders(message, settings).some((sender) => list(value).includes(sender)),
  },
  FromMemberOf: {
    type: "strings",
    normalise: (value) => addresses("FromMemberOf", value),
    met: (value, message, settings) =>
      senders(message, settings).some((sender) => list(value).some((group) => message.memberOf(sender, group))),
  },
  SenderDomainIs: {
    type: "strings",
    normalise: lowerCase,
    met: (value, message, settings) =>
      senders(message, settings).some((sender) => list(value).some((domain) => inDomain(domainOf(sender), domain))),
  },
  FromScope: {
    type: SCOPES,
    normalise: same,
    // "InOrganization" needs both: an accepted domain and an authenticated connection.
    met: (value, message, settings) =>
      (message.authenticated && senders(message, settings).some((sender) => message.accepted(domainOf(sender)))) ===
      (value === "InOrganization"),
  },
  SentTo: {
    type: "strings",
    normalise: (value) => addresses("SentTo", value),
    met: (value, { recipients }) => recipients.some((recipient) => list(value).includes(recipient.toLowerCase())),
  },
  SentToMemberOf: {
    type: "strings",
    normalise: (value) => addresses("SentToMemberOf", value),
    met: (value, { recipients, memberOf }) =>
      recipients.some((recipient) => list(value).some((group) => memberOf(recipient, group))),
  },
  RecipientDomainIs: {
    type: "strings",
    normalise: lowerCase,
    met: (value, { recipients }) =>
      recipients.some((recipient) => list(value).some((domain) => inDomain(domainOf(recipient), domain))),
  },
  SentToScope: {
    type: SCOPES,
    normalise: same,
    met: (value, { recipients, accepted }) =>
      recipients.some((recipient) => accepted(domainOf(recipient)) === (value === "InOrganization")),
  },
  SenderIpRanges: {
    type: "strings",
    normalise: (value) => {
      requireFilterAddresses("SenderIpRanges", list(value));
      return value;
    },
    met: (value, { lastHop }) => contains(list(value), lastHop),
  },
  HeaderContainsMessageHeader: {
    type: "string",
    normalise: same,
    met: (value, { mime }, settings) => {
      const words = list(settings["HeaderContainsWords"]);
      return headerValues(mime, String(value)).some((header) => words.some((word) => containsWord(header, word)));
    },
  },
  HeaderContainsWords: {
    type: "strings",
    normalise: (value) => {
      for (const word of list(value))
        if (word.length > 128) throw new CmdletError(ARGUMENT, `The word "${word.slice(0, 16)}…" is longer than 128 characters.`);
      return value;
    },
    // Judged together with its header's name.
    met: () => true,
  },
  HeaderMatchesMessageHeader: {
    type: "string",
    normalise: same,
    met: (value, { mime }, settings) => {
      const patterns = list(settings["HeaderMatchesPatterns"]);
      return headerValues(mime, String(value)).some((header) => patterns.some((pattern) => matches(header, pattern)));
    },
  },
  HeaderMatchesPatterns: {
    type: "strings",
    normalise: (value) => patternsOf(value),
    // Judged together with its header's name.
    met: () => true,
  },
  FromAddressMatchesPatterns: {
    type: "strings",
    normalise: (value) => patternsOf(value),
    met: (value, message, settings) =>
      senders(message, settings).some((sender) => list(value).some((pattern) => matches(sender, pattern))),
  },
  SubjectMatchesPatterns: {
    type: "strings",
    normalise: (value) => patternsOf(value),
    met: (value, { mime }) => list(value).some((pattern) => matches(subjectOf(mime), pattern)),
  },
  SubjectContainsWords: {
    type: "strings",
    normalise: same,
    met: (value, { mime }) => list(value).some((word) => containsWord(subjectOf(mime), word)),
  },
  MessageTypeMatches: { type: MESSAGE_TYPES, normalise: same, met: (value, { mime }) => typesOf(mime).includes(String(value)) },
  MessageSizeOver: {
    type: "string",
    normalise: (value) => shownSize(sizeOf(String(value))),
    met: (value, { mime }) => Buffer.byteLength(mime) >= sizeOf(String(value)),
  },
  SCLOver: {
    type: "string",
    normalise: (value) => scl(value),
    met: (value, message) => message.scl !== undefined && message.scl >= Number(value),
  },
};

/** A spam confidence level as it is stored: -1 (trusted) to 9. */
export function scl(value: unknown): string {
  if (!/^(-1|\d)$/.test(String(value)))
    throw new CmdletError(ARGUMENT, `The spam confidence level "${String(value)}" must be between -1 and 9.`);
  return String(value);
}

/** Bytes of `35 MB`, `512KB`, `1024` or `35 MB (36,700,160 bytes)`, as Exchange's ByteQuantifiedSize reads them. */
function sizeOf(text: string): number {
  const [, bytes] = /\(([\d,]+) bytes\)/.exec(text) ?? [];
  if (bytes !== undefined) return Number(bytes.replaceAll(",", ""));
  const [, number, unit = "B"] = /^\s*(\d+)\s*(B|KB|MB|GB)?\s*$/i.exec(text) ?? [];
  if (number === undefined) throw new CmdletError(ARGUMENT, `"${text}" isn't a size: use for example 35 MB.`);
  return Number(number) * 1024 ** ["B", "KB", "MB", "GB"].indexOf(unit.toUpperCase());
}

function shownSize(bytes: number): string {
  const power = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const amount = Number((bytes / 1024 ** power).toPrecision(4));
  return `${amount} ${["B", "KB", "MB", "GB"][power] ?? "B"} (${bytes.toLocaleString("en-US")} bytes)`;
}

/** SenderAddressLocation decides where the sender is looked for; default is the header. */
function senders({ envelopeFrom, mime }: Envelope, settings: Record<string, unknown>): string[] {
  const header = headerValues(mime, "From").flatMap(addressesIn);
  const location = settings["SenderAddressLocation"] ?? "Header";
  if (location === "Envelope") return [envelopeFrom.toLowerCase()];
  return location === "HeaderOrEnvelope" ? [...header, envelopeFrom.toLowerCase()] : header;
}

function typesOf(mime: string): string[] {
  const contentType = (headerValues(mime, "Content-Type")[0] ?? "").toLowerCase();
  const autoSubmitted = (headerValues(mime, "Auto-Submitted")[0] ?? "").toLowerCase();
  return [
    ...(autoSubmitted.startsWith("auto-replied") && !contentType.includes("report-type=") ? ["OOF"] : []),
    ...(headerValues(mime, "X-MS-Exchange-Inbox-Rules-Loop").length > 0 ? ["AutoForward"] : []),
    ...(contentType.startsWith("text/calendar") ? ["Calendaring"] : []),
    ...(contentType.startsWith("multipart/signed") ? ["Signed"] : []),
    ...(contentType.includes("report-type=disposition-notification") ? ["ReadReceipt"] : []),
    ...(contentType.includes("smime-type=enveloped-data") ? ["Encrypted"] : []),
  ];
}

/** Whole words, without case: `contoso` is in "from contoso." but not in "contosos". */
function containsWord(text: string, word: string): boolean {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "iu").test(text);
}

const matches = (text: string, pattern: string): boolean => new RegExp(pattern, "i").test(text);

/** Regular expressions of at most 128 characters. */
function patternsOf(value: unknown): string[] {
  return list(value).map((pattern) => {
    if (pattern.length > 128)
      throw new CmdletError(ARGUMENT, `The pattern "${pattern.slice(0, 16)}…" is longer than 128 characters.`);
    try {
      void new RegExp(pattern, "i");
    } catch {
      throw new CmdletError(ARGUMENT, `The pattern "${pattern}" isn't a regular expression.`);
    }
    return pattern;
  });
}

function addresses(parameter: string, value: unknown): string[] {
  return list(value).map((address) => {
    if (!/^[^\s@]+@[^\s@]+$/.test(address))
      throw new CmdletError(
        ARGUMENT,
        `The recipient "${address}" of parameter ${parameter} couldn't be found: use an SMTP address.`,
      );
    return address.toLowerCase();
  });
}

function lowerCase(value: unknown): unknown {
  return list(value).map((one) => one.toLowerCase());
}
function same(value: unknown): unknown {
  return value;
}
const inDomain = (domain: string, wanted: string): boolean => domain === wanted || domain.endsWith(`.${wanted}`);
const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** What a sender put into a message. The bare message stays as the bytes that came, for re-encoding could change its types. */
import { randomUUID } from "node:crypto";
import { encodeDescribed, list, map, nothing, plain, readerOf, type Typed, types } from "./values.ts";

export interface Content {
  header: Typed[];
  /** Keys and values in turn. */
  annotations: Typed[];
  properties: Buffer;
  applicationProperties: Buffer;
  body: Buffer;
  messageId: string;
  /** AMQP's group id. */
  sessionId: string | undefined;
  /** Milliseconds. */
  timeToLive: number | undefined;
  /** Milliseconds since 1970. */
  scheduledAt: number | undefined;
}

/** Descriptors of a message's sections, AMQP 1.0 part 3.2. */
const HEADER = 0x70;
const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;
const NULL_BODY: Buffer = Buffer.from([0, 0x53, 0x77, 0x40]);
const EMPTY: Buffer = Buffer.alloc(0);

export function decodeContent(bytes: Buffer): Content {
  const sections = {
    header: [] as Typed[],
    annotations: [] as Typed[],
    properties: EMPTY,
    applicationProperties: EMPTY,
    body: NULL_BODY,
  };
  const reader = readerOf(bytes);
  while (reader.remaining() > 0) {
    const start = reader.position;
    const code = descriptorAt(bytes, start);
    if (code >= DATA) {
      sections.body = bytes.subarray(start);
      break;
    }
    const { value } = reader.read();
    const raw = bytes.subarray(start, reader.position);
    if (code === HEADER) sections.header = value as Typed[];
    else if (code === MESSAGE_ANNOTATIONS) sections.annotations = value as Typed[];
    else if (code === PROPERTIES) sections.properties = raw;
    else if (code === APPLICATION_PROPERTIES) sections.applicationProperties = raw;
  }
  const { properties, messageId } = named(sections.properties);
  const { sessionId } = systemProperties(properties);
  const timeToLive = plain(sections.header[2]);
  const scheduled = plain(valueOf(sections.annotations, "x-opt-scheduled-enqueue-time"));
  return {
    ...sections,
    properties,
    messageId,
    sessionId,
    timeToLive: typeof timeToLive === "number" ? timeToLive : undefined,
    scheduledAt: scheduled === undefined || scheduled === null ? undefined : Number(new Date(scheduled as Date | number)),
  };
}

/** The service names a message that has no id; the client's lock renewal needs one. */
function named(properties: Buffer): { properties: Buffer; messageId: string } {
  // A copy, because all empty lists that rhea reads are the same one.
  const fields = properties.length > 0 ? [...(readerOf(properties).read().value as Typed[])] : [];
  const id = plain(fields[0]);
  if (Buffer.isBuffer(id)) return { properties, messageId: id.toString("hex") };
  if (typeof id === "string" || typeof id === "number") return { properties, messageId: String(id) };
  const messageId = randomUUID().replaceAll("-", "");
  fields[0] = types.wrap_string(messageId);
  return { properties: encodeDescribed(PROPERTIES, list(fields)), messageId };
}

/** As a receiver gets it: with what the broker knows about it. */
export function encodeForReceiver(content: Content, deliveryCount: number, annotations: Record<string, Typed>): Buffer {
  const [durable, priority, timeToLive, firstAcquirer] = content.header;
  const header = [durable, priority, timeToLive, firstAcquirer].map((field) => field ?? nothing());
  const entries = [
    ...without(content.annotations, annotations),
    ...Object.entries(annotations).flatMap(([key, value]) => [types.wrap_symbol(key), value]),
  ];
  return Buffer.concat([
    encodeDescribed(HEADER, list([...header, types.wrap_uint(deliveryCount)])),
    encodeDescribed(MESSAGE_ANNOTATIONS, map(entries)),
    content.properties,
    content.applicationProperties,
    content.body,
  ]);
}

/** As its sender could have encoded it: `decodeContent` reads it again. */
export const encodeContent = ({ header, annotations, properties, applicationProperties, body }: Content): Buffer =>
  Buffer.concat([
    header.length > 0 ? encodeDescribed(HEADER, list(header)) : EMPTY,
    annotations.length > 0 ? encodeDescribed(MESSAGE_ANNOTATIONS, map(annotations)) : EMPTY,
    properties,
    applicationProperties,
    body,
  ]);

/** Where the properties that correlation filters may name are in the section "properties", AMQP 1.0 part 3.2.4. */
const PLACES = {
  messageId: 0,
  to: 2,
  label: 3,
  replyTo: 4,
  correlationId: 5,
  contentType: 6,
  sessionId: 10,
  replyToSessionId: 12,
};
export type SystemProperty = keyof typeof PLACES;

export const systemPropertiesOf = ({ properties }: Content): { [name in SystemProperty]?: string } =>
  systemProperties(properties);

function systemProperties(properties: Buffer): { [name in SystemProperty]?: string } {
  const fields = properties.length > 0 ? (readerOf(properties).read().value as Typed[]) : [];
  const given = Object.entries(PLACES).map(([name, place]) => [name, plain(fields[place])] as const);
  return Object.fromEntries(given.flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : [])));
}

export const applicationPropertiesOf = ({ applicationProperties }: Content): Record<string, unknown> =>
  applicationProperties.length > 0 ? types.unwrap_map_simple(readerOf(applicationProperties).read()) : {};

/** Abandoning, deferring and dead-lettering may change application properties. */
export function withProperties(content: Content, changes: Record<string, unknown>): Content {
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined && value !== null));
  if (Object.keys(given).length === 0) return content;
  const before =
    content.applicationProperties.length > 0 ? (readerOf(content.applicationProperties).read().value as Typed[]) : [];
  const entries = [
    ...without(before, given),
    ...Object.entries(given).flatMap(([key, value]) => [types.wrap_string(key), types.wrap(value)]),
  ];
  return { ...content, applicationProperties: encodeDescribed(APPLICATION_PROPERTIES, map(entries)) };
}

/** The messages of a batch (message format 0x80013700): each data section is one encoded message. */
export function contentsOfBatch(bytes: Buffer): Content[] {
  const contents: Content[] = [];
  for (const reader = readerOf(bytes); reader.remaining() > 0; ) {
    const start = reader.position;
    const { value } = reader.read();
    if (descriptorAt(bytes, start) === DATA) contents.push(decodeContent(value as Buffer));
  }
  return contents;
}

/** A section begins with 0, then its descriptor as a small or a long unsigned integer. */
const descriptorAt = (bytes: Buffer, at: number): number => {
  if (bytes[at + 1] === 0x53) return bytes[at + 2] ?? 0;
  return bytes[at + 1] === 0x80 ? bytes.readUInt32BE(at + 6) : 0;
};

const valueOf = (entries: Typed[], key: string): Typed | undefined => {
  const at = entries.findIndex((entry, index) => index % 2 === 0 && String(entry.value) === key);
  return at < 0 ? undefined : entries[at + 1];
};

const without = (entries: Typed[], keys: Record<string, unknown>): Typed[] =>
  entries.filter((_, index) => !(String(entries[index - (index % 2)]?.value) in keys));

/** Messages as functions get them: the body as the library reads it, and the metadata of azure-sdk-for-net's ServiceBusTriggerBindingStrategy.cs. */

import type { ServiceBusReceivedMessage } from "@azure/service-bus";
import type { TypedData } from "./functions-core.ts";

/** Whatever a body is, the host passes on its bytes; the library parses a text that is JSON. */
export function bodyOf({ body }: { body: unknown }): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body ?? null));
}

/** @param binary the function asks for bytes. */
export const dataOf = (message: { body: unknown }, binary: boolean): TypedData =>
  binary ? { bytes: bodyOf(message) } : { string: bodyOf(message).toString("utf8") };

export const dataOfBatch = (messages: { body: unknown }[], binary: boolean): TypedData =>
  binary
    ? { collectionBytes: { bytes: messages.map(bodyOf) } }
    : { collectionString: { string: messages.map((message) => bodyOf(message).toString("utf8")) } };

/** The SDK counts deliveries from 0, Azure's trigger from 1. */
export const deliveryCountOf = ({ deliveryCount = 0 }: ServiceBusReceivedMessage): number => deliveryCount + 1;

export function metadataOf(message: ServiceBusReceivedMessage): Record<string, TypedData> {
  const entries = Object.entries(propertiesOf(message)).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, typed(value)]],
  );
  return Object.fromEntries(entries) as Record<string, TypedData>;
}

/** Each name with `Array` behind it; what a message doesn't have is null. */
export function metadataOfBatch(messages: ServiceBusReceivedMessage[]): Record<string, TypedData> {
  const all = messages.map(propertiesOf);
  const names = Object.keys(all[0] ?? {});
  const column = (name: string): TypedData => ({ json: JSON.stringify(all.map((properties) => properties[name] ?? null)) });
  return Object.fromEntries(names.map((name) => [`${name}Array`, column(name)]));
}

/** Names are the extension's, all of them in each message. */
function propertiesOf(message: ServiceBusReceivedMessage): Record<string, unknown> {
  const properties = message.applicationProperties ?? {};
  const text = (value: string | number | bigint | Buffer | undefined): string | undefined =>
    value === undefined ? undefined : String(value);
  return {
    MessageId: text(message.messageId),
    DeliveryCount: deliveryCountOf(message),
    SequenceNumber: Number(message.sequenceNumber),
    EnqueuedTimeUtc: message.enqueuedTimeUtc,
    ExpiresAtUtc: message.expiresAtUtc,
    ContentType: text(message.contentType),
    CorrelationId: text(message.correlationId),
    SessionId: text(message.sessionId),
    PartitionKey: text(message.partitionKey),
    Subject: text(message.subject),
    Label: text(message.subject),
    To: text(message.to),
    ReplyTo: text(message.replyTo),
    LockToken: text(message.lockToken),
    DeadLetterSource: text(message.deadLetterSource),
    ApplicationProperties: properties,
    UserProperties: properties,
  };
}

function typed(value: unknown): TypedData {
  if (typeof value === "string") return { string: value };
  return typeof value === "number" ? { int: value } : { json: JSON.stringify(value) };
}

/** Sends what functions put into Service Bus outputs, through the real client: a value is a message, a list one message for each of its items. */

import type { ServiceBusMessage, ServiceBusSender } from "@azure/service-bus";
import type { Binding, FunctionApp, TypedData } from "./functions-core.ts";
import { entityOf } from "./service-bus-entity.ts";
import type { Clients, Entity } from "./service-bus-entity.ts";

export const SERVICE_BUS_OUTPUT = "servicebus";

/** @throws FunctionsSystemError for an output that leads nowhere, so that it shows at start */
export function createServiceBusOutput({ functions }: Pick<FunctionApp, "functions">, clients: Clients) {
  const entities = new Map<Binding, Entity>();
  for (const busFunction of functions.values()) {
    for (const binding of Object.values(busFunction.bindings)) {
      const output = binding.direction === "out" && binding.type.toLowerCase() === SERVICE_BUS_OUTPUT;
      if (output) entities.set(binding, entityOf(busFunction, binding));
    }
  }
  const senders = new Map<string, ServiceBusSender>();

  /** Resolves when the broker has all messages: they go one by one, as the extension sends them (MessageSenderExtensions.cs). */
  return async (binding: Binding, data: TypedData): Promise<void> => {
    const entity = entities.get(binding);
    if (!entity) return;
    const client = await clients.get(entity);
    const address = `${entity.connection} ${entity.name}`;
    const sender = senders.get(address) ?? client.createSender(entity.name);
    senders.set(address, sender);
    for (const message of messagesIn(data)) await sender.sendMessages(message);
  };
}

/** Content types are those of the extension's converters (azure-sdk-for-net, ServiceBus Bindings). */
export function messagesIn(data: TypedData): ServiceBusMessage[] {
  if (data.bytes !== undefined) return [{ body: Buffer.from(data.bytes), contentType: "application/octet-stream" }];
  if (data.json === undefined) return [textMessage(data.string ?? String(data.int ?? data.double ?? ""))];
  const value: unknown = JSON.parse(data.json);
  return (Array.isArray(value) ? value : [value]).map((item: unknown) =>
    typeof item === "string" ? textMessage(item) : { body: Buffer.from(JSON.stringify(item)), contentType: "application/json" },
  );
}

// As bytes, since the SDK would write a string as JSON, with quotation marks.
const textMessage = (text: string): ServiceBusMessage => ({ body: Buffer.from(text), contentType: "text/plain" });

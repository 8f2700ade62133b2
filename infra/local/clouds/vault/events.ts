/**
 * Event Grid as far as Key Vault's near-expiry events go: one subscription that delivers them into the Service Bus queue `rotation`, as
 * infra/modules/vault-events.bicep has it.
 *
 * Sources: "Azure Key Vault as Event Grid source" (the sample's blanks in `ObjectName ` and `Version ` and its numbers in strings are the
 * documentation's own), "CloudEvents v1.0 schema with Azure Event Grid".
 */
import { randomUUID } from "node:crypto";
import type { ServiceBusClient } from "@azure/service-bus";
import type { NearExpiry } from "../simulator.ts";

export interface VaultEvents {
  /** Delivers one event and gives what was delivered. */
  deliver(near: NearExpiry, schema: EventSchema): Promise<object>;
  close(): Promise<void>;
}

/** What a subscription asks for: CloudEvents 1.0, or Event Grid's own schema. */
export const eventSchemas = ["CloudEventSchemaV1_0", "EventGridSchema"] as const;
export type EventSchema = (typeof eventSchemas)[number];

const TYPE = "Microsoft.KeyVault.SecretNearExpiry";

export function nearExpiryEvent(near: NearExpiry, schema: EventSchema, now: number): { id: string } & Record<string, unknown> {
  const { vault, resourceId, secretId, name, version, notBefore, expires } = near;
  const id = randomUUID();
  const at = new Date(now).toISOString();
  const data = {
    Id: secretId,
    VaultName: vault,
    ObjectType: "Secret",
    "ObjectName ": name,
    "Version ": version,
    ...(notBefore === undefined ? {} : { NBF: String(notBefore) }),
    EXP: String(expires),
  };
  return schema === "CloudEventSchemaV1_0"
    ? { id, source: resourceId, specversion: "1.0", type: TYPE, subject: name, time: at, data }
    : {
        id,
        topic: resourceId,
        subject: name,
        eventType: TYPE,
        eventTime: at,
        data,
        dataVersion: "1",
        metadataVersion: "1",
      };
}

/** The SDK is loaded and the connection made with the first event. */
export function createVaultEvents(connection: string, now: () => number): VaultEvents {
  let opened: Promise<ServiceBusClient> | undefined;
  return {
    deliver: async (near, schema) => {
      const event = nearExpiryEvent(near, schema, now());
      opened ??= import("@azure/service-bus").then((bus) => new bus.ServiceBusClient(connection));
      const sender = (await opened).createSender("rotation");
      await sender.sendMessages({ messageId: event.id, body: event, contentType: "application/json" });
      await sender.close();
      return event;
    },
    close: async () => {
      await (await opened)?.close();
    },
  };
}

/** Azure Service Bus on this machine: an AMQP 1.0 broker that `@azure/service-bus` takes for the service. */
import { randomBytes } from "node:crypto";
import { createSystemClock } from "../functions-host/clock.ts";
import { serveAmqp } from "./amqp/server.ts";
import type { AccessKey } from "./amqp/claims.ts";
import { type Broker, createBroker } from "./broker.ts";
import { openControl } from "./control.ts";
import { type AuthorizationRule, namespaceOptionsSchema, type QueueOptions, type TopicOptions } from "./options.ts";
import { type NamespaceState, stateOf } from "./state.ts";
import { openStore, type Store } from "./store.ts";
import type { BrokerClock } from "./timers.ts";

export type { AuthorizationRule, QueueOptions, TopicOptions } from "./options.ts";

export interface ServiceBusOptions {
  queues: QueueOptions[];
  topics?: TopicOptions[];
  /** Keys for the whole namespace, beside the one with all rights. */
  authorizationRules?: AuthorizationRule[];
  /** Where messages, ports and key are kept; without it, nothing outlives the broker. */
  directory?: string;
  /** By default the one of the last start over the same directory, and else a free one. */
  port?: number;
  clock?: BrokerClock;
  keyName?: string;
  /** By default the one of the last start over the same directory, and else a random one. */
  key?: string;
}

export interface ServiceBus {
  /** For `new ServiceBusClient(…)`. */
  connectionString: string;
  port: number;
  /** URL of the door that shows queues and dead letters. */
  control: string;
  /** Ends all connections; what was acknowledged is kept. */
  stop(): Promise<void>;
  state(): NamespaceState;
  /** All messages, with their sequence numbers, ids seen, states of sessions and rules; no locks. */
  snapshot(): Uint8Array;
  /** Everything is as it was then, and nobody holds a message or a session. Ends all connections; clients come back by themselves. */
  restore(snapshot: Uint8Array): void;
}

/** @throws if the port is taken, another broker uses the directory, or a queue is described wrongly */
export async function createServiceBus(options: ServiceBusOptions): Promise<ServiceBus> {
  const { clock = createSystemClock(), keyName = "RootManageSharedAccessKey", directory } = options;
  const { queues, topics, authorizationRules } = namespaceOptionsSchema.parse(options);
  const store = openStore(directory);
  /** In the order of stopping. */
  const opened: { stop(): Promise<void> | void }[] = [{ stop: store.close }];
  const stop = async (): Promise<void> => {
    for (const one of opened.splice(0)) await one.stop();
  };

  try {
    const key = options.key ?? kept(store, "key", () => randomBytes(32).toString("base64"));
    const keys: AccessKey[] = [
      { name: keyName, primaryKey: key, rights: ["Manage", "Send", "Listen"], path: "" },
      ...authorizationRules.map((rule) => ({ ...rule, path: "" })),
      ...[...queues, ...topics].flatMap(({ name: path, authorizationRules: rules }) => rules.map((rule) => ({ ...rule, path }))),
    ];
    const open = (): Broker => createBroker({ clock, store, queues, topics });
    let broker = open();
    opened.unshift({ stop: () => broker.stop() });
    const server = await serveAmqp({ broker: () => broker, store, clock, keys, port: options.port ?? keptPort(store, "port") });
    opened.unshift(server);
    const control = await openControl(keptPort(store, "controlPort"), () => stateOf(broker));
    opened.unshift({ stop: control.close }, control);
    store.saveSetting("port", String(server.port));
    store.saveSetting("controlPort", String(control.port));
    return {
      connectionString: `Endpoint=sb://127.0.0.1:${server.port};SharedAccessKeyName=${keyName};SharedAccessKey=${key};UseDevelopmentEmulator=true;`,
      port: server.port,
      control: `http://127.0.0.1:${control.port}`,
      stop,
      state: () => stateOf(broker),
      snapshot: store.snapshot,
      restore(snapshot) {
        server.drop();
        broker.stop();
        store.restore(snapshot);
        broker = open();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function kept(store: Store, name: string, make: () => string): string {
  const value = store.setting(name) ?? make();
  store.saveSetting(name, value);
  return value;
}

/** 0 picks a free one. */
const keptPort = (store: Store, name: string): number => Number(store.setting(name) ?? 0);

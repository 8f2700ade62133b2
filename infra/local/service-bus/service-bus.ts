/** Azure Service Bus on this machine: an AMQP 1.0 broker that `@azure/service-bus` takes for the service. */
import { randomBytes } from "node:crypto";
import { createSystemClock } from "../functions-host/clock.ts";
import { serveAmqp } from "./amqp/server.ts";
import { createBroker } from "./broker.ts";
import { parseQueues, type QueueOptions } from "./queue-options.ts";
import { type NamespaceState, stateOf } from "./state.ts";
import { openStore, type Store } from "./store.ts";
import type { BrokerClock } from "./timers.ts";

export type { QueueOptions } from "./queue-options.ts";

export interface ServiceBusOptions {
  queues: QueueOptions[];
  /** Where messages, port and key are kept; without it, nothing outlives the broker. */
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
  /** Ends all connections; what was acknowledged is kept. */
  stop(): Promise<void>;
  state(): NamespaceState;
}

/** @throws if the port is taken, or another broker uses the directory */
export async function createServiceBus(options: ServiceBusOptions): Promise<ServiceBus> {
  const { clock = createSystemClock(), keyName = "RootManageSharedAccessKey" } = options;
  const queues = parseQueues(options.queues);
  const store = openStore(options.directory);
  try {
    const key = options.key ?? kept(store, "key", () => randomBytes(32).toString("base64"));
    const broker = createBroker({ clock, store, queues });
    const server = await serveAmqp(broker, {
      port: options.port ?? Number(store.setting("port") ?? 0),
      key: { name: keyName, key },
    });
    store.saveSetting("port", String(server.port));
    return {
      connectionString: `Endpoint=sb://127.0.0.1:${server.port};SharedAccessKeyName=${keyName};SharedAccessKey=${key};UseDevelopmentEmulator=true;`,
      port: server.port,
      async stop() {
        broker.stop();
        await server.stop();
        store.close();
      },
      state: () => stateOf(broker),
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

function kept(store: Store, name: string, make: () => string): string {
  const value = store.setting(name) ?? make();
  store.saveSetting(name, value);
  return value;
}

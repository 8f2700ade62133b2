/** Azure Service Bus on this machine: an AMQP 1.0 broker that `@azure/service-bus` takes for the service. */
import { randomBytes } from "node:crypto";
import { createSystemClock } from "../functions-host/clock.ts";
import { serveAmqp } from "./amqp/server.ts";
import { createBroker } from "./broker.ts";
import { openControl } from "./control.ts";
import { parseQueues, type QueueOptions } from "./queue-options.ts";
import { type NamespaceState, stateOf } from "./state.ts";
import { openStore, type Store } from "./store.ts";
import type { BrokerClock } from "./timers.ts";

export type { QueueOptions } from "./queue-options.ts";

export interface ServiceBusOptions {
  queues: QueueOptions[];
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
}

/** @throws if the port is taken, another broker uses the directory, or a queue is described wrongly */
export async function createServiceBus(options: ServiceBusOptions): Promise<ServiceBus> {
  const { clock = createSystemClock(), keyName = "RootManageSharedAccessKey", directory } = options;
  const queues = parseQueues(options.queues);
  const store = openStore(directory);
  /** In the order of stopping. */
  const opened: { stop(): Promise<void> | void }[] = [{ stop: store.close }];
  const stop = async (): Promise<void> => {
    for (const one of opened.splice(0)) await one.stop();
  };

  try {
    const key = options.key ?? kept(store, "key", () => randomBytes(32).toString("base64"));
    const broker = createBroker({ clock, store, queues });
    opened.unshift(broker);
    const server = await serveAmqp(broker, { port: options.port ?? keptPort(store, "port"), key: { name: keyName, key } });
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

/** The queues of a namespace, with one clock and one store. */
import { DEAD_LETTER_SUFFIX, Queue } from "./queue.ts";
import type { QueueSettings } from "./queue-options.ts";
import type { Store } from "./store.ts";
import { type BrokerClock, createTimers } from "./timers.ts";

export interface Broker {
  readonly clock: BrokerClock;
  readonly store: Store;
  /** Without their dead-letter queues. */
  readonly queues: Queue[];
  /** By its path, in any case of letters; a dead-letter queue too. */
  find(path: string): Queue | undefined;
  stop(): void;
}

export function createBroker({ clock, store, queues }: { clock: BrokerClock; store: Store; queues: QueueSettings[] }): Broker {
  const timers = createTimers(clock);
  const world = { clock, timers, store };
  const made = queues.map((settings) => {
    const deadLetterSettings = {
      ...settings,
      name: `${settings.name}${DEAD_LETTER_SUFFIX}`,
      maxDeliveryCount: Infinity,
      defaultMessageTimeToLive: Infinity,
      requiresDuplicateDetection: false,
    };
    return new Queue(world, settings, new Queue(world, deadLetterSettings));
  });
  const byPath = new Map(
    made.flatMap((queue) => [queue, queue.deadLetters].flatMap((one) => (one ? [[one.name.toLowerCase(), one] as const] : []))),
  );
  return {
    clock,
    store,
    queues: made,
    find: (path) => byPath.get(path.toLowerCase()),
    stop: () => timers.stop(),
  };
}

/** The queues and topics of a namespace, with one clock and one store. */
import type { NamespaceSettings, QueueSettings } from "./options.ts";
import { DEAD_LETTER_SUFFIX, Queue, type QueueWorld } from "./queue.ts";
import type { Rules } from "./rules.ts";
import type { Store } from "./store.ts";
import { type BrokerClock, createTimers } from "./timers.ts";
import { createTopic, type Topic } from "./topic.ts";

/** What a path leads to. */
export type Entity =
  | { kind: "queue"; name: string; queue: Queue }
  | { kind: "topic"; name: string; topic: Topic }
  | { kind: "subscription"; name: string; queue: Queue; rules: Rules }
  | { kind: "deadLetters"; name: string; queue: Queue };

export interface Broker {
  /** Without their dead-letter queues. */
  readonly queues: Queue[];
  readonly topics: Topic[];
  /** By its path, in any case of letters; a dead-letter queue too. */
  find(path: string): Entity | undefined;
  stop(): void;
}

export interface BrokerOptions extends Pick<NamespaceSettings, "queues" | "topics"> {
  clock: BrokerClock;
  store: Store;
}

export function createBroker({ clock, store, queues: queueSettings, topics: topicSettings }: BrokerOptions): Broker {
  const timers = createTimers(clock);
  const world = { clock, timers, store };
  const queues = queueSettings.map((settings) => openQueue(world, settings));
  const topics = topicSettings.map((settings) =>
    createTopic(world, settings, (subscription) => openQueue(world, { ...NO_DUPLICATE_DETECTION, ...subscription })),
  );
  const entities = new Map<string, Entity>();
  const add = (entity: Entity): void => {
    const path = entity.name.toLowerCase();
    if (entities.has(path)) throw new Error(`there are two entities of the name ${entity.name}`);
    entities.set(path, entity);
    if ("queue" in entity && entity.queue.deadLetters)
      add({ kind: "deadLetters", name: entity.queue.deadLetters.name, queue: entity.queue.deadLetters });
  };
  for (const queue of queues) add({ kind: "queue", name: queue.name, queue });
  for (const topic of topics) {
    add({ kind: "topic", name: topic.name, topic });
    for (const { queue, rules } of topic.subscriptions) add({ kind: "subscription", name: queue.name, queue, rules });
  }
  return { queues, topics, find: (path) => entities.get(path.toLowerCase()), stop: () => timers.stop() };
}

/** A topic detects duplicates for all its subscriptions. */
const NO_DUPLICATE_DETECTION = { requiresDuplicateDetection: false, duplicateDetectionHistoryTimeWindow: Infinity };

/** With the queue of its dead letters, which has no sessions. */
function openQueue(world: QueueWorld, settings: QueueSettings): Queue {
  const deadLetterSettings = {
    ...settings,
    ...NO_DUPLICATE_DETECTION,
    name: `${settings.name}${DEAD_LETTER_SUFFIX}`,
    maxDeliveryCount: Infinity,
    defaultMessageTimeToLive: Infinity,
    requiresSession: false,
  };
  return new Queue(world, settings, { deadLetters: new Queue(world, deadLetterSettings) });
}

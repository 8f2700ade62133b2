/** A topic: each message that is sent to it goes, once it is active, to the subscriptions whose rules take it, all in one transaction. */
import type { Content } from "./amqp/content.ts";
import type { TopicSettings } from "./options.ts";
import { Queue, type QueueWorld } from "./queue.ts";
import { createRules, type Rules } from "./rules.ts";

export interface Subscription {
  readonly name: string;
  readonly queue: Queue;
  readonly rules: Rules;
}

export interface Topic {
  readonly name: string;
  readonly subscriptions: Subscription[];
  /** @returns the sequence numbers in the topic; a duplicate has none */
  send(contents: Content[]): number[];
  cancelScheduled(sequences: number[]): void;
  /** How many messages wait for their time. */
  scheduled(): number;
}

/** @param openQueue makes a subscription's queue, with its dead letters */
export function createTopic(
  world: QueueWorld,
  settings: TopicSettings,
  openQueue: (settings: Omit<TopicSettings["subscriptions"][number], "rules">) => Queue,
): Topic {
  const { store } = world;
  const subscriptions = settings.subscriptions.map(({ rules, ...rest }): Subscription => {
    const path = `${settings.name}/Subscriptions/${rest.name}`;
    return {
      name: rest.name,
      queue: openQueue({ ...rest, name: path }),
      // What a client changed in the rules holds, whatever was declared.
      rules: createRules(path, store.loadRules(path) ?? rules, (changed) => store.saveRules(path, changed)),
    };
  });
  /** Numbers messages, drops duplicates, and holds what is scheduled; filters look at a message when its time has come. */
  const arrivals = new Queue(
    world,
    {
      ...settings,
      lockDuration: Infinity,
      maxDeliveryCount: Infinity,
      deadLetteringOnMessageExpiration: false,
      requiresSession: false,
    },
    {
      onward: (message) => {
        for (const { queue, rules } of subscriptions) if (rules.match(message.content)) queue.copy(message);
      },
    },
  );
  return {
    name: settings.name,
    subscriptions,
    send: (contents) => arrivals.send(contents),
    cancelScheduled: (sequences) => arrivals.cancelScheduled(sequences),
    scheduled: () => arrivals.counts().scheduled,
  };
}

/** Messages whose fate tells whether the broker, or the app that receives them, has lost one. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import { untilAnswered } from "../../infra/local/through-restarts.ts";

/** Ids of messages, by what has become of them. */
export interface Fates {
  sent: number;
  /** Sent, and neither handled nor there. */
  lost: string[];
  /** There more often than once. */
  doubled: string[];
}

export interface Witness {
  /** To each queue: a message that can't be handled, which the app dead-letters, and one for tomorrow. Until they are acknowledged. */
  send(): Promise<void>;
  /** Waits until every message is where it belongs; a lock that somebody held who was killed takes its minute to expire. */
  fates(): Promise<Fates>;
}

const QUEUES = ["delisting", "notifications", "rotation"];
const DAY_IN_MILLISECONDS = 24 * 3600 * 1000;
const PATIENCE_IN_MILLISECONDS = 180_000;
const retryOptions = { maxRetries: 0, timeoutInMs: 5000 };

/** The addresses outlive the broker's restarts. */
export function createWitness({ connectionString, control }: { connectionString: string; control: string }): Witness {
  const unhandled: string[] = [];
  const scheduled: string[] = [];

  async function acknowledged<Result>(act: (client: ServiceBusClient) => Promise<Result>): Promise<Result> {
    for (;;) {
      const client = new ServiceBusClient(connectionString, { retryOptions });
      try {
        return await act(client);
      } catch {
        await pause(200); // the broker was killed; the same message again, which duplicate detection knows
      } finally {
        await client.close().catch(() => undefined);
      }
    }
  }

  const deadLetters = async (): Promise<string[]> => {
    const of = async (queue: string): Promise<string[]> => {
      const response = await untilAnswered(() => fetch(`${control}/queues/${queue}/deadletters`));
      return ((await response.json()) as { value: { messageId: string }[] }).value.map(({ messageId }) => messageId);
    };
    return (await Promise.all(QUEUES.map(of))).flat();
  };
  const waiting = async (): Promise<string[]> => {
    const of = (queue: string): Promise<string[]> =>
      acknowledged(async (client) => {
        const peeked = await client.createReceiver(queue).peekMessages(10_000);
        return peeked.map(({ messageId }) => String(messageId));
      });
    return (await Promise.all(QUEUES.map(of))).flat();
  };

  return {
    send: async () => {
      for (const queue of QUEUES) {
        const [now, later] = [`unhandled-${randomUUID()}`, `scheduled-${randomUUID()}`];
        await acknowledged((client) => client.createSender(queue).sendMessages({ messageId: now, body: "not JSON of ours" }));
        unhandled.push(now);
        await acknowledged((client) =>
          client
            .createSender(queue)
            .scheduleMessages({ messageId: later, body: "for tomorrow" }, new Date(Date.now() + DAY_IN_MILLISECONDS)),
        );
        scheduled.push(later);
      }
    },
    fates: async () => {
      for (const until = Date.now() + PATIENCE_IN_MILLISECONDS; ; await pause(500)) {
        const [dead, there] = [await deadLetters(), await waiting()];
        const lost = [...unhandled.filter((id) => !dead.includes(id)), ...scheduled.filter((id) => !there.includes(id))];
        if (lost.length > 0 && Date.now() < until) continue;
        const everywhere = [...dead, ...there].filter((id) => unhandled.includes(id) || scheduled.includes(id));
        const doubled = everywhere.filter((id, index) => everywhere.indexOf(id) !== index);
        return { sent: unhandled.length + scheduled.length, lost, doubled };
      }
    },
  };
}

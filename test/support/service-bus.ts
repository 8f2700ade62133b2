/** A broker for one test, with a clock that the test moves, and the unmodified client of `@azure/service-bus`. */
import {
  type RuleProperties,
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusRuleManager,
  type ServiceBusSessionReceiver,
} from "@azure/service-bus";
import { onTestFinished } from "vitest";
import {
  createServiceBus,
  type QueueOptions,
  type ServiceBus,
  type ServiceBusOptions,
  type TopicOptions,
} from "../../infra/local/service-bus/service-bus.ts";
import type { BrokerClock } from "../../infra/local/service-bus/timers.ts";

export interface ManualClock extends BrokerClock {
  /** Runs what is due meanwhile, in order of time. */
  advance(milliseconds: number): void;
}

export function createManualClock(now = Date.now()): ManualClock {
  const timers = new Set<{ at: number; run: () => void }>();
  const next = (until: number) => [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    setTimer(at, run) {
      const timer = { at, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(milliseconds) {
      const end = now + milliseconds;
      for (let timer = next(end); timer; timer = next(end)) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.run();
      }
      now = end;
    },
  };
}

export const queue: QueueOptions = {
  name: "delisting",
  lockDuration: "PT1M",
  maxDeliveryCount: 3,
  deadLetteringOnMessageExpiration: true,
  requiresDuplicateDetection: true,
  duplicateDetectionHistoryTimeWindow: "PT10M",
};

export interface BusForTest {
  bus: ServiceBus;
  clock: ManualClock;
  client: ServiceBusClient;
}

/** With sessions, and else as `queue`. */
export const sessionQueue: QueueOptions = { ...queue, name: "rotation", requiresSession: true };

/** Subscriptions for whoever wants everything, and for the urgent ones. */
export const topic: TopicOptions = {
  name: "alerts",
  subscriptions: [
    { name: "archive", deadLetteringOnMessageExpiration: true, maxDeliveryCount: 3 },
    { name: "urgent", rules: [{ name: "urgent", correlationFilter: { label: "urgent" } }] },
  ],
};

export async function startBus(
  queues: QueueOptions[] = [queue],
  { topics = [], ...options }: Partial<ServiceBusOptions> = {},
): Promise<BusForTest> {
  const clock = createManualClock();
  const bus = await createServiceBus({ queues, topics, clock, ...options });
  const client = connect(bus.connectionString);
  onTestFinished(async () => {
    await client.close();
    await bus.stop();
  });
  return { bus, clock, client };
}

/** It neither retries nor waits for long, so that a refusal is seen as what it is. */
export const connect = (connectionString: string): ServiceBusClient =>
  new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 5000 } });

/** Locks are renewed by the test alone. */
export const peekLock = (client: ServiceBusClient, name = "delisting"): ServiceBusReceiver =>
  client.createReceiver(name, { maxAutoLockRenewalDurationInMs: 0 });

export const deadLetters = (client: ServiceBusClient, name = "delisting"): ServiceBusReceiver =>
  client.createReceiver(name, { subQueueType: "deadLetter", maxAutoLockRenewalDurationInMs: 0 });

/** A session by its name, or the next one that is free and has messages; its lock is renewed by the test alone. */
export const accept = (client: ServiceBusClient, session?: string, name = "rotation"): Promise<ServiceBusSessionReceiver> =>
  session === undefined
    ? client.acceptNextSession(name, { maxAutoLockRenewalDurationInMs: 0 })
    : client.acceptSession(name, session, { maxAutoLockRenewalDurationInMs: 0 });

export const bodies = (messages: ServiceBusReceivedMessage[]): unknown[] => messages.map(({ body }) => body as unknown);

export async function rulesOf(manager: ServiceBusRuleManager): Promise<RuleProperties[]> {
  const rules: RuleProperties[] = [];
  for await (const rule of manager.listRules()) rules.push(rule);
  return rules;
}

/** The next message; fails when there is none. */
export async function receive(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 });
  if (!message) throw new Error(`no message in ${receiver.entityPath}`);
  return message;
}

/** What is there to be had at once. */
export const receiveAll = (receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage[]> =>
  receiver.receiveMessages(100, { maxWaitTimeInMs: 200 });

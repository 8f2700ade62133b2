/** Rewinding a failed orchestration: what failed is taken out of its history, and is done again (AzureTableTrackingStore.RewindHistoryAsync of DurableTask.AzureStorage). */

import { EventType, historyEvent } from "./history.ts";
import type { HistoryEvent } from "./history.ts";
import type { Effects } from "./orchestration-step.ts";
import type { Instance } from "./store.ts";

const FAILURES = new Set<EventType>([EventType.TaskFailed, EventType.SubOrchestrationInstanceFailed]);

/**
 * Failed activities run again. Failed sub-orchestrations are rewound in their turn, and stay started. Whatever was decided after a
 * failure that the orchestrator had caught must be decided again in the same way, or the rewound instance fails as non-deterministic.
 */
export function rewind(effects: Effects, instance: Instance, reason: string | null): void {
  const { store, now, post } = effects;
  const history = store.getHistory(instance.id);
  const failed = new Set(history.filter(({ EventType: type }) => FAILURES.has(type)).map((event) => event.TaskScheduledId));
  const children = history.filter(
    (event) => event.EventType === EventType.SubOrchestrationInstanceCreated && failed.has(event.EventId),
  );
  store.replaceHistory(
    instance.id,
    history.filter((event) => !isUndone(event, failed)),
  );
  store.saveInstance({ ...instance, status: "Running", output: null, updatedAt: now });
  const waiting = children.flatMap(({ InstanceId = "" }) => store.getInstance(InstanceId) ?? []);
  const rewound = waiting.filter(({ status, parent }) => status === "Failed" && parent?.executionId === instance.executionId);
  for (const child of rewound) rewind(effects, child, reason);
  const event = historyEvent(EventType.GenericEvent, now, { Input: reason });
  const key = `rewind:${instance.executionId}:${now}`;
  post({ instanceId: instance.id, executionId: instance.executionId, key, visibleAt: now, event });
}

const isUndone = ({ EventType: type, EventId }: HistoryEvent, failed: Set<number | undefined>): boolean =>
  FAILURES.has(type) || type === EventType.ExecutionCompleted || (type === EventType.TaskScheduled && failed.has(EventId));

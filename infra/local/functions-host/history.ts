/** The history of an orchestration: DurableTask.Core's events, in the JSON form that durable-functions reads. */

/** `HistoryEventType` of durable-functions (lib/src/history/HistoryEventType.js) and DurableTask.Core (EventType.cs). */
export const EventType = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
  EventSent: 14,
  EventRaised: 15,
  GenericEvent: 17,
  ExecutionSuspended: 19,
  ExecutionResumed: 20,
} as const;

export type EventType = (typeof EventType)[keyof typeof EventType];

export const eventTypeName = (type: EventType): string =>
  Object.entries(EventType).find(([, number]) => number === type)?.[0] ?? String(type);

/** `FailureDetails` of DurableTask.Core: what the orchestrator gets as a TaskFailedError. */
export interface FailureDetails {
  ErrorType: string;
  ErrorMessage: string;
  StackTrace?: string | undefined;
  IsNonRetriable?: boolean;
  Properties?: unknown;
}

/** An event and the fields of its type; `Input` and `Result` are JSON texts. */
export interface HistoryEvent {
  EventType: EventType;
  /** The sequence number of a scheduled task, -1 for all other events. */
  EventId: number;
  IsPlayed: boolean;
  /** ISO 8601. */
  Timestamp: string;
  Name?: string;
  Version?: string;
  Input?: string | null;
  /** `null` for a function without a result; a missing one would make the library's JSON.parse throw. */
  Result?: string | null;
  Reason?: string | null;
  Details?: string;
  FailureDetails?: FailureDetails;
  /** The task that a result belongs to. */
  TaskScheduledId?: number;
  TimerId?: number;
  FireAt?: string;
  InstanceId?: string;
  OrchestrationInstance?: { InstanceId: string; ExecutionId: string };
  ParentInstance?: object | null;
  OrchestrationStatus?: string;
}

type Fields = Omit<Partial<HistoryEvent>, "EventType" | "Timestamp">;

/** @param at milliseconds since 1970 */
export const historyEvent = (type: EventType, at: number, fields: Fields = {}): HistoryEvent => ({
  EventType: type,
  EventId: -1,
  IsPlayed: false,
  Timestamp: new Date(at).toISOString(),
  ...fields,
});

/** What identifies a start or a result within an execution, so that a second delivery is recognised; undefined for other events. */
export function resultKey(event: HistoryEvent): string | undefined {
  if (event.EventType === EventType.ExecutionStarted) return "start";
  if (event.EventType === EventType.TimerFired) return `timer:${event.TimerId}`;
  return event.TaskScheduledId === undefined ? undefined : `task:${event.TaskScheduledId}`;
}

/** DurableTask.Core writes nothing for null, and so it does for a value that JSON has no word for. */
export const toJson = (value: unknown): string | null =>
  value === undefined || value === null ? null : (JSON.stringify(value) ?? null);

/** Calls an orchestrator function for one episode, as the Durable extension does, and reads what it answers. */

import type { OrchestratorState } from "./actions.ts";
import type { FunctionApp, RegisteredFunction } from "./functions-core.ts";
import type { HistoryEvent } from "./history.ts";
import { HTTP_POLLING_INTERVAL } from "./http-activity.ts";
import { InvocationFailure, invoke, valueOf } from "./invocation.ts";
import type { Instance } from "./store.ts";

export type Answer =
  | { state: OrchestratorState; sequenceNumber: number | undefined }
  /** The function failed before durable-functions could say anything. */
  | { broken: string };

/** The library puts its state behind this label into the message of what it throws (OrchestrationFailureError.js). */
const STATE_LABEL = "\n\n$OutOfProcData$:";

/** ReplaySchema.js: V4, which has entity locks. */
const REPLAY_SCHEMA = 3;

/** Bytes of UTF-16 (the extension's MaxCustomStatusPayloadSizeInKB). */
const LARGEST_CUSTOM_STATUS = 16 * 1024;

export async function callOrchestrator(
  app: FunctionApp,
  orchestrator: RegisteredFunction,
  instance: Instance,
  history: HistoryEvent[],
  events: HistoryEvent[],
): Promise<Answer> {
  // OrchestrationTriggerAttributeBindingProvider.cs. The library turns every string property named `Timestamp`, in the input too, into
  // a Date (Utils.parseTimestampsAsDates).
  const trigger = {
    history: [...history.map((event) => ({ ...event, IsPlayed: true })), ...events],
    input: instance.input === null ? null : (JSON.parse(instance.input) as unknown),
    instanceId: instance.id,
    isReplaying: history.length > 0,
    parentInstanceId: instance.parent?.id ?? null,
    upperSchemaVersion: 1,
    upperSchemaVersionNew: REPLAY_SCHEMA,
    longRunningTimerIntervalDuration: "3.00:00:00",
    maximumShortTimerDuration: "6.00:00:00",
    defaultHttpAsyncRequestSleepTimeMillseconds: HTTP_POLLING_INTERVAL,
  };
  try {
    const { returnValue, context } = await invoke(app, orchestrator, { string: JSON.stringify(trigger) });
    return checked({ state: valueOf(returnValue) as OrchestratorState, sequenceNumber: sequenceNumberIn(context) });
  } catch (error) {
    if (!(error instanceof InvocationFailure)) throw error;
    const { message } = error.error;
    const at = message.indexOf(STATE_LABEL);
    if (at < 0) return { broken: `Orchestrator function '${instance.name}' failed: ${message}` };
    const state = JSON.parse(message.slice(at + STATE_LABEL.length)) as OrchestratorState;
    // In Azure an orchestrator that throws an error without a message stays Running for ever.
    if (!state.error) state.error = "(an error without a message)";
    return checked({ state, sequenceNumber: sequenceNumberIn(error.context) });
  }
}

function checked(answer: { state: OrchestratorState; sequenceNumber: number | undefined }): Answer {
  const size = 2 * (JSON.stringify(answer.state.customStatus) ?? "").length;
  return size > LARGEST_CUSTOM_STATUS ? { broken: `the custom status has ${size} bytes of UTF-16, more than 16 KB` } : answer;
}

/** The library's count of scheduled tasks, to be compared with the host's own. */
function sequenceNumberIn(context: object): number | undefined {
  const { df } = context as { df?: { taskOrchestratorExecutor?: { sequenceNumber?: number } } };
  return df?.taskOrchestratorExecutor?.sequenceNumber;
}

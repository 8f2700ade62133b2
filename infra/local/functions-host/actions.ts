/** What an orchestrator gives back to the host: its state, and the actions it has decided on (lib/src/actions of durable-functions). */

import type { FailureDetails } from "./history.ts";

/** What durable-functions gives back for an episode: always all actions since the start (IOrchestratorState). */
export interface OrchestratorState {
  isDone: boolean;
  actions: Action[][];
  output?: unknown;
  error?: string;
  customStatus?: unknown;
  failureDetails?: FailureDetails;
}

export interface RetryOptions {
  firstRetryIntervalInMilliseconds: number;
  maxNumberOfAttempts: number;
  backoffCoefficient?: number;
  maxRetryIntervalInMilliseconds?: number;
  retryTimeoutInMilliseconds?: number;
}

export interface ActivityCall {
  functionName: string;
  input?: unknown;
}

export interface SubOrchestrationCall extends ActivityCall {
  instanceId?: string;
  version?: string;
}

export interface EntityOperation {
  /** `@name@key`. */
  instanceId: string;
  operation: string;
  input?: unknown;
}

export interface HttpCall {
  method: string;
  uri: string;
  content?: string;
  headers?: Record<string, string>;
  /** The managed identity whose token is to be sent along. */
  tokenSource?: unknown;
  /** Whether an answer 202 is followed up at its `Location`. */
  asynchronousPatternEnabled: boolean;
}

export interface EntityName {
  name: string;
  key: string;
}

/** ActionType.js of durable-functions. */
export type Action =
  | ({ actionType: 0 } & ActivityCall)
  | ({ actionType: 1; retryOptions: RetryOptions } & ActivityCall)
  | ({ actionType: 2 } & SubOrchestrationCall)
  | ({ actionType: 3; retryOptions: RetryOptions } & SubOrchestrationCall)
  | { actionType: 4; input?: unknown }
  | { actionType: 5; fireAt: string; isCanceled: boolean }
  | { actionType: 6; externalEventName: string }
  | ({ actionType: 7 | 9 } & EntityOperation)
  | { actionType: 8; httpRequest: HttpCall }
  | { actionType: 11 | 12; compoundActions: Action[] }
  | { actionType: 13; lockSet: EntityName[]; lockRequestId: string }
  | { actionType: 14 };

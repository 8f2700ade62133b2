/** What entities are asked and how they answer: RequestMessage.cs, ReleaseMessage.cs and ResponseMessage.cs of the extension. */

import type { EntityName } from "./actions.ts";

/** An operation, a request to lock, or the end of a lock. */
export interface EntityRequest {
  /** `null` in a request to lock. */
  op?: string | null;
  /** Nobody waits for its answer. */
  signal?: boolean;
  /** JSON text. */
  input?: string;
  /** The name of the event that brings the answer. */
  id: string;
  /** The orchestration or entity that asks; undefined for a client. */
  parent?: string;
  parentExecution?: string;
  /** All entities to be locked, in their order. */
  lockset?: EntityName[];
  /** Which of them this one is. */
  pos?: number;
}

export interface EntityResponse {
  /** JSON text; undefined if the operation gave nothing back. */
  result?: string;
  /** There for an operation that threw. */
  exceptionType?: string;
}

/** An entity's address among the instances: `@name@key`, the name in small letters. */
export const schedulerIdOf = ({ name, key }: EntityName): string => `@${name.toLowerCase()}@${key}`;

export const isSchedulerId = (instanceId: string): boolean => instanceId.startsWith("@");

export function entityNameIn(schedulerId: string): EntityName {
  const at = schedulerId.indexOf("@", 1);
  return { name: schedulerId.slice(1, at), key: schedulerId.slice(at + 1) };
}

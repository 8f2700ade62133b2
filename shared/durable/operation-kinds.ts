/** What there is to know of each kind of operation beside how it begins: a new kind can't be left out of the table. */
import type { OperationKind } from "../api/operation.ts";

export interface KindOfOperation {
  /** Orchestrations of it that wait long, by what their ids have after the operation's, and the event that makes them look at once. */
  waits: readonly { suffix: string; event: string }[];
}

export type KindsOfOperation = Readonly<Record<OperationKind, KindOfOperation>>;

/**
 * Long-running operations: begun by a write, over when their deadline has passed on the platform's clock. An operation's effect is applied
 * once, at the first look after its deadline, in the order of deadlines; so nothing is lost by a restart and no timer is needed.
 *
 * Collection: `arm.operations` by operation id.
 */
import { randomUUID } from "node:crypto";
import type { Platform } from "../simulator.ts";
import { keyOf } from "./estate.ts";
import type { Json } from "./envelope.ts";

/** Resource Manager asks providers to keep an operation's status for at least a day ("Asynchronous operations" of its provider contract). */
const RETENTION_IN_SECONDS = 24 * 60 * 60;

export type OperationKind = "put" | "delete" | "deleteResourceGroup" | "purgeVault" | "power" | "runCommand";

export interface Operation {
  id: string;
  kind: OperationKind;
  /** As Network names it in its errors, for example `PutVirtualNetworkOperation`. */
  name: string;
  subscriptionId: string;
  namespace: string;
  location: string;
  /** Id of the resource or resource group it works on. */
  target: string;
  startedAt: number;
  endsAt: number;
  status: "InProgress" | "Succeeded" | "Failed";
  finishedAt?: number;
  error?: { code: string; message: string };
  /** What the effect needs to know, for example the power state to reach. */
  facts: Json;
  /** Its URLs answer 404 from now on, whether it is over or not. */
  forgotten?: boolean;
}

export interface Failure {
  code: string;
  message: string;
}

/** What is true when an operation is over; a failure is the operation's error. Effects that take time give a promise. */
export type Effect = (operation: Operation) => Failure | undefined | Promise<Failure | undefined>;

export interface Operations {
  begin(operation: Omit<Operation, "id" | "startedAt" | "endsAt" | "status">, duration: number): Operation;
  /** Undefined also for one that is over for a day, or was forgotten on command. */
  get(id: string): Operation | undefined;
  /** How many were known until now; those that run go on. */
  forget(): number;
  all(): Operation[];
  /** The unfinished operation on a resource, if any. */
  runningOn(id: string): Operation | undefined;
  /** Applies what is due. The promise covers effects that take time; everything else is applied when the call returns. */
  settle(): Promise<void>;
  /** Tells what each kind of operation does; once, before the first `settle`. */
  effects(effects: Record<OperationKind, Effect>): void;
}

export function createOperations(platform: Platform): Operations {
  const stored = platform.collection<Operation>("arm.operations");
  const pending = new Map<string, Operation>(stored.entries().filter(([, operation]) => operation.status === "InProgress"));
  const applying = new Map<string, Promise<void>>();
  let effectOf: Record<OperationKind, Effect> | undefined;

  const finish = (operation: Operation, error: Failure | undefined): void => {
    const finished: Operation = {
      ...operation,
      status: error === undefined ? "Succeeded" : "Failed",
      finishedAt: platform.now(),
      ...(error === undefined ? {} : { error }),
    };
    stored.set(operation.id, finished);
    pending.delete(operation.id);
  };

  const apply = (operation: Operation): void => {
    const outcome = effectOf?.[operation.kind](operation);
    if (!(outcome instanceof Promise)) return finish(operation, outcome);
    const applied = (async () => {
      const error = await outcome.catch(
        (cause: unknown): Failure => ({ code: "InternalOperationError", message: String(cause) }),
      );
      finish(operation, error);
      applying.delete(operation.id);
    })();
    applying.set(operation.id, applied);
  };

  return {
    begin: (operation, duration) => {
      const begun: Operation = {
        ...operation,
        id: randomUUID(),
        startedAt: platform.now(),
        endsAt: platform.now() + duration,
        status: "InProgress",
      };
      stored.set(begun.id, begun);
      pending.set(begun.id, begun);
      return begun;
    },
    get: (id) => {
      const operation = stored.get(id.toLowerCase());
      const over = (operation?.finishedAt ?? Number.POSITIVE_INFINITY) + RETENTION_IN_SECONDS * 1000 * platform.tempo;
      return operation?.forgotten || (platform.tempo > 0 && over < platform.now()) ? undefined : operation;
    },
    forget: () => {
      const known = stored.values().filter(({ forgotten }) => !forgotten);
      for (const operation of known) {
        const forgotten = { ...operation, forgotten: true };
        stored.set(operation.id, forgotten);
        if (pending.has(operation.id)) pending.set(operation.id, forgotten);
      }
      return known.length;
    },
    all: () => stored.values(),
    runningOn: (id) => [...pending.values()].find((operation) => keyOf(operation.target) === keyOf(id)),
    settle: async () => {
      const now = platform.now();
      const due = [...pending.values()]
        .filter((operation) => operation.endsAt <= now && !applying.has(operation.id))
        .toSorted((a, b) => a.endsAt - b.endsAt);
      for (const operation of due) apply(operation);
      await Promise.all(applying.values());
    },
    effects: (effects) => {
      effectOf = effects;
    },
  };
}

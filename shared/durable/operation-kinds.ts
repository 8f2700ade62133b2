/** What there is to know of each kind of operation beside how it begins: a new kind can't be left out of the table. */
import type { DurableClient } from "durable-functions";
import type { OperationKind } from "../api/operation.ts";
import type { NewOperation, OperationRecord } from "../stores/operations.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { Work } from "./resources.ts";
import { begin, type TenantOperation } from "./tenant-operation.ts";

export interface KindOfOperation extends About {
  /** Another attempt at what was asked for then. */
  again(request: unknown): Again;
}

interface About {
  /** Orchestrations of it that wait long, by what their ids have after the operation's, and the event that makes them look at once. */
  waits: readonly { suffix: string; event: string }[];
  /** Why what an operation of this kind did can't be taken back; undefined where it can. */
  rollBackRefused?(operation: OperationRecord, tenant: TenantRecord): string | undefined;
  /** It goes on beside other operations of its tenant, and so do its further attempts. */
  beside?: true;
}

/** What a further attempt takes: all of it anew, by the tenant as it is now, since ensuring skips what is true. */
export interface Again {
  stepsOf(tenant: TenantRecord): NewOperation["steps"];
  check(tenant: TenantRecord): Promise<void>;
  factsOf(tenant: TenantRecord): Record<string, unknown>;
  begin(client: DurableClient, tenant: TenantRecord, operation: OperationRecord): Promise<void>;
}

export type KindsOfOperation = Readonly<Record<OperationKind, KindOfOperation>>;

export const kindOf = <Input extends { work: Work }>(
  operationOf: (request: unknown) => TenantOperation<Input>,
  about: About,
): KindOfOperation => ({
  ...about,
  again: (request) => {
    const wanted = operationOf(request);
    return {
      stepsOf: wanted.stepsOf,
      check: wanted.check,
      factsOf: wanted.factsOf ?? (() => ({})),
      begin: (client, tenant, operation) => begin(client, wanted, tenant, operation),
    };
  },
});

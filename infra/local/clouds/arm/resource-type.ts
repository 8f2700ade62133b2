/** The contract of a resource type: what its provider checks, remembers and shows; the envelope around it is resources.ts. */
import type { Claims } from "../simulator.ts";
import type { Json } from "./envelope.ts";
import type { Stored } from "./estate.ts";
import type { Failure } from "./operations.ts";

export interface Put {
  id: string;
  name: string;
  subscriptionId: string;
  resourceGroup: string;
  /** Of the resource group; most resources give their own in the body. */
  groupLocation: string;
  body: unknown;
  existing: Stored | undefined;
  claims: Claims;
}

export interface Accepted {
  location: string;
  body: Json & { properties: Json };
  facts?: Json;
  /** Nothing to do: the answer is 200 without an operation, and the call has no effect. */
  unchanged?: boolean;
  /** Overrides "a PUT changes the cloud". */
  effect?: "none" | "write";
}

/** Network and Compute answer with the resource; SQL and Storage with 202, and Storage without Azure-AsyncOperation. */
export type Manner = "sync" | "network" | "compute" | "sql" | "storage";

export interface ResourceType {
  /** As Azure spells it. */
  type: string;
  /** `sync` answers at once; the others begin a long-running operation in the manner of their provider. */
  manner: Manner;
  /** Types without a region of their own, such as a DNS zone, may be anywhere. */
  regional?: false;
  /** How far a resource is, when it isn't `provisioningState` that tells. */
  progress?: { property: string; creating: string; updating: string; ready: string };
  /** Status of a PUT that created; 201 when absent. */
  createdStatus?: 200 | 201;
  /** Modelled durations. */
  putInSeconds?: number;
  deleteInSeconds?: number;
  etag?: "weak" | "number" | "guid";
  /** Whether other people than the portal may create it by PUT; a disk only comes with its virtual machine. */
  creatable?: boolean;
  /** Lists inside `properties` whose members have ids of their own, such as `subnets`. */
  children?: string[];
  put(put: Put): Accepted;
  /** A PUT was accepted and is remembered; for what comes along with it at once. */
  accepted?(resource: Stored): void;
  /** The body as GET shows it: with back-references, computed. */
  present?(resource: Stored, options: { expand: string | undefined }): Json;
  /** Throws the refusal when the resource is in use. */
  checkDelete?(resource: Stored): void;
  deleteEffect?(resource: Stored): "none" | "write";
  /** A PUT's operation ends, with a failure when one was ordered; what it gives is why it failed. */
  created?(resource: Stored, ordered: Failure | undefined): Failure | undefined;
  deleted?(resource: Stored): void;
  /** Kind of operation that a PUT begins, if not the plain one. */
  putOperation?: "runCommand";
}

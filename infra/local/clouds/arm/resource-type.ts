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

export interface ResourceType {
  /** As Azure spells it. */
  type: string;
  /** `sync` answers at once; the others begin a long-running operation in the manner of their provider. */
  manner: "sync" | "network" | "compute";
  /** Modelled durations. */
  putInSeconds?: number;
  deleteInSeconds?: number;
  etag?: "weak" | "number";
  /** Whether other people than the portal may create it by PUT; a disk only comes with its virtual machine. */
  creatable?: boolean;
  /** Lists inside `properties` whose members have ids of their own, such as `subnets`. */
  children?: string[];
  put(put: Put): Accepted;
  /** The body as GET shows it: with back-references, computed. */
  present?(resource: Stored, options: { expand: string | undefined }): Json;
  /** Throws the refusal when the resource is in use. */
  checkDelete?(resource: Stored): void;
  deleteEffect?(resource: Stored): "none" | "write";
  /** A PUT's operation ends; what it gives is why it failed. */
  created?(resource: Stored): Failure | undefined;
  deleted?(resource: Stored): void;
  /** Kind of operation that a PUT begins, if not the plain one. */
  putOperation?: "runCommand";
}

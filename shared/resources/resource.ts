/** A resource is one thing kept true in a customer's cloud: onboarding ensures it, plan and drift diff it, offboarding removes it. */
import { ControlPlaneError } from "../errors.ts";

/** What a read gives. A failed read is `unknown`, never `absent`; nothing is written on `unknown`. */
export type Observed<Actual> = Present<Actual> | Absent | Unknown;

export interface Present<Actual> {
  state: "present";
  actual: Actual;
}

export interface Absent {
  state: "absent";
}

export interface Unknown {
  state: "unknown";
  /** Why it could not be read: code and phrase of the cloud's own error. */
  reason: { code: string; message: string };
  /** The access to read is not there yet (before consent, before a role assignment), rather than a fault. */
  accessMissing?: boolean;
}

/** A write that is finished when its call returns. */
export interface Done {
  state: "done";
}

/** A write that goes on in the cloud: one GET on `operationUrl` per tick tells how far it is (ARM's Azure-AsyncOperation or Location). */
export interface Begun {
  state: "begun";
  operationUrl: string;
  retryAfterInSeconds: number;
}

/** One owned property that differs; secrets appear as references or fingerprints. */
export interface PropertyChange {
  path: string;
  from: unknown;
  to: unknown;
}

export interface Resource<Desired, Actual> {
  /** Stable: part of operation records and of running histories. */
  readonly kind: string;
  observe(desired: Desired): Promise<Observed<Actual>>;
  /** Pure and canonicalised, over the properties that we own; empty means that the cloud agrees. */
  diff(desired: Desired, actual: Actual): PropertyChange[];
  create(desired: Desired): Promise<Done | Begun>;
  update(desired: Desired, changes: PropertyChange[], actual: Actual): Promise<Done | Begun>;
  /** Whether the cloud never lets that property change: then `update` ends with `ReplacementNeeded`, and a plan says `replace`. */
  readonly fixed?: (path: string) => boolean;
  /** Gone already counts as done. */
  remove(desired: Desired): Promise<Done | Begun>;
  /**
   * How to get back to what was: what to desire so that `before` is true again, or what to take away from what is shared with others.
   * Where it is missing, roll-back leaves an object that stood before as it is, and says so.
   */
  earlier?(desired: Desired, before: Actual): { ensure: unknown } | { remove: unknown } | undefined;
  /** Properties that hold secrets: shown everywhere as reference and salted fingerprint. */
  readonly secret?: (keyof Desired)[];
}

export const present = <Actual>(actual: Actual): Present<Actual> => ({ state: "present", actual });
export const absent: Absent = { state: "absent" };
export const unknown = (code: string, message: string, accessMissing = false): Unknown => ({
  state: "unknown",
  reason: { code, message },
  ...(accessMissing ? { accessMissing } : {}),
});
/** For activities, whose input names a kind in words. Throws ResourceKindUnknown. */
export function resourceOfKind(resources: Record<string, Resource<never, unknown>>, kind: string): Resource<unknown, unknown> {
  const resource = resources[kind];
  if (!resource) throw new ControlPlaneError("ResourceKindUnknown", `there is no resource of kind ${kind}`);
  return resource as Resource<unknown, unknown>;
}

export const done: Done = { state: "done" };

/** Who a cloud object belongs to; written into tags, comments or unique names as the ownership marker. */
export interface Owner {
  partnerId: string;
  tenantId: string;
}

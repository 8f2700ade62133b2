/** Makes a cloud agree with what is desired: observe, compare, write only what differs, read back. One definition for every resource. */
import { ControlPlaneError } from "../errors.ts";
import type { Begun, Observed, PropertyChange, Resource } from "./resource.ts";

export type Change = "created" | "updated" | "unchanged" | "removed";

/** `begun` means that the cloud goes on working: poll its operation, then ensure again. */
export type Ensured<Actual> = { change: Change; actual: Actual } | { change: Change; begun: Begun };

/** What was there before a write: what roll-back restores. It is kept before the write is sent. */
export type BeforeImage = {
  kind: string;
  desired: unknown;
  before: Exclude<Observed<unknown>, { state: "unknown" }>;
  changes: PropertyChange[];
};

export const ensuring =
  <Desired, Actual>(resource: Resource<Desired, Actual>, keep: (image: BeforeImage) => Promise<void>) =>
  async (desired: Desired): Promise<Ensured<Actual>> => {
    const observed = known(resource.kind, await resource.observe(desired));
    const changes = observed.state === "present" ? resource.diff(desired, observed.actual) : [];
    if (observed.state === "present" && changes.length === 0) return { change: "unchanged", actual: observed.actual };

    await keep({ kind: resource.kind, desired, before: observed, changes });
    const change = observed.state === "present" ? "updated" : "created";
    const written =
      observed.state === "present" ? await resource.update(desired, changes, observed.actual) : await resource.create(desired);
    if (written.state === "begun") return { change, begun: written };
    return { change, actual: await confirmed(resource, desired) };
  };

/** Reads a resource and says what differs; throws when it can't be read, is absent or differs. */
export async function confirmed<Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired): Promise<Actual> {
  const observed = known(resource.kind, await resource.observe(desired));
  if (observed.state === "absent") throw settling(resource.kind, "is not visible yet");
  const changes = resource.diff(desired, observed.actual);
  if (changes.length > 0) throw settling(resource.kind, `still differs in ${changes.map(({ path }) => path).join(", ")}`);
  return observed.actual;
}

const settling = (kind: string, what: string): ControlPlaneError =>
  new ControlPlaneError("ResourceSettling", `the ${kind} that was written ${what}`, 503, true);

/** Nothing is written on `unknown`: a failed read is no absence. A stranger's object is a conflict for a person. */
export function known<Actual>(kind: string, observed: Observed<Actual>): Exclude<Observed<Actual>, { state: "unknown" }> {
  if (observed.state !== "unknown") return observed;
  const { code, message } = observed.reason;
  if (code === "ForeignObject") throw new ControlPlaneError(code, message, 409);
  throw new ControlPlaneError(code, `reading the ${kind}: ${message}`, observed.accessMissing ? 403 : 503, true);
}

/** What every owned Azure resource has in common: read with its owner checked, compared by owned properties, removed only when ours. */
import { ControlPlaneError } from "../errors.ts";
import {
  type Begun,
  type Done,
  done,
  type Observed,
  type PropertyChange,
  present,
  type Unknown,
  unknown,
} from "../resources/resource.ts";
import type { Marked } from "../resources/adoptable.ts";
import { type Azure, type AzureClients, type FirstReply, isTerminal } from "./client.ts";
import { isMarked, ownedBy, ownershipTags, type Place, relative, sameId, type Subscription } from "./place.ts";

interface Tagged {
  id?: string;
  tags?: Record<string, string>;
}

/** Every actual shape tells whether ARM's last write to it came to an end. */
export interface Provisioned extends Marked {
  /** `Succeeded`, or `Failed` or `Canceled` when the last write did not. */
  provisioningState: string;
}

/** A write that is still under way is `unknown` with code `OperationUnderway`: it is neither what it was nor what it will be. */
export async function observeOwned<Found extends Tagged, Actual extends Provisioned>(
  azure: Azure,
  what: string,
  desired: Place,
  get: (clients: AzureClients) => Promise<Found>,
  actualOf: (found: Found) => Actual,
): Promise<Observed<Actual>> {
  const found = await azure.read(desired, get);
  if (found.state !== "present") return found;
  const { id, tags } = found.actual;
  const ours = ownedBy(tags, desired.owner);
  if (!ours && isMarked(tags) && desired.adopting !== undefined)
    return unknown("ForeignObject", `${what} carries the marks of another tenant`);
  if (!ours && (desired.adopting === undefined || !sameId(id, desired.adopting)))
    return unknown("ForeignObject", `${what} exists and does not carry the marks of tenant ${desired.owner.tenantId}`);
  const actual: Actual = ours ? actualOf(found.actual) : { ...actualOf(found.actual), unmarked: true };
  if (!isTerminal(actual.provisioningState))
    return unknown("OperationUnderway", `${what} is still being written: ${actual.provisioningState}`);
  return present(actual);
}

/** Adds the tags that mark it as a tenant's; others stay, and nothing but tags is touched. */
export const markInAzure =
  (azure: Azure) =>
  (desired: Place, { id }: { id: string }): Promise<Done | Begun> =>
    azure.begin(`marking ${id}`, desired, async (clients, onResponse) =>
      (await clients.resources()).tagsOperations.beginUpdateAtScope(
        relative(id),
        { operation: "Merge", properties: { tags: ownershipTags(desired.owner) } },
        { onResponse },
      ),
    );

/** Gone already counts as done; a stranger's object is left alone. */
export async function removeOwned(
  azure: Azure,
  what: string,
  subscription: Subscription,
  observed: Observed<unknown>,
  send: (clients: AzureClients, onResponse: (reply: FirstReply) => void) => Promise<unknown>,
): Promise<Done | Begun> {
  if (observed.state === "absent") return done;
  if (observed.state === "unknown") throw readFailure(`${what} before its removal`, observed);
  return azure.beginRemoval(`removing ${what}`, subscription, send);
}

/** For writes that replace an object whole: what is there now, so that others' parts of it go back as they were. */
export async function readBeforeWriting<Found>(
  azure: Azure,
  what: string,
  subscription: Subscription,
  get: (clients: AzureClients) => Promise<Found>,
): Promise<Found | undefined> {
  const found = await azure.read(subscription, get);
  if (found.state === "unknown") throw readFailure(`${what} before writing`, found);
  return found.state === "present" ? found.actual : undefined;
}

/** A failed read on the way to a write: nothing is written. */
export function readFailure(what: string, { reason: { code, message }, accessMissing }: Unknown): ControlPlaneError {
  if (code === "ForeignObject") return new ControlPlaneError(code, message, 409);
  const phrase = `reading ${what}: ${code}: ${message}`;
  return accessMissing === true
    ? new ControlPlaneError("AzureAccessMissing", phrase, 403)
    : new ControlPlaneError("AzureBusy", phrase, 503, true);
}

/** One change for each property that differs; both sides are canonical already. A failed last write is a change too, so that it is written again. */
export function changesBetween<Owned extends object>(desired: Owned, actual: Owned & Partial<Provisioned>): PropertyChange[] {
  const changes: PropertyChange[] = [];
  for (const path of Object.keys(desired) as (keyof Owned & string)[])
    if (!sameValue(desired[path], actual[path])) changes.push({ path, from: actual[path] ?? null, to: desired[path] ?? null });
  const { provisioningState } = actual;
  if (provisioningState !== undefined && !/^succeeded$/i.test(provisioningState))
    changes.push({ path: "provisioningState", from: provisioningState, to: "Succeeded" });
  return changes;
}

/** For a set that is ours whole, by its members' names: one change a member, and one that nobody desired is a change too. */
export function memberChanges<Member>(
  property: string,
  desired: Record<string, Member>,
  actual: Record<string, Member>,
): PropertyChange[] {
  const names = [...new Set([...Object.keys(desired), ...Object.keys(actual)])];
  return names.flatMap((name) => {
    const [from, to] = [actual[name] ?? null, desired[name] ?? null];
    return sameValue(from, to) ? [] : [{ path: `${property}/${name}`, from, to }];
  });
}

const sameValue = (one: unknown, other: unknown): boolean => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

/** A property that Azure never lets change: the plan says so, and a person decides to replace. */
export const replacementNeeded = (what: string, changes: PropertyChange[]): ControlPlaneError =>
  new ControlPlaneError(
    "ReplacementNeeded",
    `${what} can only get another ${changes.map(({ path }) => path).join(", ")} by being replaced`,
    409,
  );

/** Throws when a property that is fixed for life is among the changes, before anything is sent. */
export function refuseReplacement(what: string, changes: PropertyChange[], fixed: (path: string) => boolean): void {
  const refused = changes.filter(({ path }) => fixed(path));
  if (refused.length > 0) throw replacementNeeded(what, refused);
}

/** Azure names none when nothing is going on. */
export const provisioningStateOf = (state: string | undefined): string => state ?? "Succeeded";

/** What is ours in a customer's Exchange Online: a marker in the object's comment, since a name is no identity. */
import { ControlPlaneError } from "../errors.ts";
import type { Owner } from "../resources/resource.ts";

/** What all of ours carry, whosever they are. */
const MARK = "managed by Gatehouse; partner=";

/** What all objects of one tenant carry. */
export const markOf = ({ partnerId, tenantId }: Owner): string => `${MARK}${partnerId}; tenant=${tenantId}; resource=`;

/** `kind` tells the three rules of one tenant apart when a person has renamed them. */
export const markerOf = (owner: Owner, kind: string): string => `${markOf(owner)}${kind}`;

/** Exchange may append a line end, and a person a remark; both leave the object ours. */
export const carries = (comment: string | null | undefined, marker: string): boolean => (comment ?? "").includes(marker);

export interface Named {
  Name: string;
  Guid: string;
}

/** Exchange's own limit for comments of rules. */
const LONGEST_COMMENT = 1024;

/** The marker behind what a person wrote, of which the end goes where there is no room. */
export function markedComment(comment: string | null | undefined, marker: string): string {
  const words = (comment ?? "").trim().slice(0, LONGEST_COMMENT - marker.length - 2);
  return words === "" ? marker : `${words}; ${marker}`;
}

/**
 * Ours among the objects, by its marker. Throws `ForeignObject` when none is ours but somebody else's has our name: that is for a
 * person to decide. `adopting`: the one of that GUID counts as ours while nobody has marked it.
 */
export function ownAmong<T extends Named>(
  objects: T[],
  { name, marker, what, adopting }: { name: string; marker: string; what: string; adopting?: string | undefined },
  commentOf: (object: T) => string | null | undefined,
): T | undefined {
  const ours = objects.find((object) => carries(commentOf(object), marker));
  if (ours) return ours;
  const adopted = adopting === undefined ? undefined : objects.find(({ Guid }) => Guid === adopting);
  if (adopted && !carries(commentOf(adopted), MARK)) return adopted;
  if (adopted)
    throw new ControlPlaneError("ForeignObject", `the ${what} "${adopted.Name}" carries the marks of another tenant`, 409);
  if (objects.some((object) => object.Name.toLowerCase() === name.toLowerCase()))
    throw new ControlPlaneError(
      "ForeignObject",
      `a ${what} named "${name}" exists that Gatehouse did not make; rename or remove it, then retry`,
      409,
    );
  return undefined;
}

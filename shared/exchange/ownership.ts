/** What is ours in a customer's Exchange Online: a marker in the object's comment, since a name is no identity. */
import { ControlPlaneError } from "../errors.ts";
import type { Owner } from "../resources/resource.ts";

/** What all objects of one tenant carry. */
export const markOf = ({ partnerId, tenantId }: Owner): string =>
  `managed by Gatehouse; partner=${partnerId}; tenant=${tenantId}; resource=`;

/** `kind` tells the three rules of one tenant apart when a person has renamed them. */
export const markerOf = (owner: Owner, kind: string): string => `${markOf(owner)}${kind}`;

/** Exchange may append a line end, and a person a remark; both leave the object ours. */
export const carries = (comment: string | null | undefined, marker: string): boolean => (comment ?? "").includes(marker);

export interface Named {
  Name: string;
  Guid: string;
}

/**
 * Ours among the objects, by its marker. Throws `ForeignObject` when none is ours but somebody else's has our name: that is for a
 * person to decide.
 */
export function ownAmong<T extends Named>(
  objects: T[],
  { name, marker, what }: { name: string; marker: string; what: string },
  commentOf: (object: T) => string | null | undefined,
): T | undefined {
  const ours = objects.find((object) => carries(commentOf(object), marker));
  if (ours) return ours;
  if (objects.some((object) => object.Name.toLowerCase() === name.toLowerCase()))
    throw new ControlPlaneError(
      "ForeignObject",
      `a ${what} named "${name}" exists that Gatehouse did not make; rename or remove it, then retry`,
      409,
    );
  return undefined;
}

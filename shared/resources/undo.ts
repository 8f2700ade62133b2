/** How a write of an operation is taken back, decided from its before-image alone. */
import type { BeforeImage } from "./ensure.ts";
import { stays } from "./irreversible.ts";
import type { Resource } from "./resource.ts";

export type Undo = { as: "removed" | "restored"; desired: unknown } | { as: "kept"; why: string };

export function undoOf(resource: Resource<unknown, unknown>, { kind, desired, before, changes }: BeforeImage): Undo {
  const staying = stays[kind];
  if (staying !== undefined) return { as: "kept", why: staying };
  if (before.state === "absent") return { as: "removed", desired };
  const earlier = resource.earlier?.(desired, before.actual);
  if (earlier === undefined) {
    const what = changes.map(({ path }) => path).join(", ");
    return { as: "kept", why: `it stood before the operation${what === "" ? "" : `; ${what} stays as it is now`}` };
  }
  return "ensure" in earlier ? { as: "restored", desired: earlier.ensure } : { as: "removed", desired: earlier.remove };
}

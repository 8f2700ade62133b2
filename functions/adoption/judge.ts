/** Whether what was seen may be taken over, and whether it is what the caller has seen. */
import { refusal } from "../../shared/api/error-codes.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Adoption } from "../../shared/api/adoption.ts";

/** Something could not be read. */
export const UNREAD = "AdoptionUnread";

/** Throws AdoptionUnread, for which another look may do; AdoptionBlocked; and PlanOutdated. */
export function refuseImpossible({ possible, hash, findings }: Adoption, plan: string | undefined): void {
  if (!possible) {
    const errors = findings.filter(({ severity }) => severity === "error");
    if (errors.length > 0 && errors.every(({ code }) => code === UNREAD))
      throw new ControlPlaneError(UNREAD, errors.map(({ message }) => message).join("; "), 503, true);
    throw refusal("AdoptionBlocked", `it can't be taken over: ${errors.map(({ code }) => code).join(", ")}`, {
      details: errors.map(({ code, message, remedy }) => ({ code, message: `${message}; ${remedy}` })),
    });
  }
  if (plan !== undefined && plan !== hash)
    throw refusal("PlanOutdated", "what is there is not what it was when this hash was given: look again", { target: "plan" });
}

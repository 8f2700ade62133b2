/** Whose things a call is about: a partner's own, or those of the partner that an operator names. */
import type { Caller } from "./authentication.ts";
import { refusal } from "./error-codes.ts";

/** The partner whose partition is read; the token decides, an operator's query only where there is no partner in the token. */
export function partnerInScope(caller: Caller, named: string | undefined): string {
  if (caller.role === "Partner") {
    // Said alike of partners that exist and of those that don't.
    if (named !== undefined && named !== caller.partnerId)
      throw refusal("RoleRequired", "only an operator may name another partner", { target: "partnerId" });
    return caller.partnerId;
  }
  if (named === undefined) {
    throw refusal("InvalidRequest", "the query has invalid fields", {
      details: [{ code: "InvalidField", target: "partnerId", message: "an operator names the partner whose things to read" }],
    });
  }
  return named;
}

/** Whom a paging link is bound to. */
export const audienceOf = (caller: Caller): string => `${caller.role} ${caller.entraTenantId} ${caller.clientId}`;

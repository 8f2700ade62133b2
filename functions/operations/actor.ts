/** Who asked for something, as records name them. */
import type { Caller } from "../../shared/api/authentication.ts";

export const actorOf = (caller: Caller): string =>
  caller.role === "Partner" ? `partner ${caller.partnerId}` : `operator ${caller.clientId}`;

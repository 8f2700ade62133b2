/** The kinds of operation that lead mail round a gateway and back. */
import * as z from "zod";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { ASKED_FOR, bypassing, restoringAgain } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** What was asked for then: a door's body, or a policy's reason. */
const asked = z.object({ reason: z.string(), by: z.literal("policy").optional() });
const causeOf = (request: unknown): BypassCause => {
  const { reason = ASKED_FOR.reason, by = ASKED_FOR.by } = asked.safeParse(request).data ?? {};
  return { by, reason };
};

export const mailFlowKinds = (world: Pick<MailFlowDoors, "mailFlowPace" | "plans">) =>
  ({
    bypass: kindOf((request) => bypassing(world, causeOf(request)), {
      waits: [],
      rollBackRefused: () => noWayBack.bypass,
    }),
    restore: kindOf((request) => restoringAgain(world, causeOf(request)), {
      waits: [],
      rollBackRefused: () => noWayBack.restore,
    }),
  }) satisfies Record<string, KindOfOperation>;

/** The kinds of operation that lead mail round a gateway and back. */
import * as z from "zod";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { ASKED_FOR, bypassing, restoringAgain } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** What was asked for then: a door's body. */
const asked = z.object({ reason: z.string() });
const causeOf = (request: unknown): BypassCause => ({ ...ASKED_FOR, ...asked.safeParse(request).data });

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

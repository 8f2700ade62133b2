/** The kinds of operation that lead mail round a gateway and back. */
import * as z from "zod";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { ASKED_FOR, bypassing, restoring } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** What was asked for then: a door's body. */
const asked = z.object({ reason: z.string() });
const causeOf = (request: unknown): BypassCause => ({ ...ASKED_FOR, ...asked.safeParse(request).data });

export const mailFlowKinds = (world: Pick<MailFlowDoors, "mailFlowPace">) =>
  ({
    bypass: kindOf((request) => bypassing(world, causeOf(request)), {
      waits: [],
      rollBackRefused: () => "a restore is the way back, which proves the gateway before anybody's mail goes there",
    }),
    restore: kindOf((request) => restoring(world, causeOf(request)), {
      waits: [],
      rollBackRefused: () => "a bypass is the way back, which proves that mails go round the gateway",
    }),
  }) satisfies Record<string, KindOfOperation>;

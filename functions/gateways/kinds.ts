/** The kind of operation that works on one gateway. */
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { smtpRestarting, smtpRestartRequest, type SmtpRestartWorld } from "./smtp-restart.ts";

export const gatewayKinds = (world: SmtpRestartWorld) =>
  ({
    smtpRestart: kindOf((request) => smtpRestarting(world, smtpRestartRequest.parse(request).gatewayId), {
      waits: [],
      rollBackRefused: () => noWayBack.smtpRestart,
    }),
  }) satisfies Record<string, KindOfOperation>;

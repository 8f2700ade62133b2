/** The kinds of operation that rotation carries out. */
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { OVERLAP_CANCELED } from "./client-secret.ts";
import { type RotationRequest, rotationOf } from "./rotations.ts";
import type { RotationWorld } from "./world.ts";

export const rotationKinds = (world: Pick<RotationWorld, "stores" | "rotation" | "clock">) =>
  ({
    rotation: kindOf((request) => rotationOf(world, request as RotationRequest), {
      waits: [{ suffix: "", event: OVERLAP_CANCELED }],
      beside: true,
      rollBackRefused: () => noWayBack.rotation,
    }),
    renewal: kindOf((request) => rotationOf(world, request as RotationRequest), {
      waits: [],
      rollBackRefused: () => noWayBack.renewal,
    }),
  }) satisfies Record<string, KindOfOperation>;

/** The kind of operation that rotation carries out. */
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { OVERLAP_CANCELED } from "./orchestrator.ts";
import { type RotationRequest, rotationOf } from "./rotations.ts";
import type { RotationWorld } from "./world.ts";

export const rotationKinds = (world: Pick<RotationWorld, "stores" | "rotation">) =>
  ({
    rotation: kindOf((request) => rotationOf(world, request as RotationRequest), {
      waits: [{ suffix: "", event: OVERLAP_CANCELED }],
      beside: true,
      rollBackRefused: () =>
        "both secrets are good while it goes on, and the next look at the credential finishes it or makes another",
    }),
  }) satisfies Record<string, KindOfOperation>;

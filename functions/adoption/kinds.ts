/** The kind of operation that takes over what a person made. */
import { adoptionInputSchema } from "../../shared/api/adoption.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { adoptionOf } from "./http.ts";
import type { AdoptionWorld } from "./world.ts";

export const adoptionKinds = (world: AdoptionWorld) =>
  ({
    // By what is there now: whoever tries again has seen what became of the plan.
    adoption: kindOf((request) => adoptionOf(world, { ...adoptionInputSchema.safeParse(request).data, plan: undefined }), {
      waits: [],
      rollBackRefused: () => noWayBack.adoption,
    }),
  }) satisfies Record<string, KindOfOperation>;

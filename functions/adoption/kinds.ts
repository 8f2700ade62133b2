/** The kind of operation that takes over what a person made. */
import { adoptionInputSchema } from "../../shared/api/adoption.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { adoptionOf } from "./http.ts";
import type { AdoptionWorld } from "./world.ts";

export const adoptionKinds = (world: AdoptionWorld) =>
  ({
    // By what is there now: whoever tries again has seen what became of the plan.
    adoption: kindOf((request) => adoptionOf(world, { ...adoptionInputSchema.safeParse(request).data, plan: undefined }), {
      waits: [],
      rollBackRefused: () => "marks are all that it wrote, and they change nothing; adopt again, which goes on from there",
    }),
  }) satisfies Record<string, KindOfOperation>;

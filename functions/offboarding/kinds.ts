/** The kind of operation that offboarding carries out. */
import { offboardInputSchema } from "../../shared/api/offboarding.ts";
import { forwardingKinds } from "../../shared/desired/removals.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { offboardingOf } from "./http.ts";
import type { OffboardingWorld } from "./world.ts";

export const offboardingKinds = (world: Pick<OffboardingWorld, "offboardingPace" | "plans">) =>
  ({
    // Whoever tries again has seen what became of the plan.
    offboarding: kindOf((request) => offboardingOf(world, { ...offboardInputSchema.parse(request), plan: undefined }), {
      waits: [],
      rollBackRefused: ({ steps }) => {
        const gone = steps.filter(({ name, change }) => change === "removed" && !forwardingKinds.includes(name));
        return gone.length === 0 ? undefined : `${gone.map(({ title }) => title).join(", ")}: ${noWayBack.offboarding}`;
      },
    }),
  }) satisfies Record<string, KindOfOperation>;

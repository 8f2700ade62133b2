/** What offboarding needs of the world: the API's part, the clouds' clients, the durations that travel with each operation. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Authorities } from "../../shared/dns/authorities.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { RunbookWorld } from "../../shared/runbook/world.ts";
import type { LeavingPace } from "../../shared/proof/queues.ts";

export interface OffboardingWorld extends ApiWorld, RunbookWorld {
  /** The name servers of the domains themselves. */
  authorities: Authorities;
  offboardingPace: LeavingPace;
  plans: Plans;
  reportFailure(activity: string, error: unknown): void;
}

/** What drift needs of the world. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { ResourcePace } from "../../shared/durable/resources.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { ValidateConnector } from "../../shared/proof/gateways.ts";
import type { RunbookWorld } from "../../shared/runbook/world.ts";
import type { DriftPace } from "./schedule.ts";

export interface DriftWorld extends ApiWorld, RunbookWorld {
  pace: ResourcePace;
  driftPace: DriftPace;
  plans: Plans;
  validateOutboundConnector: ValidateConnector;
  reportFailure(activity: string, error: unknown): void;
}

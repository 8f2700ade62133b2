/** What adoption needs of the world: the API's part, and what a walk through the runbook reads from. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { ResourcePace } from "../../shared/durable/resources.ts";
import type { RunbookWorld } from "../../shared/runbook/world.ts";

export interface AdoptionWorld extends ApiWorld, RunbookWorld {
  pace: ResourcePace;
  reportFailure(activity: string, error: unknown): void;
}

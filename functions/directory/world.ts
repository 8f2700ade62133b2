/** What the directory needs of the world. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Patience } from "../../shared/durable/patience.ts";
import type { CloudEnvironment } from "../../shared/environment.ts";
import type { Graph } from "../../shared/graph/client.ts";

export interface DirectoryFunctions extends ApiWorld {
  environment: CloudEnvironment;
  graph: Graph;
  pace: { patience: Patience };
  reportFailure(activity: string, error: unknown): void;
}

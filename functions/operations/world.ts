/** What operations need of the world: the API's part, and what their steps over resources work with. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Azure } from "../../shared/azure/client.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { LeavingPace } from "../../shared/proof/queues.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";

export interface OperationsWorld extends ApiWorld {
  azure: Azure;
  certificates: Certificates;
  resources: Resources;
  offboardingPace: LeavingPace;
  reportFailure(activity: string, error: unknown): void;
}

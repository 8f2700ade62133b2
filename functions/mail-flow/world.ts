/** What bypass and restore need of the world: the API's part, Exchange Online, probe mails, and their durations. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { ProbeMails } from "../../shared/graph/mail.ts";
import type { ValidateConnector } from "../../shared/proof/gateways.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { MailFlowPace } from "./orchestrator.ts";

export interface MailFlowDoors extends ApiWorld {
  mailFlowPace: MailFlowPace;
  plans: Plans;
}

export interface MailFlowWorld extends MailFlowDoors {
  resources: Resources;
  probes: ProbeMails;
  validateOutboundConnector: ValidateConnector;
  reportFailure(activity: string, error: unknown): void;
}

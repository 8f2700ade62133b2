/** The activity that asks the blocklists about an address: whoever knows them provides it. */
import type { Screened } from "../dns/screening.ts";
import type { Work } from "../durable/resources.ts";

export interface ScreeningActivities {
  /** `evenBlind`: lists of which none can be believed are an answer, too. */
  screenAddress(asked: { work: Work; address: string; step?: string; evenBlind?: true }): Promise<Screened>;
}

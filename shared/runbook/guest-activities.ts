/** The activities that tell what a machine's document is made of: whoever knows the surroundings provides them. */
import type { MailRoute, MailRouteQuestion } from "../desired/mail-route.ts";
import type { GuestGeneration } from "../desired/state.ts";
import type { Work } from "../durable/resources.ts";

export interface GuestActivities {
  readMailRoute(wanted: MailRouteQuestion): Promise<MailRoute>;
  readGuestGeneration(of: { work: Work }): Promise<GuestGeneration>;
}

/** Blocklists' timer and delisting's queue as the app registers them, over the world of a test. */
import { registerOrchestrator, registerActivities } from "../../../shared/durable/register.ts";
import { registerQueue, registerTimer } from "../../../shared/triggers.ts";
import { pollBlocklists } from "../../../functions/blocklists/poll.ts";
import { createDelistingActivities } from "../../../functions/delisting/activities.ts";
import { delistAddress } from "../../../functions/delisting/orchestrator.ts";
import { acceptListing } from "../../../functions/delisting/queue.ts";
import { worldOfListings } from "../blocklists.ts";

const { world, deadLetters } = worldOfListings();

registerTimer("pollBlocklists", "%BLOCKLISTS_SCHEDULE%", () => pollBlocklists(world));
registerQueue("acceptListing", "delisting", (client) => acceptListing(world, client), deadLetters);
registerOrchestrator(delistAddress);
registerActivities(createDelistingActivities(world), world);

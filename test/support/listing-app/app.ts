/** Blocklists' timer, the door for heartbeats and delisting's queue as the app registers them, over the world of a test. */
import { endpoint } from "../../../shared/api/endpoint.ts";
import { registerHttp } from "../../../shared/api/register.ts";
import { registerOrchestrator, registerActivities } from "../../../shared/durable/register.ts";
import { registerQueue, registerTimer } from "../../../shared/triggers.ts";
import { pollBlocklists } from "../../../functions/blocklists/poll.ts";
import { createDelistingActivities } from "../../../functions/delisting/activities.ts";
import { delistAddress } from "../../../functions/delisting/orchestrator.ts";
import { acceptListing } from "../../../functions/delisting/queue.ts";
import { postHeartbeat } from "../../../functions/gateways/heartbeat.ts";
import { worldOfListings } from "../blocklists.ts";

const { world, queues } = worldOfListings();

registerTimer("pollBlocklists", "%BLOCKLISTS_SCHEDULE%", () => pollBlocklists(world));
registerHttp("postHeartbeat", endpoint("postHeartbeat", world, postHeartbeat(world)));
registerQueue("acceptListing", "delisting", (client) => acceptListing(world, client), queues);
registerOrchestrator(delistAddress);
registerActivities(createDelistingActivities(world), world);

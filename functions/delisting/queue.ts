/** Takes a confirmed listing from the queue: one case and one orchestration for it, however often and however late it comes. */
import type { DurableClient } from "durable-functions";
import { startOnce } from "../../shared/durable/start-once.ts";
import { caseIdOf, parseListing } from "../../shared/messages/listing.ts";
import type { MessageHandler } from "../../shared/triggers.ts";
import { delistAddress } from "./orchestrator.ts";
import { listTitleOf } from "./ways.ts";
import type { DelistingWorld } from "./world.ts";

/** A listing whose case is open finds it under way, an older one than the last case's is history, and one of nobody's is dropped. */
export const acceptListing =
  (world: DelistingWorld, client: DurableClient): MessageHandler =>
  async (message) => {
    const listing = parseListing(message);
    const { partnerId, tenantId, list, address, codes, since } = listing;
    const id = caseIdOf(listing);
    const { stores, clock, log, delistingPace: pace } = world;
    if (!(await stores.tenants.find(partnerId, tenantId))) {
      log.warning("a listing of a tenant that is no more was dropped", { partnerId, tenantId, list, address });
      return;
    }
    const opened = await stores.cases.open({
      id,
      partnerId,
      tenantId,
      address,
      list,
      listTitle: listTitleOf(
        list,
        world.blocklists.zones.find(({ id: known }) => known === list),
      ),
      codes,
      listedSince: since,
      deadline: new Date(clock.now() + pace.deadlineInSeconds * 1000).toISOString(),
    });
    if (opened.state === "closed") return;
    // Also when the case was there already: whoever opened it may have died before it was started.
    await startOnce(client, delistAddress, opened.id, { caseId: opened.id, partnerId, pace });
  };

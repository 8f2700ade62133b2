/** The doors to blocklists: which addresses they have, and which of them can be believed. */
import type { Handler } from "../../shared/api/endpoint.ts";
import type { ListingItem } from "../../shared/api/listing.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ListingRecord } from "../../shared/stores/listings.ts";
import type { BlocklistsWorld } from "./world.ts";

type Doors = Pick<BlocklistsWorld, "stores" | "signer" | "blocklists">;

/** GET /api/listings */
export const listListings =
  ({ stores, signer, blocklists }: Doors): Handler<"listListings"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.listings.listOf(partnerInScope(caller, query.partnerId), pageSize, after);
    // What an address had in the past is only remembered.
    const items = page.items.filter(({ sightings }) => Object.keys(sightings).length > 0);
    return { body: await pageBody({ ...page, items }, (record) => itemOf(record, blocklists), paging) };
  };

/** GET /api/blocklists */
export const listBlocklists =
  ({ stores, blocklists }: Doors): Handler<"listBlocklists"> =>
  async () => {
    const known = new Map((await stores.listings.healths()).map((one) => [one.list, one]));
    const value = blocklists.zones.map(({ id, title, weight }) => {
      const { health = "unknown" as const, since } = known.get(id) ?? {};
      return { id, title, weight, health, blind: health !== "ok", ...(since === undefined ? {} : { since }) };
    });
    return { body: { value } };
  };

const itemOf = ({ address, tenantId, sightings }: ListingRecord, { zones }: Doors["blocklists"]): ListingItem => ({
  address,
  tenantId,
  lists: Object.entries(sightings).map(([list, { state, codes, since }]) => {
    const zone = zones.find(({ id }) => id === list);
    return {
      list,
      title: zone?.title ?? list,
      ...(zone ? { weight: zone.weight } : {}),
      state,
      codes: codes.map((code) => ({ code, ...(zone?.codes[code] ? { meaning: zone.codes[code].meaning } : {}) })),
      since,
    };
  }),
});

/** What the blocklists' timer and doors need of the world. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Blocklists } from "../../shared/dns/blocklists.ts";
import type { Sender } from "../../shared/messages/sender.ts";

/** A public address that a tenant's mail leaves from. */
export interface EgressAddress {
  partnerId: string;
  tenantId: string;
  address: string;
  /** Since when it is the gateway's; undefined for longer than is known. */
  since?: string | undefined;
}

export interface BlocklistsWorld extends ApiWorld {
  blocklists: Blocklists;
  /** Of the whole fleet. */
  addresses(): Promise<EgressAddress[]>;
  sender: Pick<Sender, "send">;
  listingPace: ListingPace;
}

export interface ListingPace {
  /** Between the two sightings that make a listing, and between the clean answers that end one. */
  confirmAfterInSeconds: number;
  /** An address that no list has is asked about this often. */
  pollEveryInSeconds: number;
}

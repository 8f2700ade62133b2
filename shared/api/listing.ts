/** Blocklists and listings in the API: which lists are asked and can be believed, and which addresses they have. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";

/** `unmapped`: the list answers something that its definition doesn't know, which is shown and alarms nobody. */
export const sightingStates = ["suspected", "listed", "clearing", "unmapped"] as const;
/** `suspicious`: it suddenly lists a great part of the fleet, which says more about the list than about the fleet. */
export const healths = ["ok", "refused", "listsEverything", "listsNothing", "broken", "unreachable", "suspicious"] as const;
const weights = ["critical", "high", "medium", "low", "informational"] as const;

export const listingSchema = z.object({
  address: z.ipv4(),
  tenantId: tenantIdSchema,
  lists: z.array(
    z.object({
      list: z.string(),
      title: z.string(),
      weight: z.enum(weights).optional(),
      state: z.enum(sightingStates),
      codes: z.array(z.object({ code: z.string(), meaning: z.string().optional() })),
      since: z.iso.datetime().describe("When it was first seen."),
    }),
  ),
});

export const blocklistSchema = z.object({
  id: z.string(),
  title: z.string(),
  weight: z.enum(weights),
  health: z.enum([...healths, "unknown"]).describe("unknown until it was asked for the first time."),
  blind: z.boolean().describe("It fails its own test, so it neither finds nor clears a listing at the moment."),
  since: z.iso.datetime().optional(),
});

export const blocklistsSchema = z.object({ value: z.array(blocklistSchema) });

export type SightingState = (typeof sightingStates)[number];
export type Health = (typeof healths)[number];
export type ListingItem = z.output<typeof listingSchema>;
export type BlocklistItem = z.output<typeof blocklistSchema>;

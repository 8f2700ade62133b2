/** A partner in the API: the managed service provider whose client application may call it. */
import * as z from "zod";

export const partnerIdSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{1,38}[a-z0-9]$/, "must be 3 to 40 lower-case letters, digits and dashes, beginning with a letter");

const guid = z.guid("must be a GUID").transform((value) => value.toLowerCase());

export const partnerInputSchema = z.strictObject({
  displayName: z.string().trim().min(1).max(120),
  entraTenantId: guid.describe("`tid` of the partner's tokens."),
  clientId: guid.describe("`azp` of the partner's tokens."),
});

export const partnerSchema = z.object({
  id: partnerIdSchema,
  displayName: z.string(),
  entraTenantId: z.string(),
  clientId: z.string(),
  etag: z.string(),
  createdAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
});

export type PartnerInput = z.output<typeof partnerInputSchema>;
export type Partner = z.output<typeof partnerSchema>;

/** A tenant's directory in the API: what of it is published for the gateways, and what waits for a person. */
import * as z from "zod";

export const directorySchema = z.object({
  state: z.enum(["none", "reading", "held", "published"]).describe("`held`: too much is gone; a person decides."),
  published: z
    .object({
      at: z.iso.datetime().describe("When its content last became another."),
      users: z.int().min(0),
      groups: z.int().min(0),
      bytes: z.int().min(0),
      hash: z.string().describe("SHA-256 of the LDIF document, hexadecimal."),
    })
    .optional(),
  held: z
    .object({
      lost: z.int().min(1).describe("Users and groups that were published and aren't there any more."),
      of: z.int().min(1),
      at: z.iso.datetime(),
    })
    .optional(),
  lookedAt: z.iso.datetime().optional().describe("When Microsoft 365 was last asked."),
});

export const directoryRefreshSchema = z.strictObject({
  lossAccepted: z.boolean().default(false).describe("Publishes what is held: so many really left."),
});

export type DirectoryState = z.output<typeof directorySchema>;

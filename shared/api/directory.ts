/** A tenant's directory in the API: what of it is published for the gateways, and what waits for a person. */
import * as z from "zod";
import { gatewayIdSchema } from "./gateway-id.ts";

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
  machines: z
    .array(
      z.object({
        gatewayId: gatewayIdSchema,
        state: z
          .enum(["current", "older", "none"])
          .describe("What the machine said last: it has the published document, another one, or none."),
        fetchedAt: z.iso.datetime().optional().describe("When it put its document there, by its own clock."),
      }),
    )
    .optional()
    .describe("Machines that fetch the document; left out where the spec has no directory.file."),
  held: z
    .object({
      lost: z.int().min(1).describe("Users and groups that were published and aren't there any more."),
      of: z.int().min(1),
      at: z.iso.datetime(),
    })
    .optional(),
  lookedAt: z.iso.datetime().optional().describe("When Microsoft 365 was last asked."),
});

/** `Range` of RFC 9110, with one range that has both ends. */
export const byteRangeSchema = z
  .string({ error: "is needed: Range: bytes=0-4194303 asks for the first piece" })
  .regex(/^bytes=\d{1,12}-\d{1,12}$/, "must be one range with both ends, such as bytes=0-4194303")
  .transform((range) => {
    const [first = 0, last = 0] = range.slice("bytes=".length).split("-").map(Number);
    return { first, last };
  })
  .refine(({ first, last }) => first <= last, "must end where it begins, or later");

export const directoryRefreshSchema = z.strictObject({
  lossAccepted: z.boolean().default(false).describe("Publishes what is held: so many really left."),
});

export type DirectoryState = z.output<typeof directorySchema>;

/** A mail recipient in the API: a person or a desk that is told by mail what changed, once it has said that it wants to be. */
import * as z from "zod";
import { partnerIdSchema } from "./partner.ts";
import { eventTypesSchema } from "./webhook.ts";

/** Chosen by the partner, and of the same form as its own id. */
export const mailRecipientIdSchema = partnerIdSchema;

const timeOfDaySchema = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day such as 22:00");

const timeZoneSchema = z
  .string()
  .max(64)
  .refine(knownZone, { message: "must be a time zone of the IANA database, such as Europe/Berlin" });

export const mailRecipientInputSchema = z.strictObject({
  address: z.email().max(254).describe("Who gets mail there has to confirm it first."),
  types: eventTypesSchema,
  digestInMinutes: z
    .int()
    .min(5)
    .max(1440)
    .default(15)
    .describe("After a mail, what happens in this time comes in one mail at its end."),
  timeZone: timeZoneSchema.default("UTC").describe("In which times are told and quiet hours are meant."),
  quietHours: z
    .strictObject({ from: timeOfDaySchema, to: timeOfDaySchema })
    .refine(({ from, to }) => from !== to, { message: "must not begin when they end", path: ["to"] })
    .optional()
    .describe("Nothing comes then but what can't wait; the rest comes when they are over."),
  description: z.string().trim().max(200).optional(),
  enabled: z.boolean().default(true).describe("What happens while it is false is not told later."),
});

export const mailRecipientStates = ["unconfirmed", "confirmed", "unsubscribed"] as const;

export const mailRecipientSchema = z.object({
  id: mailRecipientIdSchema,
  address: z.string(),
  types: z.array(z.string()).optional(),
  digestInMinutes: z.int(),
  timeZone: z.string(),
  quietHours: z.object({ from: z.string(), to: z.string() }).optional(),
  description: z.string().optional(),
  enabled: z.boolean(),
  state: z
    .enum(mailRecipientStates)
    .describe("Only to a confirmed one anything is told; unsubscribed: whoever reads the mails wants none any more."),
  confirmation: z
    .object({ sentAt: z.iso.datetime().optional(), expiresAt: z.iso.datetime() })
    .optional()
    .describe("The code that was mailed to the address and is waited for."),
  mail: z.object({
    waiting: z.int().min(0).optional().describe("Events that are not mailed yet; left out in lists."),
    notBefore: z.iso.datetime().optional().describe("After failures, and at a limit: no mail comes earlier."),
    lastSentAt: z.iso.datetime().optional(),
    failures: z.int().min(0).describe("In a row."),
    lastFailure: z.object({ at: z.iso.datetime(), reason: z.string() }).optional(),
  }),
  etag: z.string(),
  createdAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
});

export const confirmationInputSchema = z.strictObject({
  // So called that logs know it for a secret.
  confirmationCode: z.string().trim().min(1).max(20).describe("As it stands in the mail."),
});

/** The link at the end of each mail. */
export const unsubscribeQuerySchema = z.looseObject({
  partner: z.string().max(100).default(""),
  recipient: z.string().max(100).default(""),
  code: z.string().max(100).default(""),
});

export type MailRecipientInput = z.output<typeof mailRecipientInputSchema>;
export type MailRecipient = z.output<typeof mailRecipientSchema>;

function knownZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

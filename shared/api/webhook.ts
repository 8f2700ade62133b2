/** A webhook in the API: where a partner is told what changed, and what became of each telling. */
import * as z from "zod";
import { eventTypeSchema } from "./event.ts";
import { partnerIdSchema } from "./partner.ts";

/** Chosen by the partner, and of the same form as its own id. */
export const webhookIdSchema = partnerIdSchema;

/** One type, or all that begin with some words: `gateway.*`. */
const typePatternSchema = z.union([
  eventTypeSchema,
  z.string().regex(/^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*){0,4}\.\*$/, "must be an event's type, or its first words and .*"),
]);

/** What a webhook is told, and a mail recipient. */
export const eventTypesSchema = z
  .array(typePatternSchema)
  .min(1)
  .max(50)
  .optional()
  .describe("Which events to tell, such as gateway.health.changed or task.*; left out, all.");

export const webhookInputSchema = z.strictObject({
  url: z.string().min(1).describe("Https, a name in public DNS, port 443, no credentials."),
  types: eventTypesSchema,
  description: z.string().trim().max(200).optional(),
  enabled: z.boolean().default(true),
});

export const webhookSchema = z.object({
  id: webhookIdSchema,
  url: z.string(),
  types: z.array(z.string()).optional(),
  description: z.string().optional(),
  enabled: z.boolean(),
  disabledReason: z.enum(["Asked", "Gone"]).optional().describe("Gone: the receiver has answered 410."),
  circuit: z.object({
    state: z.enum(["closed", "open"]).describe("Open: it has failed so often that nothing is sent before retryAt."),
    failures: z.int().min(0).describe("In a row."),
    retryAt: z.iso.datetime().optional(),
    lastFailure: z.object({ at: z.iso.datetime(), reason: z.string() }).optional(),
  }),
  secret: z.string().optional().describe("Shown once: when it was made. Begins with whsec_."),
  overlapEndsAt: z.iso.datetime().optional().describe("Until then each message is signed with the former secret too."),
  etag: z.string(),
  createdAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
});

export const rotateSecretInputSchema = z.strictObject({
  compromised: z.boolean().default(false).describe("The former secret signs nothing more, from now on."),
});

export const deliveryIdSchema = z.string().regex(/^\d{13}-[A-Za-z0-9._-]{1,200}$/, "must be the id of a delivery");

export const deliveryStates = ["pending", "delivered", "failed"] as const;

export const deliverySchema = z.object({
  id: deliveryIdSchema,
  eventId: z.string().describe("What the receiver gets as webhook-id."),
  type: z.string(),
  subject: z.string(),
  tenantId: z.string().optional(),
  at: z.iso.datetime().describe("When it happened."),
  state: z.enum(deliveryStates),
  reason: z.string().optional().describe("Why it failed."),
  nextTryAt: z.iso.datetime().optional(),
  tries: z
    .array(
      z.object({
        at: z.iso.datetime(),
        outcome: z.enum(["delivered", "failed"]),
        status: z.int().optional().describe("What the receiver answered."),
        reason: z.string().optional(),
        durationInMilliseconds: z.int().min(0),
      }),
    )
    .describe("The newest twenty, oldest first."),
});

export type WebhookInput = z.output<typeof webhookInputSchema>;
export type Webhook = z.output<typeof webhookSchema>;
export type Delivery = z.output<typeof deliverySchema>;

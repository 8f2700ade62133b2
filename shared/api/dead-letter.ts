/** A dead letter in the API: a message that could not be handled, why, and whom it is about; never what is in it. */
import * as z from "zod";
import { queueNames } from "../messages/service-bus.ts";

export const deadLetterIdSchema = z
  .string()
  .regex(/^[a-z]{1,40}-\d{1,19}$/, "must be the id of a dead letter, as GET /api/dead-letters lists them");

export const deadLetterSchema = z.object({
  id: deadLetterIdSchema,
  queue: z.enum(queueNames),
  messageId: z.string(),
  reason: z.string().describe("A stable code: ours, or MaxDeliveryCountExceeded where every delivery failed."),
  description: z.string().optional(),
  enqueuedAt: z.iso.datetime().describe("When it came to its queue."),
  tries: z.int().min(0).describe("How often it was handed to the app."),
  partnerId: z.string().optional().describe("Left out where the message does not say."),
  tenantId: z.string().optional(),
});

export const discardInputSchema = z.strictObject({ reason: z.string().trim().min(1).max(500) });

/** Replacing a gateway's public address in the API. */
import * as z from "zod";
import { insistedPlanSchema } from "./plan.ts";

export const addressInputSchema = z.strictObject({
  reason: z.string().trim().min(1).max(500).optional().describe("Why: it is in the events and in the audit log."),
  back: z.boolean().optional().describe("To the address that was left last, as long as it is held."),
  plan: insistedPlanSchema,
});

export type AddressInput = z.output<typeof addressInputSchema>;

/** Bypass and restore in the API: of one tenant, or of all tenants of a gateway or a partner. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { errorDetailSchema } from "./error.ts";
import { insistedPlanSchema } from "./plan.ts";
import { operationSummarySchema } from "./operation.ts";

export const bypassInputSchema = z.strictObject({
  reason: z
    .string({ error: 'must say why, such as { "reason": "the gateway does not answer" }' })
    .trim()
    .min(3)
    .max(500)
    .describe("Why mail is to go round the gateway: it stands in the tenant's conditions and in events."),
});

/** Of one tenant: of many, each would have a plan of its own. */
export const tenantBypassInputSchema = bypassInputSchema.extend({ plan: insistedPlanSchema });

/** What became of one tenant of those that were meant. */
export const tenantOutcomeSchema = z.object({
  tenantId: tenantIdSchema,
  outcome: z
    .enum(["accepted", "underway", "already", "refused"])
    .describe(
      "accepted: its operation has begun. underway: one that does the same runs already. already: its mail goes that way. refused: error says why.",
    ),
  operation: operationSummarySchema.optional(),
  error: errorDetailSchema.optional(),
});

export const tenantOutcomesSchema = z.object({ value: z.array(tenantOutcomeSchema) });

export type BypassInput = z.output<typeof bypassInputSchema>;
export type TenantOutcome = z.output<typeof tenantOutcomeSchema>;

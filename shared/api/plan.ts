/** A plan in the API: what an operation would do, resource by resource, found out by reading only. */
import * as z from "zod";
import { gatewayIdSchema } from "./gateway-id.ts";
import { domainName, tenantIdSchema, tenantSpecSchema } from "../tenants/spec.ts";

export const plannedActions = ["create", "update", "replace", "remove", "none", "blocked", "unknown"] as const;

export const plannedResourceSchema = z.object({
  kind: z.string(),
  name: z.string(),
  action: z.enum(plannedActions),
  changes: z.array(z.object({ path: z.string(), from: z.unknown().optional(), to: z.unknown().optional() })),
  reason: z.string().optional().describe("Why it is blocked or unknown, or what replacing it would interrupt."),
});

export const findingSchema = z.object({
  code: z.string(),
  severity: z.enum(["error", "warning", "information"]),
  message: z.string(),
  remedy: z.string(),
});

export const checkStatuses = ["pass", "fail", "unknown"] as const;

export const checkSchema = z.object({
  code: z.string().describe("What it would fail with."),
  status: z.enum(checkStatuses),
  message: z.string().describe("The evidence."),
  remedy: z.string().optional(),
  target: z.string().optional().describe("The field that it is about."),
});

/** Operations that can be planned. */
export const plannedOperations = [
  "onboarding",
  "promotion",
  "demotion",
  "repair",
  "bypass",
  "restore",
  "addressReplacement",
  "certificateRenaming",
  "offboarding",
] as const;

export const plannedTaskSchema = z.object({
  kind: z.string().describe("As in GET /api/tasks, where it is to be found once the operation runs."),
  message: z.string(),
  remedy: z.string().describe("What the person has to do."),
  waits: z.boolean().describe("Whether the operation waits for it, or goes on without."),
});

export const planSchema = z.object({
  tenantId: tenantIdSchema,
  operation: z.enum(plannedOperations),
  hash: z
    .string()
    .describe(
      "Stands for spec and observed state; the operation that is started with it as `plan` does exactly this, or nothing.",
    ),
  estimatedDuration: z
    .string()
    .describe("What it typically takes on the critical path, ISO 8601; what people take comes on top."),
  resources: z.array(plannedResourceSchema),
  checks: z.array(checkSchema).describe("What would stop the operation halfway, asked before anything is made."),
  findings: z.array(findingSchema),
  tasks: z.array(plannedTaskSchema).describe("What only people can do."),
});

export const repairedStepsSchema = z
  .array(z.string().min(1).max(64))
  .min(1)
  .max(100)
  .optional()
  .describe("Which differences a repair brings back; without it, all.");

export const planInputSchema = z.strictObject({
  operation: z.enum(plannedOperations).optional().describe("onboarding, where it is left out."),
  spec: tenantSpecSchema
    .optional()
    .describe("Plans an onboarding as if the tenant had this spec; nothing of it is stored. Its plan holds once it is."),
  steps: repairedStepsSchema,
  gateway: gatewayIdSchema.optional().describe("Whose address is replaced; may be left out where the tenant has one gateway."),
  back: z
    .boolean()
    .optional()
    .describe("Of a replacement: to the address that was left last. Of a renaming: to the name before."),
  certificateName: domainName.optional().describe("Of a renaming: what the gateways' certificate is to be for."),
});

export const insistedPlanSchema = z
  .string()
  .max(128)
  .optional()
  .describe("Hash of a plan of this operation: refused with PlanOutdated, saying what changed, when it no longer holds.");

export const applyInputSchema = z.strictObject({ plan: insistedPlanSchema });

export type PlanInput = z.input<typeof planInputSchema>;
export type PlannedAction = (typeof plannedActions)[number];
export type PlannedOperation = (typeof plannedOperations)[number];
export type PlannedTask = z.output<typeof plannedTaskSchema>;
export type PlannedResource = z.output<typeof plannedResourceSchema>;
export type Check = z.output<typeof checkSchema>;
export type Finding = z.output<typeof findingSchema>;
export type Plan = z.output<typeof planSchema>;

/** A plan in the API: what an operation would do, resource by resource, found out by reading only. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";

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

export const planSchema = z.object({
  tenantId: tenantIdSchema,
  hash: z.string().describe("Stands for this plan; send it along to have exactly this done."),
  resources: z.array(plannedResourceSchema),
  checks: z.array(checkSchema).describe("What would stop the operation halfway, asked before anything is made."),
  findings: z.array(findingSchema),
});

export const onboardInputSchema = z.strictObject({
  planHash: z.string().max(128).optional().describe("Refused with PlanChanged when the world has changed since that plan."),
});

export type PlannedAction = (typeof plannedActions)[number];
export type PlannedResource = z.output<typeof plannedResourceSchema>;
export type Check = z.output<typeof checkSchema>;
export type Finding = z.output<typeof findingSchema>;
export type Plan = z.output<typeof planSchema>;

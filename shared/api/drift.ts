/** Drift in the API: how a standing tenant's clouds differ from what is wanted, property by property, and since when. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { findingSchema, insistedPlanSchema, repairedStepsSchema } from "./plan.ts";

export const driftStatuses = ["notLooked", "inSync", "drifted", "unknown"] as const;
export const driftActions = ["create", "update", "replace", "remove", "blocked"] as const;

export const culpritSchema = z.object({
  who: z.string().optional().describe("The account or the product, where the cloud tells."),
  at: z.string().optional().describe("When the object was last changed, as the cloud tells it."),
  evidence: z.string().describe("What that is concluded from."),
});

export const differenceSchema = z.object({
  step: z.string().describe("Names it in requests to repair."),
  kind: z.string(),
  title: z.string(),
  action: z
    .enum(driftActions)
    .describe("What would bring it back. create: it is missing. blocked: somebody else's object has its name."),
  repair: z.enum(["repair", "onboard", "person"]).describe("Who brings it back: POST …/repair, POST …/onboard, or a person."),
  changes: z.array(
    z.object({
      path: z.string(),
      expected: z.unknown().optional(),
      actual: z.unknown().optional(),
      since: z.iso.datetime().describe("When it was first seen so."),
    }),
  ),
  since: z.iso.datetime().describe("When it was first seen to differ."),
  reason: z.string().optional(),
  culprit: culpritSchema.optional(),
  contested: z.boolean().optional().describe("It was brought back as often as a day allows, and differs again."),
});

export const unreadSchema = z.object({
  step: z.string(),
  kind: z.string(),
  title: z.string(),
  reason: z.string(),
});

export const driftSchema = z.object({
  tenantId: tenantIdSchema,
  status: z.enum(driftStatuses).describe("unknown: nothing is seen to differ, and not everything could be read."),
  lookedAt: z.iso.datetime().optional(),
  differences: z.array(differenceSchema),
  unread: z.array(unreadSchema).describe("Neither differing nor as wanted: it could not be read."),
  findings: z.array(findingSchema).describe("What meets the mail flow and isn't ours to change."),
});

export const repairInputSchema = z.strictObject({
  steps: repairedStepsSchema,
  plan: insistedPlanSchema,
});

export type DriftStatus = (typeof driftStatuses)[number];
export type Culprit = z.output<typeof culpritSchema>;
export type Difference = z.output<typeof differenceSchema>;
export type Unread = z.output<typeof unreadSchema>;
export type Drift = z.output<typeof driftSchema>;

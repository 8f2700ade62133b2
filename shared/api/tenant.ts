/** A tenant in the API: a partner's customer, what is wanted for it and how it stands. */
import * as z from "zod";
import { tenantIdSchema, tenantSpecSchema } from "../tenants/spec.ts";
import { checkSchema } from "./plan.ts";

export const stages = ["registered", "onboarding", "pilot", "live", "bypassed", "offboarding", "gone"] as const;

export const conditionSchema = z.object({
  type: z.string().describe("Such as Ready, ConsentGranted, AzureAccessGranted, MailFlowConnected."),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string(),
  message: z.string(),
  since: z.iso.datetime(),
});

export const tenantSchema = z.object({
  id: tenantIdSchema,
  spec: tenantSpecSchema,
  stage: z.enum(stages),
  conditions: z.array(conditionSchema),
  etag: z.string(),
  createdAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
  links: z.object({
    self: z.url(),
    consent: z.url(),
    operations: z.url(),
    /** The operation that is under way, or the last one. */
    operation: z.url().optional(),
  }),
});

export const consentSchema = z.object({
  url: z.url().describe("For an administrator of the customer's Microsoft 365; opens Entra's consent page."),
  expiresAt: z.iso.datetime(),
});

export const ucmSchema = z.object({
  checkScript: z
    .string()
    .describe("PowerShell for an administrator of the customer's Exchange: only looks, and posts what it found."),
  setScript: z.string().describe("PowerShell that sets what is missing."),
  expiresAt: z.iso.datetime().describe("Until when the check script can post its one report."),
  report: z
    .object({ at: z.iso.datetime(), checks: z.array(checkSchema) })
    .optional()
    .describe("What the last report said."),
});

export const ucmReportInputSchema = z.strictObject({
  state: z.string().max(4096),
  report: z.base64().max(20_000),
  signature: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits"),
});
export const ucmReportSchema = z.object({ tenantId: tenantIdSchema, at: z.iso.datetime() });

export type Stage = (typeof stages)[number];
export type Condition = z.output<typeof conditionSchema>;
export type Tenant = z.output<typeof tenantSchema>;
export type Consent = z.output<typeof consentSchema>;

/** Adoption in the API: an installation that a person made by the manual, as it was found, and what taking it over would do. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { findingSchema, insistedPlanSchema } from "./plan.ts";

const chosen = z.string().trim().min(1).max(400).optional();

/** Where several could be meant: which one is. */
export const adoptionChoices = {
  address: chosen.describe("The gateway's public address, or its name: where several machines of the subscription get mail."),
  inboundConnector: chosen.describe("Name or GUID of the connector by which Microsoft 365 accepts the gateway's mail."),
  outboundConnector: chosen.describe("Name or GUID of the connector by which Microsoft 365 delivers to the gateway."),
  forwardingRule: chosen.describe("Name or GUID of the rule that sends mail to the gateway."),
  approvalRule: chosen.describe("Name or GUID of the rule that lets handled mail pass."),
};

export const adoptionInputSchema = z.strictObject({ ...adoptionChoices, plan: insistedPlanSchema });

export const foundStates = ["found", "missing", "ambiguous", "foreign", "unknown"] as const;

export const adoptedResourceSchema = z.object({
  step: z.string(),
  kind: z.string(),
  title: z.string(),
  state: z
    .enum(foundStates)
    .describe("ambiguous: several could be meant. foreign: it carries another tenant's marks. unknown: it could not be read."),
  name: z.string().optional().describe("What it is called there."),
  marks: z.boolean().describe("Whether an adoption would write our mark to it: a tag, or a comment. It writes nothing else."),
  differences: z
    .array(z.object({ path: z.string(), found: z.unknown().optional(), ours: z.unknown().optional() }))
    .describe("Where it is other than what an onboarding would make: it stays as it was found."),
  candidates: z.array(z.string()).optional().describe("Those that could be meant."),
  reason: z.string().optional(),
});

export const adoptionSchema = z.object({
  tenantId: tenantIdSchema,
  hash: z
    .string()
    .describe("Stands for spec and observed state: an adoption that is started with it as `plan` does this, or nothing."),
  possible: z.boolean().describe("Whether an adoption may begin; else findings of severity error say why not."),
  stage: z.enum(["pilot", "live"]).optional().describe("What mail really does: live, where the rule concerns everybody's."),
  resources: z.array(adoptedResourceSchema),
  notManaged: z
    .array(z.object({ step: z.string(), kind: z.string(), title: z.string() }))
    .describe("What such an installation doesn't have: POST …/plan shows what an onboarding would add."),
  findings: z.array(findingSchema),
});

export type AdoptionChoices = { [Choice in keyof typeof adoptionChoices]?: string | undefined };
export type AdoptionInput = z.output<typeof adoptionInputSchema>;
export type AdoptedResource = z.output<typeof adoptedResourceSchema>;
export type Adoption = z.output<typeof adoptionSchema>;

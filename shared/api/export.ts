/** What is kept of a tenant before it is taken away: all that stood, so that a person could make it again by hand. No secret is in it. */
import * as z from "zod";
import { tenantIdSchema, tenantSpecSchema } from "../tenants/spec.ts";
import { auditEntrySchema } from "./audit.ts";
import { findingSchema } from "./plan.ts";
import { stages } from "./tenant.ts";

export const exportedObjectSchema = z.object({
  kind: z.string(),
  step: z.string(),
  title: z.string(),
  wanted: z.unknown().describe("As the spec wanted it. Secrets appear as references."),
  actual: z.unknown().optional().describe("As the cloud showed it; left out where it was not there."),
  reason: z.string().optional().describe("Why it could not be what is wanted: an object of that name is somebody else's."),
});

export const exportSchema = z.object({
  tenantId: tenantIdSchema,
  operationId: z.string().describe("The offboarding that it was made for."),
  at: z.iso.datetime(),
  stage: z.enum(stages).describe("Before the offboarding."),
  spec: tenantSpecSchema,
  names: z.unknown().describe("What objects in Azure are called."),
  objects: z.array(exportedObjectSchema).describe("In the order in which a person could make them again."),
  byHand: z.array(z.string()).describe("What no object tells and whoever makes it again has to do, in that order."),
  findings: z.array(findingSchema).describe("What met the mail flow and isn't ours."),
  spf: z.array(
    z.object({
      domain: z.string(),
      records: z.array(z.string()).describe("As the domain's own name servers said; none where there was none."),
    }),
  ),
  audit: z.array(auditEntrySchema).describe("The whole log until then, newest first."),
});

export type TenantExport = z.output<typeof exportSchema>;

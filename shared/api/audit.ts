/** The audit log in the API: who changed what of a tenant, what it was before and after, and what came of it. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { operationIdSchema } from "./operation.ts";

export const auditOutcomes = ["Started", "Pending", "Succeeded", "Failed"] as const;

/** In a partner's place: the log of what operators do that is about no partner. No partner's id begins with an underscore. */
export const OPERATORS = "_operators";

export const auditActorSchema = z.object({
  kind: z.enum(["partner", "operator", "orchestration", "timer"]),
  entraTenantId: z.string().optional().describe("Of a caller's token."),
  clientId: z.string().optional().describe("The application that called."),
});

export const auditEntrySchema = z.object({
  sequence: z.number().int().describe("Counts the chain's entries from 1, without a gap."),
  at: z.iso.datetime(),
  actor: auditActorSchema,
  tenantId: tenantIdSchema.optional(),
  operationId: operationIdSchema.optional(),
  step: z.string().optional().describe("Of the operation."),
  action: z.string().describe("What was done: create, update, remove, or the name of the API's call."),
  target: z.object({ kind: z.string(), name: z.string().optional() }),
  before: z
    .object({
      state: z.enum(["absent", "present"]),
      blob: z.string().optional().describe("The operation's image of what was there."),
      hash: z.string().optional().describe("SHA-256 of that image."),
    })
    .optional(),
  changes: z
    .array(z.object({ path: z.string(), from: z.unknown().optional(), to: z.unknown().optional() }))
    .optional()
    .describe("Secrets appear as references or fingerprints, what is long as its SHA-256."),
  request: z.unknown().optional().describe("The body that the caller sent."),
  outcome: z
    .enum(auditOutcomes)
    .describe("Started is written before the change itself; Pending says that it was sent and its end is still to come."),
  started: z.number().int().optional().describe("The entry in which this began."),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  requestIds: z.array(z.string()).optional().describe("The clouds' own ids of the requests that changed something."),
  previousHash: z.string().describe("Hash of the entry before this one."),
  hash: z.string(),
});

export type AuditActor = z.output<typeof auditActorSchema>;
export type AuditEntry = z.output<typeof auditEntrySchema>;

/** A credential in the API: dates and numbers, never the secret. */
import * as z from "zod";
import { credentialNames } from "../vault/credential-names.ts";
import { domainName } from "../tenants/spec.ts";
import { operationIdSchema } from "./operation.ts";
import { insistedPlanSchema } from "./plan.ts";

/**
 * `missing`: it was never made. `current`: nothing is to be done. `due`: the next sweep replaces it. `rotating`: gateways are being given the
 * next one. `overlapping`: the one before is still valid.
 */
export const credentialStates = ["missing", "current", "due", "rotating", "overlapping"] as const;

export const credentialSchema = z.object({
  name: z.enum(credentialNames),
  state: z.enum(credentialStates),
  /** Counts rotations. */
  generation: z.int().min(1),
  version: z.string().optional().describe("The current one's version in the tenant's vault, which is no secret."),
  expiresAt: z.iso.datetime().optional().describe("Left out before the first one was made, and where it never expires."),
  lastRotatedAt: z.iso.datetime().optional(),
  nextRotationAt: z.iso.datetime().optional().describe("From then on it is due; left out where it is only rotated on request."),
  overlapping: z.boolean().describe("The one before is still valid."),
  operationId: operationIdSchema.optional().describe("The rotation under way."),
  lastUpdatedAt: z.iso.datetime(),
});

export const credentialListSchema = z.object({ value: z.array(credentialSchema) });

export const rotateInputSchema = z.strictObject({
  emergency: z
    .boolean()
    .optional()
    .describe(
      "It is compromised: no wait for whoever still uses the old one, which is refused as soon as the gateways have the new one.",
    ),
  back: z
    .boolean()
    .optional()
    .describe(
      "Of `smtpCertificate`, while gateways keep the one before it: they show that one again, and never this one. While its name is being changed, and that has ended halfway: back to the name that it has.",
    ),
  certificateName: domainName
    .optional()
    .describe(
      "Of `smtpCertificate`: the next one is for this name, and connectors accept both until all gateways show it. One of the tenant's domains, or a name below it.",
    ),
  plan: insistedPlanSchema,
});

/** A credential in the API: dates and numbers, never the secret nor where it is. */
import * as z from "zod";
import { credentialNames } from "../vault/credential-names.ts";
import { operationIdSchema } from "./operation.ts";

export const credentialSchema = z.object({
  name: z.enum(credentialNames),
  /** Counts rotations. */
  generation: z.int().min(1),
  expiresAt: z.iso.datetime().optional().describe("Left out before the first one was made."),
  overlapping: z.boolean().describe("The one before is still valid."),
  operationId: operationIdSchema.optional().describe("The rotation under way."),
  lastUpdatedAt: z.iso.datetime(),
});

export const credentialListSchema = z.object({ value: z.array(credentialSchema) });

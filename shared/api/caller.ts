/** Who calls, as `GET /api/me` shows it. */
import * as z from "zod";
import { partnerIdSchema } from "./partner.ts";

export const meSchema = z.object({
  role: z.enum(["Partner", "Operator"]),
  partnerId: partnerIdSchema.optional(),
  displayName: z.string().optional(),
  entraTenantId: z.string(),
  clientId: z.string(),
});

export type Me = z.output<typeof meSchema>;

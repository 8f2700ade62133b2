/** What is said when a tenant is to be taken away. */
import * as z from "zod";
import { insistedPlanSchema } from "./plan.ts";

export const offboardInputSchema = z.strictObject({
  confirm: z
    .string({ error: 'must be the tenant\'s id once more, such as { "confirm": "contoso" }' })
    .max(40)
    .describe("The tenant's id once more: nothing brings it back."),
  deleteDatabases: z
    .boolean()
    .optional()
    .describe("The databases in Azure SQL go too; asked for where the spec has them, since what is in them is the customer's."),
  abandonQueues: z
    .boolean()
    .optional()
    .describe("Goes on although a gateway can't say that its queue is empty: mail that waits in it is lost."),
  export: z
    .boolean()
    .optional()
    .describe("First keeps what stands, for GET …/export; where that can't be read in full, nothing is changed."),
  plan: insistedPlanSchema,
});

export type OffboardInput = z.output<typeof offboardInputSchema>;

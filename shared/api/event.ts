/** An event in the API: something changed, said once. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";

/** Lower-case words with dots: what it is about first, then what happened. */
export const eventTypeSchema = z
  .string()
  .regex(/^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*){1,5}$/, "must be an event's type, such as gateway.health.changed");

export const eventSchema = z.object({
  id: z.string().describe("The same event has the same id, however often it is seen."),
  type: eventTypeSchema,
  tenantId: tenantIdSchema,
  subject: z.string().describe("What it is about, such as a gateway's id."),
  at: z.iso.datetime(),
  data: z.record(z.string(), z.unknown()),
});

export type Event = z.output<typeof eventSchema>;

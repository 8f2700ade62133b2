/** The service about itself: alive, ready, and what it offers. */
import * as z from "zod";

export const healthSchema = z.object({ status: z.literal("alive") });

export const readinessSchema = z.object({
  status: z.enum(["ready", "notReady"]),
  dependencies: z.record(z.string(), z.enum(["ready", "notReady"])),
});

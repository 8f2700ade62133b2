/** A timer in the API: when it ran last, how that ended, and when it runs next. */
import * as z from "zod";

export const timerNameSchema = z.string().regex(/^[a-z][A-Za-z]{2,60}$/, "must be a timer's name, such as pollGateways");

const runSchema = z.object({
  id: z.string().describe("The Operation-Id of whoever asked for it, or one of ours."),
  startedAt: z.iso.datetime(),
  startedBy: z.enum(["schedule", "operator"]),
});

export const scheduleSchema = z.object({
  name: timerNameSchema,
  setting: z.string().describe("The setting that says when it runs."),
  expression: z.string().describe("NCRONTAB, in UTC."),
  nextRunAt: z.iso.datetime().optional(),
  running: runSchema.optional().describe("The run that is under way."),
  lastRun: runSchema
    .extend({
      durationInMilliseconds: z.int().min(0).optional(),
      outcome: z.enum(["succeeded", "failed", "interrupted"]).describe("Interrupted: its host went away in the middle of it."),
      reason: z.string().optional().describe("Why it failed: an error's code or name."),
    })
    .optional()
    .describe("The last one that has ended; left out before the first."),
});

export type Schedule = z.output<typeof scheduleSchema>;

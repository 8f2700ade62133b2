/** An operation in the API: the status monitor of work that takes its time, with the graph of its steps. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { errorDetailSchema } from "./error.ts";

/** Letters, digits and dashes: the id is part of row keys and of orchestration ids. */
export const operationIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9-]{8,64}$/, "must be 8 to 64 letters, digits and dashes, such as a UUID");

export const operationStatuses = ["NotStarted", "Running", "Succeeded", "Failed", "Canceled"] as const;
export const operationKinds = [
  "onboarding",
  "adoption",
  "rotation",
  "renewal",
  "promotion",
  "demotion",
  "bypass",
  "restore",
  "repair",
  "smtpRestart",
  "addressReplacement",
  "offboarding",
] as const;
export const stepStatuses = ["Pending", "Running", "Succeeded", "Failed", "Skipped"] as const;
export const stepChanges = ["created", "updated", "unchanged", "removed"] as const;
export const branches = ["access", "root", "gateway", "directory", "mailFlow", "proof"] as const;

export const waitingForSchema = z.object({
  kind: z.enum(["consent", "azureAccess", "certificate", "propagation", "cloud"]),
  url: z.url().optional().describe("What a person has to open."),
  message: z.string(),
  since: z.iso.datetime(),
  taskId: z.string().optional().describe("The task with all that a person needs for it: GET /api/tasks/{taskId}."),
});

export const undoneSchema = z.object({
  as: z.enum(["removed", "restored", "kept"]),
  why: z.string().optional().describe("Why it was kept."),
  at: z.iso.datetime(),
});

const skippedSchema = z.object({ by: z.string(), reason: z.string(), at: z.iso.datetime() });

export const skipInputSchema = z.strictObject({
  reason: z.string().trim().min(8).max(500).describe("Why it is not waited for: it stays on the step's record."),
});

/** As the operation's record has it. */
const recordedStepSchema = z.object({
  name: z.string(),
  title: z.string(),
  branch: z.enum(branches),
  status: z.enum(stepStatuses),
  tries: z.int().min(0),
  startedAt: z.iso.datetime().optional(),
  endedAt: z.iso.datetime().optional(),
  change: z.enum(stepChanges).optional(),
  skipped: skippedSchema.optional().describe("An operator has skipped it."),
  undone: undoneSchema.optional().describe("What roll-back made of its change."),
  error: errorDetailSchema.optional(),
});

export const stepSchema = recordedStepSchema.extend({
  durationInSeconds: z.number().min(0).optional().describe("From its first try to its end."),
  waitingFor: waitingForSchema.optional(),
  links: z.object({ beforeImage: z.url().describe("What it found before it wrote.") }).optional(),
});

export const cancelInputSchema = z.strictObject({
  rollBack: z.boolean().optional().describe("Takes back what the operation did; also of one that failed or was canceled."),
  abandonQueues: z.boolean().optional().describe("Gives up mail that may wait in a machine that can't say whether it does."),
});

/** As step graphs name them. */
export const stepNameSchema = z.string().regex(/^[A-Za-z0-9-]{1,128}$/, "must be a step's name");

export const beforeImageSchema = z.object({
  step: z.string(),
  change: z.enum(stepChanges),
  kind: z.string().describe("The kind of resource."),
  before: z.object({
    state: z.enum(["present", "absent"]),
    actual: z.unknown().optional().describe("What was there."),
  }),
  changes: z.array(z.object({ path: z.string(), from: z.unknown(), to: z.unknown() })),
});

export const operationSummarySchema = z.object({
  id: operationIdSchema,
  kind: z.enum(operationKinds),
  tenantId: tenantIdSchema,
  status: z.enum(operationStatuses),
  percentComplete: z.int().min(0).max(100),
  attempt: z.int().min(1),
  createdAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
  waitingFor: waitingForSchema.optional(),
  error: errorDetailSchema.optional(),
  cancel: z
    .object({ by: z.string(), at: z.iso.datetime(), rollBack: z.boolean() })
    .optional()
    .describe("Somebody wants it to stop: nothing of it begins any more, and it ends as Canceled."),
});

export const operationSchema = operationSummarySchema.extend({
  steps: z.array(stepSchema),
  leftStanding: z
    .array(z.object({ step: z.string(), title: z.string(), change: z.enum(stepChanges) }))
    .optional()
    .describe("Of one that failed or was canceled: what it had changed by then, and what stands so."),
  result: z.record(z.string(), z.unknown()).optional(),
  risk: z.string().optional().describe("In the answer to an emergency rotation: what it may break."),
});

export type OperationStatus = (typeof operationStatuses)[number];
export type OperationKind = (typeof operationKinds)[number];
export type StepStatus = (typeof stepStatuses)[number];
export type Branch = (typeof branches)[number];
export type WaitingFor = z.output<typeof waitingForSchema>;
export type Step = z.output<typeof recordedStepSchema>;
export type Undone = z.output<typeof undoneSchema>;
export type BeforeImageBody = z.input<typeof beforeImageSchema>;
export type OperationSummary = z.output<typeof operationSummarySchema>;
export type Operation = z.output<typeof operationSchema>;

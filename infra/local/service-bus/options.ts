/** How queues, topics and subscriptions behave: names, values and defaults of `Microsoft.ServiceBus/namespaces` in Azure Resource Manager. */
import * as z from "zod";
import { type Filter, sqlFilter } from "./rules.ts";

/** Azure's way to say "never". */
const LONGEST = "P10675199DT2H48M5.4775807S";

/** ISO 8601, read as milliseconds. */
const duration = z.iso.duration().transform((text, context) => {
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$/.exec(text)?.map((part) => Number(part ?? 0)) ?? [];
  const milliseconds = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  if (milliseconds > 0) return text === LONGEST ? Infinity : milliseconds;
  context.addIssue({ code: "custom", message: "must be a duration of days, hours, minutes and seconds, such as PT1M" });
  return z.NEVER;
});

const authorizationRule = z
  .strictObject({
    name: z.string().min(1),
    rights: z.array(z.enum(["Send", "Listen", "Manage"])).min(1),
    primaryKey: z.string().min(1),
  })
  .refine(({ rights }) => !rights.includes("Manage") || (rights.includes("Send") && rights.includes("Listen")), {
    message: "the right Manage needs Send and Listen beside it",
  });

/** Of whatever is sent to. */
const sending = {
  name: z.string().regex(/^[A-Za-z0-9][\w.\-/]{0,258}$/, "must be a queue's or topic's name"),
  defaultMessageTimeToLive: duration.default(Infinity),
  requiresDuplicateDetection: z.boolean().default(false),
  duplicateDetectionHistoryTimeWindow: duration.default(600_000),
  /** Keys that are good here only. */
  authorizationRules: z.array(authorizationRule).default([]),
};

/** Of whatever is received from. */
const receiving = {
  lockDuration: duration.default(60_000),
  maxDeliveryCount: z.number().int().min(1).default(10),
  defaultMessageTimeToLive: duration.default(Infinity),
  deadLetteringOnMessageExpiration: z.boolean().default(false),
  requiresSession: z.boolean().default(false),
};

const text = z.string().optional();
const rule = z
  .strictObject({
    name: z.string().min(1).max(50),
    sqlFilter: z.strictObject({ sqlExpression: z.string() }).optional(),
    correlationFilter: z
      .strictObject({
        correlationId: text,
        messageId: text,
        to: text,
        replyTo: text,
        label: text,
        sessionId: text,
        replyToSessionId: text,
        contentType: text,
        properties: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
      })
      .optional(),
  })
  .transform(({ name, sqlFilter: sql, correlationFilter: correlation }): { name: string; filter: Filter } => {
    if (!correlation) return { name, filter: sqlFilter(sql?.sqlExpression ?? "1=1") };
    const { properties, ...system } = correlation;
    return { name, filter: { kind: "correlation", system, properties } };
  });

export const queueOptionsSchema = z.strictObject({ ...sending, ...receiving });

export const topicOptionsSchema = z.strictObject({
  ...sending,
  subscriptions: z
    .array(
      z.strictObject({
        ...receiving,
        name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,49}$/, "must be a subscription's name"),
        rules: z.array(rule).default([{ name: "$Default", filter: { kind: "true" } }]),
      }),
    )
    .default([]),
});

export const namespaceOptionsSchema = z.object({
  queues: z.array(queueOptionsSchema).default([]),
  topics: z.array(topicOptionsSchema).default([]),
  /** Keys for the whole namespace. */
  authorizationRules: z.array(authorizationRule).default([]),
});

export type QueueOptions = z.input<typeof queueOptionsSchema>;
export type TopicOptions = z.input<typeof topicOptionsSchema>;
export type AuthorizationRule = z.output<typeof authorizationRule>;
export type Right = AuthorizationRule["rights"][number];
/** Durations are in milliseconds, or Infinity. */
export type QueueSettings = Omit<z.output<typeof queueOptionsSchema>, "authorizationRules">;
export type TopicSettings = z.output<typeof topicOptionsSchema>;
export type NamespaceSettings = z.output<typeof namespaceOptionsSchema>;

/** How a queue behaves: names, values and defaults of `Microsoft.ServiceBus/namespaces/queues` in Azure Resource Manager. */
import * as z from "zod";

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

export const queueOptionsSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][\w.\-/]{0,258}$/, "must be a queue's name"),
  lockDuration: duration.default(60_000),
  maxDeliveryCount: z.number().int().min(1).default(10),
  defaultMessageTimeToLive: duration.default(Infinity),
  deadLetteringOnMessageExpiration: z.boolean().default(false),
  requiresDuplicateDetection: z.boolean().default(false),
  duplicateDetectionHistoryTimeWindow: duration.default(600_000),
});

export type QueueOptions = z.input<typeof queueOptionsSchema>;
/** Durations are in milliseconds, or Infinity. */
export type QueueSettings = z.output<typeof queueOptionsSchema>;

export const parseQueues = (queues: unknown): QueueSettings[] => z.array(queueOptionsSchema).min(1).parse(queues);

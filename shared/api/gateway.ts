/** A gateway in the API: the virtual machine that handles a tenant's mail, and how it is. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { gatewayIdSchema } from "./gateway-id.ts";
import { findingSchema, heartbeatSchema, readingSchema } from "./heartbeat.ts";
import { pageOf, pageQuery } from "./page.ts";

/** From well to unknown, which never counts as well. */
export const healths = ["healthy", "degraded", "failing", "stopped", "unavailable", "unknown"] as const;

export const gatewayStateSchema = z.object({
  health: z
    .enum(healths)
    .describe(
      "degraded: mail comes through, and something needs a person. failing: it runs and mail doesn't come through. stopped: its power is " +
        "off. unavailable: Azure's platform or the machine's agent says so. unknown: nobody could tell.",
    ),
  power: z.string().optional().describe("Azure's own code, such as PowerState/running."),
  availability: z.string().optional().describe("Azure Resource Health's state: Available, Unavailable, Degraded or Unknown."),
  agent: z.string().optional().describe("What Azure's agent on a machine that is silent says, such as Ready."),
  findings: z.array(findingSchema).optional().describe("What its heartbeats say is wrong; left out where nothing is."),
  reason: z.string(),
  since: z.iso.datetime().describe("Since when it is in this health."),
});

export const gatewaySchema = z.object({
  id: gatewayIdSchema,
  tenantId: tenantIdSchema,
  virtualMachineId: z.string().describe("Azure's resource id."),
  subscriptionId: z.string(),
  region: z.string(),
  fqdn: z.string(),
  address: z.string().describe("The public IPv4 address that it sends from."),
  state: gatewayStateSchema,
  updatedAt: z.iso.datetime(),
});

/** One gateway by itself: also what it said last. */
export const gatewayDetailSchema = gatewaySchema.extend({
  heartbeat: heartbeatSchema.optional().describe("What the machine itself said last; left out until it has said something."),
});

/** ISO 8601: ten minutes, an hour. */
export const resolutions = ["PT10M", "PT1H"] as const;
export type Resolution = (typeof resolutions)[number];

/** More than a quarter has hours. */
export const MOST_HISTORY_POINTS = 2200;

export const historyQuery = {
  resolution: z
    .enum(resolutions)
    .optional()
    .describe("PT10M of the last 24 hours, PT1H of the last 90 days. Left out, what `from` allows, and PT10M without it."),
  from: z.iso.datetime({ offset: true }).optional().describe("Left out: as long before `to` as there is."),
  to: z.iso.datetime({ offset: true }).optional().describe("Left out, or later than now: now."),
  ...pageQuery,
  maxpagesize: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST_HISTORY_POINTS)
    .optional()
    .describe("At most this many points a page; all of them when left out."),
};

export const historyPointSchema = readingSchema.omit({ reply: true }).extend({
  at: z.iso.datetime().describe("When it begins; it lasts for the resolution."),
  health: z.enum(healths).optional().describe("The worst that it was meanwhile; left out before anything was known of it."),
  reported: z.boolean().describe("Whether the machine said anything meanwhile: without, the counts are null and mean nothing."),
});

/** A gateway's time line, oldest first: a point for each ten minutes, or for each hour, the worst of what was known meanwhile. */
export const historySchema = pageOf(historyPointSchema).extend({
  resolution: z.enum(resolutions),
  from: z.iso.datetime(),
  to: z.iso.datetime(),
});

export type HistoryPoint = z.output<typeof historyPointSchema>;
export type Health = (typeof healths)[number];
export type GatewayState = z.output<typeof gatewayStateSchema>;

/** Whether no mail can come through it, as far as that is known: what nobody could tell is not down. */
export const isDown = ({ health, reason }: Pick<GatewayState, "health" | "reason">): boolean =>
  health === "failing" || health === "stopped" || health === "unavailable" || reason === "VirtualMachineMissing";
export type Gateway = z.output<typeof gatewaySchema>;
export type GatewayDetail = z.output<typeof gatewayDetailSchema>;

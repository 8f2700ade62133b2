/** A gateway in the API: the virtual machine that handles a tenant's mail, and how it is. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { gatewayIdSchema } from "./gateway-id.ts";
import { findingSchema, heartbeatSchema } from "./heartbeat.ts";

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

export type Health = (typeof healths)[number];
export type GatewayState = z.output<typeof gatewayStateSchema>;

/** Whether no mail can come through it, as far as that is known: what nobody could tell is not down. */
export const isDown = ({ health, reason }: Pick<GatewayState, "health" | "reason">): boolean =>
  health === "failing" || health === "stopped" || health === "unavailable" || reason === "VirtualMachineMissing";
export type Gateway = z.output<typeof gatewaySchema>;
export type GatewayDetail = z.output<typeof gatewayDetailSchema>;

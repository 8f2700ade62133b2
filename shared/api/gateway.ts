/** A gateway in the API: the virtual machine that handles a tenant's mail, and how it is. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { gatewayIdSchema } from "./gateway-id.ts";
import { heartbeatSchema } from "./heartbeat.ts";

export const healths = ["healthy", "stopped", "unavailable", "unknown"] as const;

export const gatewayStateSchema = z.object({
  health: z
    .enum(healths)
    .describe("stopped: its power is off. unavailable: Azure's platform says so. unknown: nobody could tell."),
  power: z.string().optional().describe("Azure's own code, such as PowerState/running."),
  availability: z.string().optional().describe("Azure Resource Health's state: Available, Unavailable, Degraded or Unknown."),
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
export type Gateway = z.output<typeof gatewaySchema>;
export type GatewayDetail = z.output<typeof gatewayDetailSchema>;

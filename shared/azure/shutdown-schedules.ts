/** "Auto-shutdown" of the portal: schedules of DevTest Labs that stop a machine every day, made by people and only read here. */
import * as z from "zod";
import { absent, type Observed, present } from "../resources/resource.ts";
import type { Azure } from "./client.ts";
import type { Subscription } from "./place.ts";

export interface Shutdown {
  schedule: string;
  /** Resource id of the machine. */
  machineId: string;
  /** For example `1900 W. Europe Standard Time`. */
  time: string;
}

const schedulesSchema = z.object({
  value: z.array(
    z.object({
      name: z.string(),
      properties: z.object({
        status: z.string().optional(),
        taskType: z.string().optional(),
        targetResourceId: z.string().optional(),
        dailyRecurrence: z.object({ time: z.string() }).optional(),
        timeZoneId: z.string().optional(),
      }),
    }),
  ),
});

/** Those of a resource group that are switched on. A subscription that never had a schedule doesn't know their provider. */
export async function shutdownsIn(
  azure: Azure,
  { entraTenantId, subscriptionId }: Subscription,
  resourceGroup: string,
): Promise<Observed<Shutdown[]>> {
  const group = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
  const found = await azure.get(entraTenantId, `${group}/providers/Microsoft.DevTestLab/schedules?api-version=2018-09-15`);
  if (found.state === "unknown" && found.reason.code === "MissingSubscriptionRegistration") return absent;
  if (found.state !== "present") return found;
  const { value } = schedulesSchema.parse(found.actual);
  return present(
    value.flatMap(({ name, properties: { status, taskType, targetResourceId = "", dailyRecurrence, timeZoneId } }) =>
      taskType === "ComputeVmShutdownTask" && status === "Enabled"
        ? [{ schedule: name, machineId: targetResourceId, time: [dailyRecurrence?.time, timeZoneId].filter(Boolean).join(" ") }]
        : [],
    ),
  );
}

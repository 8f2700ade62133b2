/** Azure's activity log: who changed what of a resource group lately. Reading it is part of Contributor and Reader. */
import * as z from "zod";
import { type Observed, present } from "../resources/resource.ts";
import type { Azure } from "./client.ts";
import type { Subscription } from "./place.ts";

export interface Activity {
  resourceId: string;
  /** For example `Microsoft.Network/networkSecurityGroups/write`. */
  operation: string;
  /** A person's user principal name, or a service principal's object id. */
  caller: string;
  /** The application that asked, where the log has it. */
  applicationId: string | undefined;
  at: string;
}

const eventsSchema = z.object({
  value: z.array(
    z.object({
      caller: z.string().optional(),
      claims: z.record(z.string(), z.string()).optional(),
      eventTimestamp: z.string(),
      resourceId: z.string().optional(),
      operationName: z.object({ value: z.string() }),
      status: z.object({ value: z.string() }),
    }),
  ),
});

/** What succeeded since then, newest first; of very much the newest page, which is what is asked for here. */
export async function activitiesIn(
  azure: Pick<Azure, "get">,
  { entraTenantId, subscriptionId }: Subscription,
  resourceGroup: string,
  since: string,
): Promise<Observed<Activity[]>> {
  const filter = encodeURIComponent(`eventTimestamp ge '${since}' and resourceGroupName eq '${resourceGroup}'`);
  const values = `/subscriptions/${subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values`;
  const found = await azure.get(entraTenantId, `${values}?api-version=2015-04-01&$filter=${filter}`);
  if (found.state !== "present") return found;
  return present(
    eventsSchema
      .parse(found.actual)
      .value.flatMap(({ caller, claims, eventTimestamp, resourceId, operationName, status }) =>
        caller === undefined || resourceId === undefined || status.value !== "Succeeded"
          ? []
          : [{ resourceId, operation: operationName.value, caller, applicationId: claims?.["appid"], at: eventTimestamp }],
      ),
  );
}

/** A customer's Log Analytics workspace: theirs, in any subscription of the same Entra tenant, and only read here. */
import * as z from "zod";
import type { Observed } from "../resources/resource.ts";
import { present } from "../resources/resource.ts";
import type { Azure } from "./client.ts";
import { regionName } from "./place.ts";

const workspaceSchema = z.object({ location: z.string() });

/** Where a workspace is. Azure takes a data collection rule only in its workspace's region. */
export async function workspaceRegion(azure: Azure, entraTenantId: string, workspaceId: string): Promise<Observed<string>> {
  const found = await azure.get(entraTenantId, `${workspaceId}?api-version=2023-09-01`);
  return found.state === "present" ? present(regionName(workspaceSchema.parse(found.actual).location)) : found;
}

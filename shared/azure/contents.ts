/** What is in a resource group of ours: it goes with all of it, so nothing in it may be somebody else's. */
import type { Azure } from "./client.ts";
import { readFailure } from "./owned.ts";
import { ownedBy, type Place, sameId } from "./place.ts";

export interface Contents {
  /** By provider, kind and name. */
  ours: string[];
  /** What neither carries the tenant's marks nor belongs to something that does. */
  foreign: string[];
}

export async function contentsOf(azure: Azure, group: Place): Promise<Contents> {
  const listed = await azure.read(group, async (clients) => {
    const found: { id: string; ours: boolean; managedBy: string }[] = [];
    for await (const { id = "", tags, managedBy = "" } of (await clients.resources()).resources.listByResourceGroup(
      group.resourceGroup,
    ))
      found.push({ id, ours: ownedBy(tags, group.owner), managedBy });
    return found;
  });
  if (listed.state === "unknown") throw readFailure(`what is in resource group ${group.resourceGroup}`, listed);
  const found = listed.state === "present" ? listed.actual : [];
  const ours = found.filter((one) => one.ours);
  const foreign = found.filter(
    ({ id, ours: own, managedBy }) =>
      !own && !ours.some((one) => sameId(one.id, managedBy) || id.toLowerCase().startsWith(`${one.id.toLowerCase()}/`)),
  );
  const named = ({ id }: { id: string }): string => id.split("/providers/")[1] ?? id;
  return { ours: found.filter((one) => !foreign.includes(one)).map(named), foreign: foreign.map(named) };
}

/** Where a name's record sets are in Azure DNS. */
import type { Subscription } from "./place.ts";

export interface ZonePlace {
  subscription: Subscription;
  resourceGroup: string;
  zone: string;
  /** A name below its zone has a label there; its zone's own is `@`. */
  label: string;
}

/** The name has to be the zone's, or one below it. */
export function zonePlace({ entraTenantId, zoneId }: { entraTenantId: string; zoneId: string }, name: string): ZonePlace {
  const [, , subscriptionId = "", , resourceGroup = "", , , , zone = ""] = zoneId.split("/");
  const label = name === zone.toLowerCase() ? "@" : name.slice(0, -zone.length - 1);
  return { subscription: { entraTenantId, subscriptionId }, resourceGroup, zone, label };
}

/** Who may have changed it: said only where the cloud, or the shape of the change, tells. */
import type { Culprit } from "../../shared/api/drift.ts";
import { organization } from "../../shared/desired/state.ts";
import type { Look, Seen } from "../../shared/runbook/looking.ts";

export function culpritOf(seen: Seen, look: Look): Culprit | undefined {
  if (seen.kind === "connectionFilter") return clearedList(look);
  return changedObject(seen, look);
}

/** An allow list that is empty as a whole was emptied by rule; a person takes out an entry. */
function clearedList({ around, target }: Look): Culprit | undefined {
  const read = around?.remembered.find(organization(target), "Get-HostedConnectionFilterPolicy", { Identity: "Default" });
  const policy = read?.state === "present" ? read.actual[0] : undefined;
  if (!policy || policy.IPAllowList.length > 0) return undefined;
  return {
    who: "CIPP's standard EmptyFilterIPAllowList, or another that empties the list",
    evidence: "the whole allow list is empty, not only without the gateways' addresses",
  };
}

/** Exchange Online says of a rule who changed it last, and of rules and connectors when. */
function changedObject({ actual }: Seen, { around, target }: Look): Culprit | undefined {
  const guid = (actual as { guid?: string } | undefined)?.guid;
  if (guid === undefined || !around) return undefined;
  for (const cmdlet of ["Get-TransportRule", "Get-InboundConnector"] as const) {
    const read = around.remembered.find(organization(target), cmdlet, {});
    const objects: { Guid: string; [name: string]: unknown }[] = read?.state === "present" ? read.actual : [];
    const object = objects.find(({ Guid }) => Guid === guid);
    if (object) return said(object);
  }
  return undefined;
}

function said({ LastModifiedBy: who, WhenChanged: at }: Record<string, unknown>): Culprit | undefined {
  if (typeof who === "string" && who !== "")
    return {
      who,
      ...(typeof at === "string" ? { at } : {}),
      evidence: "Exchange Online names the one who changed the rule last",
    };
  if (typeof at === "string") return { at, evidence: "Exchange Online says when the object was changed last, not by whom" };
  return undefined;
}

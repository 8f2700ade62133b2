/**
 * The activity log: every write that Azure Resource Manager took, with who asked for it. Kept for 90 days there, until the platform forgets here.
 *
 * Source: activityLogs_API.json (2015-04-01): the filter names a time and one of a few other fields, events come newest first, and a
 * service principal as caller is its object id, a person their user principal name.
 */
import { randomUUID } from "node:crypto";
import type { Platform, SimulatedResponse } from "../simulator.ts";
import { ArmError, page } from "./envelope.ts";
import type { Call } from "./index.ts";

export interface Activity {
  subscriptionId: string;
  resourceGroupName: string;
  resourceId: string;
  operationName: string;
  caller: string;
  applicationId: string;
  at: number;
}

const COLLECTION = "arm.activity-log";

/** Reads, and what Azure refuses to begin, leave no line of ours. */
export function noteActivity(platform: Platform, { method, path, claims }: Call, { status }: SimulatedResponse): void {
  const verb = { PUT: "write", PATCH: "write", DELETE: "delete" }[method];
  const [, subscriptionId, resourceGroupName, provider] =
    /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)(?:\/providers\/(.+))?$/i.exec(path) ?? [];
  if (verb === undefined || subscriptionId === undefined || resourceGroupName === undefined || status >= 300) return;
  const segments = provider?.split("/") ?? [];
  const type =
    provider === undefined
      ? "Microsoft.Resources/subscriptions/resourceGroups"
      : [segments[0], ...segments.slice(1).filter((_, index) => index % 2 === 0)].join("/");
  const { oid, appid, azp } = claims;
  const activity: Activity = {
    subscriptionId,
    resourceGroupName,
    resourceId: path,
    operationName: `${type}/${verb}`,
    caller: oid,
    applicationId: appid ?? azp ?? "",
    at: platform.now(),
  };
  platform.collection<Activity>(COLLECTION).set(randomUUID(), activity);
}

/** GET …/providers/Microsoft.Insights/eventtypes/management/values */
export function listActivities(platform: Platform, subscriptionId: string, call: Call): SimulatedResponse {
  const { from, resourceGroup } = filterIn(call.query.get("$filter") ?? "");
  const found = platform
    .collection<Activity>(COLLECTION)
    .entries()
    .filter(
      ([, one]) =>
        one.subscriptionId.toLowerCase() === subscriptionId.toLowerCase() &&
        one.at >= from &&
        (resourceGroup === undefined || one.resourceGroupName.toLowerCase() === resourceGroup.toLowerCase()),
    )
    .toSorted(([, one], [, other]) => other.at - one.at);
  return page(
    call,
    found.map(([id, one]) => shown(id, one)),
    200,
  );
}

function filterIn(filter: string): { from: number; resourceGroup: string | undefined } {
  const terms = filter.split(/ and /i).map((term) => /^\s*(\w+) (ge|le|eq) '([^']*)'\s*$/.exec(term));
  const from = terms.find((term) => term?.[1] === "eventTimestamp" && term[2] === "ge")?.[3];
  const known = new Set(["eventTimestamp", "resourceGroupName"]);
  if (from === undefined || Number.isNaN(Date.parse(from)) || terms.some((term) => !known.has(term?.[1] ?? "")))
    throw new ArmError(400, "BadRequest", `The filter '${filter}' is not supported: it needs a time and one resource group.`);
  return { from: Date.parse(from), resourceGroup: terms.find((term) => term?.[1] === "resourceGroupName")?.[3] };
}

const named = (value: string) => ({ value, localizedValue: value });

const shown = (id: string, { at, operationName, applicationId, ...one }: Activity) => ({
  id: `${one.resourceId}/events/${id}/ticks/${at}`,
  eventDataId: id,
  ...one,
  claims: { appid: applicationId },
  category: named("Administrative"),
  level: "Informational",
  operationName: named(operationName),
  status: named("Succeeded"),
  eventTimestamp: new Date(at).toISOString(),
  submissionTimestamp: new Date(at).toISOString(),
});

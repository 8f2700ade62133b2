/**
 * Microsoft.Insights/diagnosticSettings: where a resource's logs and metrics go. Nothing is sent; the settings are kept and checked.
 *
 * Sources: monitor's diagnosticsSettings_API.json (2021-05-01-preview); "Diagnostic settings in Azure Monitor" for limits, the region of
 * the storage account, and that settings outlive a resource that was deleted before them; "Supported logs" for categories.
 */
import * as z from "zod";
import { ArmError, parseBody, type Json } from "./envelope.ts";
import { keyOf, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const entrySchema = z.looseObject({
  category: z.string().nullish(),
  categoryGroup: z.string().nullish(),
  enabled: z.boolean(),
});

const diagnosticSettingSchema = z.looseObject({
  properties: z.looseObject({
    storageAccountId: z.string().nullish(),
    workspaceId: z.string().nullish(),
    eventHubAuthorizationRuleId: z.string().nullish(),
    logs: z.array(entrySchema).default([]),
    metrics: z.array(entrySchema).default([]),
  }),
});

const type = "Microsoft.Insights/diagnosticSettings";
const MOST = 5;

/** Categories of logs by the type they are of; every one of these also has the metrics `AllMetrics`, a storage account `Transaction`. */
const categories: Record<string, string[]> = {
  "microsoft.network/loadbalancers": ["LoadBalancerHealthEvent"],
  "microsoft.network/publicipaddresses": ["DDoSProtectionNotifications", "DDoSMitigationFlowLogs", "DDoSMitigationReports"],
  "microsoft.network/networksecuritygroups": ["NetworkSecurityGroupEvent", "NetworkSecurityGroupRuleCounter"],
  "microsoft.network/virtualnetworks": ["VMProtectionAlerts"],
  "microsoft.network/networkinterfaces": [],
  "microsoft.compute/virtualmachines": [],
  "microsoft.keyvault/vaults": ["AuditEvent", "AzurePolicyEvaluationDetails"],
  "microsoft.storage/storageaccounts": [],
  "microsoft.sql/servers/databases": ["SQLInsights", "AutomaticTuning", "QueryStoreRuntimeStatistics", "Errors", "Timeouts"],
};

export const diagnosticSettings = (estate: Estate): ResourceType => ({
  type,
  manner: "sync",
  regional: false,
  createdStatus: 200,
  put: ({ id, name, body, existing }) => {
    const { properties } = parseBody(diagnosticSettingSchema, body);
    const target = targetOf(estate, id);
    const { storageAccountId, workspaceId, eventHubAuthorizationRuleId, logs, metrics } = properties;
    const bad = (message: string): ArmError => new ArmError(400, "BadRequest", message);
    if (!storageAccountId && !workspaceId && !eventHubAuthorizationRuleId)
      throw bad("At least one data sink needs to be specified.");
    if (logs.length + metrics.length === 0) throw bad("At least one category of logs or metrics needs to be specified.");
    for (const { category, categoryGroup } of logs)
      if (category && !categories[keyOf(target.type)]?.includes(category)) throw bad(`Category '${category}' is not supported.`);
      else if (categoryGroup && !["allLogs", "audit"].includes(categoryGroup))
        throw bad(`Category group '${categoryGroup}' is not supported.`);
      else if (categoryGroup && categories[keyOf(target.type)]?.length === 0)
        throw bad(`The resource type '${target.type}' does not support category groups.`);
    for (const { category } of metrics)
      if (category !== (target.type === "Microsoft.Storage/storageAccounts" ? "Transaction" : "AllMetrics"))
        throw bad(`Metric category '${category}' is not supported.`);
    checkSinks(estate, target, { storageAccountId, workspaceId });
    const others = estate
      .ofType(type)
      .filter((one) => keyOf(ownerId(one.id)) === keyOf(target.id) && keyOf(one.id) !== keyOf(id));
    if (existing === undefined && others.length >= MOST)
      throw new ArmError(
        409,
        "Conflict",
        `The limit of ${MOST} diagnostic settings was reached. To create new diagnostic setting, delete an existing one.`,
      );
    const clash = others.find(({ body: other }) =>
      [storageAccountId, workspaceId].some((sink) => sink && sinks(other.properties).includes(keyOf(sink))),
    );
    if (clash !== undefined)
      throw new ArmError(
        409,
        "Conflict",
        `Data sink '${storageAccountId ?? workspaceId ?? ""}' is already used in diagnostic setting '${clash.name}' for category '${String(logs[0]?.category ?? metrics[0]?.category)}'. Data sinks can't be reused in different settings on the same category for the same resource.`,
      );
    return { location: target.location, body: { id, type, name, properties: { ...properties, logs, metrics } } };
  },
});

const ownerId = (id: string): string => id.slice(0, id.toLowerCase().lastIndexOf("/providers/microsoft.insights/"));

const sinks = ({ storageAccountId, workspaceId }: Json): string[] =>
  [storageAccountId, workspaceId].filter((sink) => typeof sink === "string").map(keyOf);

function targetOf(estate: Estate, id: string): Stored {
  const target = estate.resource(ownerId(id));
  if (target === undefined || categories[keyOf(target.type)] === undefined)
    throw new ArmError(
      400,
      "ResourceTypeNotSupported",
      `The resource type '${target?.type ?? ""}' does not support diagnostic settings.`,
    );
  return target;
}

function checkSinks(
  estate: Estate,
  target: Stored,
  { storageAccountId, workspaceId }: { storageAccountId: string | null | undefined; workspaceId: string | null | undefined },
): void {
  for (const [sink, kind] of [
    [storageAccountId, "Microsoft.Storage/storageAccounts"],
    [workspaceId, "Microsoft.OperationalInsights/workspaces"],
  ] as const) {
    if (!sink) continue;
    const found = estate.resource(sink);
    if (found?.type !== kind)
      throw new ArmError(404, "ResourceNotFound", `The Resource '${sink.split("/providers/").at(-1)}' was not found.`);
    if (kind === "Microsoft.Storage/storageAccounts" && found.location !== target.location)
      throw new ArmError(
        400,
        "BadRequest",
        `Resource '${target.id}' is in region '${target.location}' and resource '${found.id}' is in region '${found.location}'. Data sink must be in the same region as the resource.`,
      );
  }
}

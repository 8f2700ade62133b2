/** Mission A11: a resource's metrics, and whatever logs Azure has of it, go to the customer's workspace. */
import type { DiagnosticSettingsResource as FoundSetting } from "@azure/arm-monitor";
import type { Azure } from "../azure/client.ts";
import { changesBetween, removeOwned } from "../azure/owned.ts";
import { relative, type Subscription } from "../azure/place.ts";
import { type Observed, present, type Resource } from "./resource.ts";

export type DiagnosticSetting = Subscription & {
  /** Says whose it is: Azure gives a setting no place for a mark. */
  name: string;
  /** Resource id of what is watched. */
  resourceId: string;
  workspaceId: string;
};

export interface ActualDiagnosticSetting {
  id: string;
  /** In lower case. */
  workspaceId: string;
  /** Categories and groups that are switched on, sorted. */
  logs: string[];
  metrics: string[];
}

/** Whatever Azure has, now and later: load balancers have had health events since 2024 only. */
const LOGS = "allLogs";
const METRICS = "AllMetrics";

export const diagnosticSetting = ({ azure }: { azure: Azure }): Resource<DiagnosticSetting, ActualDiagnosticSetting> => {
  const what = ({ resourceId }: DiagnosticSetting): string => `diagnostics of ${resourceId.split("/").at(-1)}`;

  async function observe(desired: DiagnosticSetting): Promise<Observed<ActualDiagnosticSetting>> {
    const found = await azure.read(desired, async (clients) =>
      (await clients.monitor()).diagnosticSettings.get(relative(desired.resourceId), desired.name),
    );
    return found.state === "present" ? present(actualOf(found.actual)) : found;
  }

  const write = (action: string, desired: DiagnosticSetting) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.monitor()).diagnosticSettings.createOrUpdate(
        relative(desired.resourceId),
        desired.name,
        {
          workspaceId: desired.workspaceId,
          logs: [{ categoryGroup: LOGS, enabled: true }],
          metrics: [{ category: METRICS, enabled: true }],
        },
        { onResponse },
      ),
    );

  return {
    kind: "diagnosticSetting",
    observe,
    diff: ({ workspaceId }, actual) =>
      changesBetween({ workspaceId: workspaceId.toLowerCase(), logs: [LOGS], metrics: [METRICS] }, actual),
    create: (desired) => write("switching on", desired),
    update: (desired) => write("changing", desired),
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.monitor()).diagnosticSettings.delete(relative(desired.resourceId), desired.name, { onResponse }),
      ),
  };
};

const switchedOn = (entries: { category?: string; categoryGroup?: string; enabled: boolean }[] | undefined): string[] =>
  (entries ?? []).flatMap(({ category, categoryGroup, enabled }) => (enabled ? [categoryGroup ?? category ?? ""] : [])).sort();

const actualOf = ({ id, workspaceId, logs, metrics }: FoundSetting): ActualDiagnosticSetting => ({
  id: id ?? "",
  workspaceId: (workspaceId ?? "").toLowerCase(),
  logs: switchedOn(logs),
  metrics: switchedOn(metrics),
});

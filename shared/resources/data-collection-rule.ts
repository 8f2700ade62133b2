/** Mission A7: what Azure Monitor's agent gathers from the tenant's machines, and the customer's workspace that it goes to. */
import type { DataCollectionRuleResource as FoundRule } from "@azure/arm-monitor";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  readFailure,
  removeOwned,
  replacementNeeded,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import { workspaceRegion } from "../azure/workspace.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Resource } from "./resource.ts";

/** It stands in the workspace's region, wherever its machines and its resource group are. */
export type DataCollectionRule = Named & {
  /** Resource id of a Log Analytics workspace in the same Entra tenant. */
  workspaceId: string;
};

export interface ActualDataCollectionRule extends Provisioned {
  id: string;
  region: string;
  system: string;
  /** In lower case. */
  workspaceIds: string[];
  /** XPath queries over Windows' event logs, sorted. */
  events: string[];
  /** Performance counters, sorted. */
  counters: string[];
  samplingInSeconds: number[];
  /** `{stream}->{destination}`, sorted. */
  flows: string[];
}

/** Critical and error. */
const EVENTS = ["Application!*[System[(Level=1 or Level=2)]]", "System!*[System[(Level=1 or Level=2)]]"];
/** Load of the machine, and of Windows' SMTP server: its queues, what it could not deliver, and what passes. */
const COUNTERS = [
  "\\LogicalDisk(_Total)\\% Free Space",
  "\\LogicalDisk(_Total)\\Free Megabytes",
  "\\Memory\\Available Bytes",
  "\\Processor Information(_Total)\\% Processor Time",
  "\\SMTP Server(_Total)\\Badmailed Messages (General Failure)",
  "\\SMTP Server(_Total)\\Inbound Connections Current",
  "\\SMTP Server(_Total)\\Local Queue Length",
  "\\SMTP Server(_Total)\\Local Retry Queue Length",
  "\\SMTP Server(_Total)\\Messages Received Total",
  "\\SMTP Server(_Total)\\Messages Sent Total",
  "\\SMTP Server(_Total)\\Outbound Connections Current",
  "\\SMTP Server(_Total)\\Remote Queue Length",
  "\\SMTP Server(_Total)\\Remote Retry Queue Length",
];
const SAMPLING_IN_SECONDS = 60;
const DESTINATION = "workspace";
const EVENT_STREAM = "Microsoft-Event";
const COUNTER_STREAM = "Microsoft-Perf";

export const dataCollectionRule = ({ azure }: { azure: Azure }): Resource<DataCollectionRule, ActualDataCollectionRule> => {
  const what = ({ name }: DataCollectionRule): string => `data collection rule ${name}`;
  const observe = (desired: DataCollectionRule) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.monitor()).dataCollectionRules.get(desired.resourceGroup, desired.name),
      actualOf,
    );
  const regionOfWorkspace = async ({ entraTenantId, workspaceId }: DataCollectionRule): Promise<string> => {
    const found = await workspaceRegion(azure, entraTenantId, workspaceId);
    if (found.state === "present") return found.actual;
    if (found.state === "unknown") throw readFailure("the workspace's region", found);
    throw new ControlPlaneError("WorkspaceMissing", `there is no workspace ${workspaceId}`, 409, false, {
      target: "spec.gateway.monitoring.workspaceId",
    });
  };
  const write = (action: string, desired: DataCollectionRule, region: string, found: FoundRule | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.monitor()).dataCollectionRules.create(desired.resourceGroup, desired.name, {
        body: bodyOf(desired, region, found),
        onResponse,
      }),
    );

  return {
    kind: "dataCollectionRule",
    observe,
    diff: ({ workspaceId }, actual) =>
      changesBetween(
        {
          system: "Windows",
          workspaceIds: [workspaceId.toLowerCase()],
          events: EVENTS,
          counters: COUNTERS,
          samplingInSeconds: [SAMPLING_IN_SECONDS],
          flows: [`${EVENT_STREAM}->${DESTINATION}`, `${COUNTER_STREAM}->${DESTINATION}`],
        },
        actual,
      ),
    create: async (desired) => write("creating", desired, await regionOfWorkspace(desired), undefined),
    async update(desired, changes, actual) {
      const region = await regionOfWorkspace(desired);
      // Azure moves no rule, and takes none whose workspace is elsewhere.
      if (region !== actual.region) throw replacementNeeded(what(desired), changes);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.monitor()).dataCollectionRules.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, region, found);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.monitor()).dataCollectionRules.delete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const actualOf = ({ id, location, kind, dataSources, destinations, dataFlows, provisioningState }: FoundRule) => ({
  id: id ?? "",
  region: regionName(location),
  system: kind ?? "",
  workspaceIds: (destinations?.logAnalytics ?? []).map(({ workspaceResourceId }) => (workspaceResourceId ?? "").toLowerCase()),
  events: (dataSources?.windowsEventLogs ?? []).flatMap(({ xPathQueries }) => xPathQueries ?? []).sort(),
  counters: (dataSources?.performanceCounters ?? []).flatMap(({ counterSpecifiers }) => counterSpecifiers ?? []).sort(),
  samplingInSeconds: (dataSources?.performanceCounters ?? []).map(
    ({ samplingFrequencyInSeconds }) => samplingFrequencyInSeconds ?? 0,
  ),
  flows: (dataFlows ?? [])
    .flatMap(({ streams = [], destinations: to = [] }) => streams.flatMap((stream) => to.map((one) => `${stream}->${one}`)))
    .sort(),
  provisioningState: provisioningStateOf(provisioningState),
});

const bodyOf = ({ owner, workspaceId }: DataCollectionRule, region: string, found: FoundRule | undefined): FoundRule => ({
  location: region,
  kind: "Windows",
  tags: { ...found?.tags, ...ownershipTags(owner) },
  description: "What Gatehouse's gateways report to this workspace",
  dataSources: {
    windowsEventLogs: [{ name: "errors", streams: [EVENT_STREAM], xPathQueries: EVENTS }],
    performanceCounters: [
      {
        name: "load",
        streams: [COUNTER_STREAM],
        samplingFrequencyInSeconds: SAMPLING_IN_SECONDS,
        counterSpecifiers: COUNTERS,
      },
    ],
  },
  destinations: { logAnalytics: [{ name: DESTINATION, workspaceResourceId: workspaceId }] },
  dataFlows: [EVENT_STREAM, COUNTER_STREAM].map((stream) => ({ streams: [stream], destinations: [DESTINATION] })),
});

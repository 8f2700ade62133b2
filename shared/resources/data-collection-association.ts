/** Mission A7: binds a machine to the tenant's data collection rule, so that its agent knows what to gather. */
import type { DataCollectionRuleAssociationProxyOnlyResource as FoundAssociation } from "@azure/arm-monitor";
import type { Azure } from "../azure/client.ts";
import { changesBetween, removeOwned } from "../azure/owned.ts";
import { carriesDescription, descriptionOf, relative, type Subscription } from "../azure/place.ts";
import { type Observed, type Owner, present, type Resource, unknown } from "./resource.ts";

export type DataCollectionAssociation = Subscription & {
  owner: Owner;
  name: string;
  /** Resource ids. */
  machineId: string;
  ruleId: string;
};

export interface ActualDataCollectionAssociation {
  id: string;
  /** In lower case. */
  ruleId: string;
}

export const dataCollectionAssociation = ({
  azure,
}: {
  azure: Azure;
}): Resource<DataCollectionAssociation, ActualDataCollectionAssociation> => {
  const what = ({ machineId }: DataCollectionAssociation): string => `data collection of ${machineId.split("/").at(-1)}`;

  async function observe(desired: DataCollectionAssociation): Promise<Observed<ActualDataCollectionAssociation>> {
    const found = await azure.read(desired, async (clients) =>
      (await clients.monitor()).dataCollectionRuleAssociations.get(relative(desired.machineId), desired.name),
    );
    if (found.state !== "present") return found;
    if (!carriesDescription(found.actual.description, desired.owner))
      return unknown("ForeignObject", `an association ${desired.name} exists there that Gatehouse did not make for this tenant`);
    return present(actualOf(found.actual));
  }

  const write = (action: string, desired: DataCollectionAssociation) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.monitor()).dataCollectionRuleAssociations.create(relative(desired.machineId), desired.name, {
        body: { dataCollectionRuleId: desired.ruleId, description: descriptionOf(desired.owner) },
        onResponse,
      }),
    );

  return {
    kind: "dataCollectionAssociation",
    observe,
    diff: ({ ruleId }, actual) => changesBetween({ ruleId: ruleId.toLowerCase() }, actual),
    create: (desired) => write("beginning", desired),
    update: (desired) => write("changing", desired),
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.monitor()).dataCollectionRuleAssociations.delete(relative(desired.machineId), desired.name, {
          onResponse,
        }),
      ),
  };
};

const actualOf = ({ id, dataCollectionRuleId }: FoundAssociation): ActualDataCollectionAssociation => ({
  id: id ?? "",
  ruleId: (dataCollectionRuleId ?? "").toLowerCase(),
});

/** A fleet for tests: virtual machines put straight into the simulated Azure, which would take an onboarding each otherwise. */
import type { Platform } from "../../infra/local/clouds/simulator.ts";

export const machineId = (subscriptionId: string, index: number): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/gatehouse-customer-${index}/providers/Microsoft.Compute/virtualMachines/gateway-1`;

export interface Machines {
  subscriptionId: string;
  count: number;
  /** Number of the first. */
  from?: number;
  partnerId?: string;
}

/** Running machines of tenants `customer-<n>` with ownership tags, in resource groups of their own. */
export function placeMachines(platform: Platform, { subscriptionId, count, from = 0, partnerId = "partner" }: Machines): void {
  const machines = platform.collection<unknown>("arm.microsoft.compute/virtualmachines");
  const groups = platform.collection<unknown>("arm.resourceGroups");
  for (let index = from; index < from + count; index += 1) {
    const id = machineId(subscriptionId, index);
    const groupId = id.split("/").slice(0, 5).join("/");
    const tags = { "gatehouse-partner": partnerId, "gatehouse-tenant": `customer-${index}` };
    const location = "westeurope";
    const name = groupId.split("/").at(-1);
    groups.set(groupId.toLowerCase(), { id: groupId, name, location, tags, provisioningState: "Succeeded" });
    machines.set(id.toLowerCase(), {
      id,
      name: "gateway-1",
      type: "Microsoft.Compute/virtualMachines",
      location,
      body: {
        id,
        name: "gateway-1",
        type: "Microsoft.Compute/virtualMachines",
        location,
        tags,
        properties: {
          provisioningState: "Succeeded",
          hardwareProfile: { vmSize: "Standard_D4as_v5" },
          storageProfile: {
            imageReference: {
              publisher: "MicrosoftWindowsServer",
              offer: "WindowsServer",
              sku: "2022-datacenter-azure-edition",
              version: "latest",
            },
          },
        },
      },
      facts: { power: "running", diskName: "disk", generation: "V2" },
      createdAt: platform.now(),
    });
  }
}

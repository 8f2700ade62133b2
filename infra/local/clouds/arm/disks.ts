/** Microsoft.Compute/disks: the managed disk that comes with a virtual machine and, with deleteOption Detach, stays after it. */
import { ArmError, type Json } from "./envelope.ts";
import type { Stored, Estate } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const type = "Microsoft.Compute/disks";

export const disks = (estate: Estate): ResourceType => ({
  type,
  manner: "compute",
  putInSeconds: 2,
  deleteInSeconds: 2,
  creatable: false,
  put: ({ existing }) => {
    if (existing === undefined)
      throw new ArmError(501, "NotModelled", "The simulator makes disks only along with virtual machines.");
    return { location: existing.location, body: existing.body, unchanged: true };
  },
  checkDelete: ({ id, name, body }) => {
    const owner = body["managedBy"];
    if (typeof owner !== "string" || estate.resource(owner) === undefined) return;
    throw new ArmError(409, "OperationNotAllowed", `Disk ${name} is attached to VM ${owner}. (${id})`);
  },
});

/** The system disk as Compute makes it along with a machine. */
export function systemDisk({
  id,
  location,
  virtualMachineId,
  generation,
  sku,
  createdAt,
}: {
  id: string;
  location: string;
  virtualMachineId: string;
  generation: "V1" | "V2";
  sku: string;
  createdAt: number;
}): Stored {
  const name = id.split("/").at(-1) ?? "";
  const body: Json & { properties: Json } = {
    name,
    id,
    type,
    location,
    managedBy: virtualMachineId,
    sku: { name: sku, tier: sku.split("_")[0] },
    properties: {
      osType: "Windows",
      hyperVGeneration: generation,
      diskSizeGB: 127,
      diskState: "Attached",
      timeCreated: new Date(createdAt).toISOString(),
      provisioningState: "Succeeded",
      creationData: { createOption: "FromImage" },
    },
  };
  return { id, name, type, location, body, facts: {}, createdAt };
}

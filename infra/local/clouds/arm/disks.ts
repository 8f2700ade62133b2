/**
 * Microsoft.Compute/disks: the managed disk that comes with a virtual machine and, with deleteOption Detach, stays after it; and empty
 * disks of their own. A disk's kind can be changed while its machine is off or it has none. Source: DiskRP's disk.json, "Change the disk
 * type of an Azure managed disk".
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { diskKindsIn } from "./catalog.ts";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import type { Estate, Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const diskSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  zones: z.array(z.string()).max(1).optional(),
  sku: z.looseObject({ name: z.string() }).default({ name: "Standard_LRS" }),
  properties: z.looseObject({
    creationData: z.looseObject({ createOption: z.string() }),
    diskSizeGB: z.number().int().min(1).max(65_536).optional(),
  }),
});

const type = "Microsoft.Compute/disks";

export const disks = (estate: Estate): ResourceType => ({
  type,
  manner: "compute",
  putInSeconds: 2,
  deleteInSeconds: 2,
  put: ({ id, name, body, existing }) => {
    const { location, tags, zones, sku, properties } = parseBody(diskSchema, body);
    if (!diskKindsIn(location).includes(sku.name))
      throw new ArmError(
        400,
        "InvalidParameter",
        `The value '${sku.name}' of parameter 'sku.name' is not supported in location '${location}'.`,
        { target: "sku.name" },
      );
    if (existing === undefined && properties.creationData.createOption !== "Empty")
      throw new ArmError(501, "NotModelled", "The simulator makes empty disks, and system disks along with virtual machines.");
    if (existing === undefined && properties.diskSizeGB === undefined)
      throw new ArmError(400, "InvalidParameter", "Required parameter 'diskSizeGB' is missing (null).", { target: "diskSizeGB" });
    if (existing !== undefined) checkChange(estate, existing, { sku: sku.name, size: properties.diskSizeGB, zones });
    return {
      location,
      body: {
        name,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        ...(zones === undefined ? {} : { zones }),
        ...(existing?.body["managedBy"] === undefined ? {} : { managedBy: existing.body["managedBy"] }),
        sku: skuBody(sku.name),
        properties: {
          uniqueId: existing?.body.properties["uniqueId"] ?? randomUUID(),
          timeCreated: existing?.body.properties["timeCreated"] ?? new Date(estate.platform.now()).toISOString(),
          diskState: existing?.body.properties["diskState"] ?? "Unattached",
          networkAccessPolicy: "AllowAll",
          publicNetworkAccess: "Enabled",
          ...properties,
        },
      },
    };
  },
  checkDelete: ({ id, name, body }) => {
    const owner = body["managedBy"];
    if (typeof owner !== "string" || estate.resource(owner) === undefined) return;
    throw new ArmError(409, "OperationNotAllowed", `Disk ${name} is attached to VM ${owner}. (${id})`);
  },
});

const skuBody = (name: string): Json => ({ name, tier: name.replace(/SSD|_.*$/g, "") });

function checkChange(
  estate: Estate,
  existing: Stored,
  { sku, size, zones }: { sku: string; size: number | undefined; zones: string[] | undefined },
): void {
  const { name, body } = existing;
  const before = (body["sku"] as { name: string }).name;
  const owner = typeof body["managedBy"] === "string" ? estate.resource(body["managedBy"]) : undefined;
  if (before !== sku && owner !== undefined && owner.facts["power"] !== "deallocated")
    throw new ArmError(
      409,
      "OperationNotAllowed",
      `Cannot change the storage account type of disk '${name}' while it is attached to running VM '${owner.name}'. Stop (deallocate) the VM and try again.`,
    );
  if (before !== sku && before.endsWith("_ZRS") !== sku.endsWith("_ZRS"))
    throw new ArmError(
      409,
      "OperationNotAllowed",
      `Changing property 'sku.name' from '${before}' to '${sku}' is not allowed: replication can't be changed.`,
    );
  const sizeBefore = body.properties["diskSizeGB"];
  if (size !== undefined && typeof sizeBefore === "number" && size < sizeBefore)
    throw new ArmError(
      400,
      "ResizeDiskError",
      `New disk size ${size} GB is smaller than the current size ${sizeBefore} GB of disk '${name}'.`,
    );
  if (zones !== undefined && JSON.stringify(zones) !== JSON.stringify(body["zones"] ?? []))
    throw new ArmError(409, "PropertyChangeNotAllowed", "Changing property 'zones' is not allowed.", { target: "zones" });
}

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
    sku: skuBody(sku),
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

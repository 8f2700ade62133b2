/** Microsoft.Compute/virtualMachines: what Compute checks before it builds one, what may change later, how it is and what goes with it. */
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { checkAligned, domainsOf, upperCased } from "./availability-sets.ts";
import { diskKinds, diskKindsIn, imageOf, regions, sizeNamed, sizes, type PlatformImage } from "./catalog.ts";
import { systemDisk } from "./disks.ts";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { groupIdOf, keyOf, requireReference, sameId, type Estate, type Stored } from "./estate.ts";
import { extensionsOf, extensionView, handlerView } from "./extensions.ts";
import { allocationFailed, skuNotAvailable, zonalAllocationFailed } from "./failures.ts";
import { checkPlan } from "./marketplace.ts";
import { withSetUpBegun } from "../guest/product.ts";
import { freshGuest } from "../guest/state.ts";
import { hashOf } from "../guest/values.ts";
import { checkReservation, machineUsing } from "./network-interfaces.ts";
import type { Failure } from "./operations.ts";
import { checkCores } from "./quotas.ts";
import { operationHeaders, requireResource, type Addressed } from "./resources.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const imageReferenceSchema = z.looseObject({ publisher: z.string(), offer: z.string(), sku: z.string(), version: z.string() });

const virtualMachineSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  zones: z.array(z.string()).max(1).optional(),
  plan: z
    .looseObject({ name: z.string().optional(), publisher: z.string().optional(), product: z.string().optional() })
    .optional(),
  identity: z.looseObject({ type: z.string(), userAssignedIdentities: z.record(z.string(), z.unknown()).optional() }).optional(),
  properties: z.looseObject({
    hardwareProfile: z.looseObject({ vmSize: z.string() }),
    storageProfile: z.looseObject({
      imageReference: imageReferenceSchema,
      osDisk: z.looseObject({
        name: z.string().optional(),
        createOption: z.string(),
        caching: z.string().optional(),
        deleteOption: z.enum(["Delete", "Detach"]).default("Detach"),
        diskSizeGB: z.number().optional(),
        managedDisk: z.looseObject({ storageAccountType: z.string().optional(), id: z.string().optional() }).optional(),
      }),
      dataDisks: z.array(z.unknown()).default([]),
    }),
    osProfile: z.looseObject({
      computerName: z.string(),
      adminUsername: z.string(),
      adminPassword: z.string().optional(),
      windowsConfiguration: z.looseObject({}).optional(),
    }),
    networkProfile: z.looseObject({
      networkInterfaces: z
        .array(
          z.looseObject({
            id: z.string(),
            properties: z
              .looseObject({ primary: z.boolean().optional(), deleteOption: z.enum(["Delete", "Detach"]).optional() })
              .optional(),
          }),
        )
        .min(1),
    }),
    securityProfile: z
      .looseObject({
        securityType: z.string().optional(),
        uefiSettings: z
          .looseObject({ secureBootEnabled: z.boolean().optional(), vTpmEnabled: z.boolean().optional() })
          .optional(),
      })
      .optional(),
    availabilitySet: z.looseObject({ id: z.string() }).optional(),
    diagnosticsProfile: z
      .looseObject({
        bootDiagnostics: z.looseObject({ enabled: z.boolean().optional(), storageUri: z.string().optional() }).optional(),
      })
      .optional(),
  }),
});

type VirtualMachine = z.output<typeof virtualMachineSchema>;

const type = "Microsoft.Compute/virtualMachines";

export const virtualMachines = (estate: Estate): ResourceType => ({
  type,
  manner: "compute",
  putInSeconds: 30,
  deleteInSeconds: 20,
  etag: "number",
  put: (put) => acceptMachine(estate, put),
  present: (resource, { expand }) => {
    const resources = extensionsOf(estate, resource).map(({ body }) => body);
    const shown = resources.length === 0 ? resource.body : { ...resource.body, resources };
    return expand?.toLowerCase() === "instanceview"
      ? { ...shown, properties: { ...resource.body.properties, instanceView: instanceView(estate, resource) } }
      : shown;
  },
  created: (resource, ordered) => build(estate, resource, ordered),
  deleted: (resource) => tearDown(estate, resource),
});

function acceptMachine(
  estate: Estate,
  { id, name, subscriptionId, body, existing }: Put,
): {
  location: string;
  body: Json & { properties: Json };
  facts: Json;
} {
  const asked = parseBody(virtualMachineSchema, body);
  const { location, properties } = asked;
  const image = checkImage(asked);
  checkSize(asked, image, subscriptionId);
  checkDisk(asked);
  checkPlan(estate, subscriptionId, { wanted: image.plan, given: asked.plan });
  checkPlacement(estate, asked, id);
  checkDiagnostics(estate, asked, subscriptionId);
  checkOsProfile(asked, existing);
  if (existing !== undefined) checkUnchanged(asked, existing);
  checkCores(estate, { subscriptionId, location }, { vmSize: properties.hardwareProfile.vmSize, id });
  const identity = identityOf(estate, asked, id);
  const networkInterfaces = properties.networkProfile.networkInterfaces.map((used, index) => {
    const networkInterface = requireReference(estate, used.id, {
      path: `properties.networkProfile.networkInterfaces[${index}].id`,
      by: id,
      location,
    });
    checkReservation(estate, networkInterface, id);
    const owner = machineUsing(estate, networkInterface.id);
    if (owner !== undefined && !sameId(owner.id, id))
      throw new ArmError(400, "NicInUse", `Network Interface ${networkInterface.id} is used by existing resource ${owner.id}.`);
    return { id: used.id, properties: { primary: index === 0, ...used.properties } };
  });
  const { adminPassword, ...osProfile } = properties.osProfile;
  const salt = textOf(existing?.facts["passwordSalt"]) || randomBytes(16).toString("hex");
  if (adminPassword !== undefined) estate.platform.secrets.add(adminPassword);
  const passwordHash = adminPassword === undefined ? existing?.facts["passwordHash"] : hashed(adminPassword, salt);
  const { imageReference, osDisk } = properties.storageProfile;
  const exactVersion = imageOf(imageReference)?.exactVersion;
  const diskName = osDisk.name ?? (textOf(existing?.facts["diskName"]) || `${name}_OsDisk_1_${randomUUID().replaceAll("-", "")}`);
  const diskId = `${groupIdOf(id)}/providers/Microsoft.Compute/disks/${diskName}`;
  const sku = osDisk.managedDisk?.storageAccountType ?? "StandardSSD_LRS";
  return {
    location,
    facts: {
      passwordSalt: salt,
      passwordHash,
      ...(adminPassword === undefined ? keptPassword(existing) : { firstPassword: hashOf(adminPassword) }),
      diskName,
      generation: image.generation,
      power: existing?.facts["power"] ?? "starting",
    },
    body: {
      name,
      id,
      type,
      location,
      ...(asked.tags === undefined ? {} : { tags: asked.tags }),
      ...(asked.zones === undefined ? {} : { zones: asked.zones }),
      ...(asked.plan === undefined ? {} : { plan: asked.plan }),
      ...(identity === undefined ? {} : { identity }),
      properties: {
        ...properties,
        ...(properties.availabilitySet === undefined
          ? {}
          : { availabilitySet: { id: upperCased(properties.availabilitySet.id) } }),
        storageProfile: {
          imageReference: { ...imageReference, exactVersion },
          osDisk: {
            osType: "Windows",
            ...osDisk,
            name: diskName,
            caching: osDisk.caching ?? "ReadWrite",
            diskSizeGB: osDisk.diskSizeGB ?? 127,
            managedDisk: { storageAccountType: sku, id: diskId },
          },
          dataDisks: [],
        },
        osProfile: {
          secrets: [],
          allowExtensionOperations: true,
          requireGuestProvisionSignal: true,
          windowsConfiguration: {
            provisionVMAgent: true,
            enableAutomaticUpdates: true,
            patchSettings: { patchMode: "AutomaticByOS", assessmentMode: "ImageDefault" },
          },
          ...osProfile,
        },
        networkProfile: { networkInterfaces },
        instanceView: undefined,
        vmId: existing?.body.properties["vmId"] ?? randomUUID(),
        timeCreated: existing?.body.properties["timeCreated"] ?? new Date(estate.platform.now()).toISOString(),
      },
    },
  };
}

/** What Windows knows of its first user's password. */
const keptPassword = (existing: Stored | undefined) =>
  existing?.facts["firstPassword"] === undefined ? {} : { firstPassword: existing.facts["firstPassword"] };

const hashed = (password: string, salt: string): string => createHmac("sha256", salt).update(password).digest("hex");

function checkImage({ properties }: VirtualMachine): PlatformImage {
  const { publisher, offer, sku, version } = properties.storageProfile.imageReference;
  const known = imageOf({ publisher, offer, sku, version });
  if (known !== undefined) return known.image;
  throw new ArmError(
    404,
    "PlatformImageNotFound",
    `The platform image '${publisher}:${offer}:${sku}:${version}' is not available. Verify that all fields in the storage profile are correct. For more details about storage profile information, please refer to https://aka.ms/storageprofile`,
    { target: "imageReference" },
  );
}

function checkSize({ location, zones, properties }: VirtualMachine, image: PlatformImage, subscriptionId: string): void {
  const { vmSize } = properties.hardwareProfile;
  const region = regions[location];
  const size = sizeNamed(vmSize);
  if (region === undefined)
    throw new ArmError(
      400,
      "LocationNotAvailableForResourceType",
      `The provided location '${location}' is not available for resource type '${type}'. List of available regions for the resource type is '${Object.keys(regions).join(",")}'.`,
    );
  if (size === undefined)
    throw new ArmError(
      400,
      "InvalidParameter",
      `The value ${vmSize} provided for the VM size is not valid. The valid sizes in the current region are: ${sizes.map(({ name }) => name).join(",")}. Find out more on the valid VM sizes in each region at https://aka.ms/azure-regions.`,
      { target: "vmSize" },
    );
  if (size.missingIn?.includes(location) || size.restrictedIn?.includes(location))
    throw new ArmError(409, "SkuNotAvailable", skuNotAvailable(vmSize, location), { target: subscriptionId });
  const [closed] = (zones ?? []).filter((asked) => size.restrictedZones?.[location]?.includes(asked));
  if (closed !== undefined)
    throw new ArmError(
      409,
      "SkuNotAvailable",
      `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${vmSize}' is currently not available in location '${location}' zones '${closed}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`,
      { target: subscriptionId },
    );
  const zone = zones?.find((asked) => !region.zones.includes(asked));
  if (zone !== undefined)
    throw new ArmError(
      400,
      "InvalidAvailabilityZone",
      `The zone(s) '${zone}' for resource '${type}' is not supported. The supported zones for location '${location}' are '${region.zones.join(",")}'.`,
    );
  if (!size.generations.split(",").includes(image.generation))
    throw new ArmError(
      400,
      "BadRequest",
      `The selected VM size '${vmSize}' cannot boot Hypervisor Generation '${image.generation.slice(1)}'. If this was a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size. If this was an Update operation please select a Hypervisor Generation '${image.generation.slice(1)}' VM Size. For more information, see https://aka.ms/azuregen2vm`,
    );
  if (properties.securityProfile?.securityType === "TrustedLaunch" && (image.generation !== "V2" || !size.trustedLaunch))
    throw new ArmError(
      400,
      "BadRequest",
      `Security type 'TrustedLaunch' is not supported for the VM size '${vmSize}' with an image of Hypervisor Generation '${image.generation.slice(1)}'.`,
      { target: "securityProfile" },
    );
}

/** What the system disk may be, by region and size. */
function checkDisk({ location, properties: { storageProfile, hardwareProfile } }: VirtualMachine): void {
  if (storageProfile.dataDisks.length > 0)
    throw new ArmError(501, "NotModelled", "The simulator knows machines with a system disk only.");
  const kind = storageProfile.osDisk.managedDisk?.storageAccountType;
  if (kind === undefined) return;
  const target = "osDisk.managedDisk.storageAccountType";
  const known = diskKinds.find(({ name }) => name === kind);
  if (known === undefined || !diskKindsIn(location).includes(kind))
    throw new ArmError(
      400,
      "InvalidParameter",
      `Storage account type '${kind}' is not supported in location '${location}'. Supported types are: ${diskKindsIn(location).join(", ")}.`,
      { target },
    );
  if (!known.system)
    throw new ArmError(400, "InvalidParameter", `StorageAccountType ${kind} is not supported for the OS disk.`, { target });
  const premium = kind.startsWith("Premium");
  if (premium && sizeNamed(hardwareProfile.vmSize)?.premiumDisks === false)
    throw new ArmError(
      400,
      "InvalidParameter",
      `Requested operation cannot be performed because the VM size ${hardwareProfile.vmSize} does not support the storage account type ${kind} of disk. Consider updating the VM to a size that supports Premium storage.`,
      { target },
    );
}

/** A set or a zone, not both; the set in the machine's region. */
function checkPlacement(estate: Estate, { location, zones, properties }: VirtualMachine, id: string): void {
  if (properties.availabilitySet === undefined) return;
  if ((zones ?? []).length > 0)
    throw new ArmError(
      400,
      "BadRequest",
      "Virtual Machine cannot be created because both Availability Zone and Availability Set were specified. Deploying an Availability Set to an Availability Zone isn't supported.",
    );
  checkAligned(
    requireReference(estate, properties.availabilitySet.id, { path: "properties.availabilitySet.id", by: id, location }),
  );
}

/** Names and passwords that Compute refuses. Source: the parameter descriptions in Compute's virtualMachine.json. */
/**
 * Source: "Azure boot diagnostics": an own storage account is in the machine's region and subscription; "Troubleshoot boot diagnostics":
 * premium and zone-redundant ones are refused. The wording of the first refusal is ours.
 */
function checkDiagnostics(estate: Estate, { location, properties }: VirtualMachine, subscriptionId: string): void {
  const { storageUri } = properties.diagnosticsProfile?.bootDiagnostics ?? {};
  if (storageUri === undefined) return;
  const account = estate
    .ofType("Microsoft.Storage/storageAccounts")
    .find(({ body }) => (body.properties["primaryEndpoints"] as { blob?: string } | undefined)?.blob === storageUri);
  if (account === undefined || account.location !== location || !sameId(account.id.split("/")[2], subscriptionId))
    throw new ArmError(
      400,
      "InvalidParameter",
      `The storage account of ${storageUri} is not in region ${location} of the virtual machine's subscription.`,
      { target: "diagnosticsProfile.bootDiagnostics.storageUri" },
    );
  const sku = (account.body["sku"] as { name: string }).name;
  if (sku.startsWith("Premium") || sku.endsWith("ZRS"))
    throw new ArmError(
      409,
      "StorageAccountTypeNotSupported",
      `Use of boot diagnostics is not supported for storage account type '${sku}'.`,
    );
}

function checkOsProfile({ properties: { osProfile } }: VirtualMachine, existing: Stored | undefined): void {
  const { computerName, adminUsername, adminPassword } = osProfile;
  if (computerName.length > 15 || /^\d+$/.test(computerName) || /[`~!@#$%^&*()=+_[\]{}\\|;:.'",<>/?\s]/.test(computerName))
    throw new ArmError(
      400,
      "InvalidParameter",
      "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . ' \" , < > / ?.",
      { target: "computerName" },
    );
  if (disallowedUsernames.has(adminUsername.toLowerCase()) || adminUsername.endsWith(".") || adminUsername.length > 20)
    throw new ArmError(400, "InvalidParameter", "The Admin Username specified is not allowed.", { target: "adminUsername" });
  if (adminPassword === undefined && existing === undefined)
    throw new ArmError(400, "InvalidParameter", "Required parameter 'adminPassword' is missing (null).", {
      target: "adminPassword",
    });
  if (adminPassword !== undefined && !complexEnough(adminPassword))
    throw new ArmError(
      400,
      "InvalidParameter",
      "The supplied password must be between 8-123 characters long and must satisfy at least 3 of password complexity requirements from the following: \r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed",
      { target: "adminPassword" },
    );
}

const disallowedUsernames = new Set(
  "administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2 aspnet backup console david guest john owner root server sql support support_388945a0 sys test2 test3 user4 user5".split(
    " ",
  ),
);

const disallowedPasswords = new Set([
  "abc@123",
  "P@$$w0rd",
  "P@ssw0rd",
  "P@ssword123",
  "Pa$$word",
  "pass@word1",
  "Password!",
  "Password1",
  "Password22",
  "iloveyou!",
]);

function complexEnough(password: string): boolean {
  const kinds = [/[A-Z]/, /[a-z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  const printable = !/\p{Cc}/u.test(password);
  return password.length >= 8 && password.length <= 123 && kinds >= 3 && printable && !disallowedPasswords.has(password);
}

/** What a machine was born with. Source: "cannot be updated after the VM is created" in virtualMachine.json; code and shape from Azure's answers. */
function checkUnchanged(asked: VirtualMachine, existing: Stored): void {
  const before = existing.body as unknown as VirtualMachine;
  const image = ({ properties: { storageProfile } }: VirtualMachine): string => {
    const { publisher, offer, sku, version } = storageProfile.imageReference;
    return [publisher, offer, sku, version].join(":").toLowerCase();
  };
  const { adminPassword } = asked.properties.osProfile;
  const samePassword =
    adminPassword === undefined ||
    hashed(adminPassword, String(existing.facts["passwordSalt"])) === existing.facts["passwordHash"];
  const facets: [string, string, unknown, unknown][] = [
    ["osProfile.computerName", "computerName", before.properties.osProfile.computerName, asked.properties.osProfile.computerName],
    [
      "osProfile.adminUsername",
      "adminUsername",
      before.properties.osProfile.adminUsername,
      asked.properties.osProfile.adminUsername,
    ],
    ["osProfile.adminPassword", "adminPassword", true, samePassword],
    ["imageReference", "imageReference", image(before), image(asked)],
    [
      "osDisk.createOption",
      "osDisk.createOption",
      before.properties.storageProfile.osDisk.createOption,
      asked.properties.storageProfile.osDisk.createOption,
    ],
    [
      "osDisk.name",
      "osDisk.name",
      before.properties.storageProfile.osDisk.name,
      asked.properties.storageProfile.osDisk.name ?? before.properties.storageProfile.osDisk.name,
    ],
    [
      "availabilitySet.id",
      "availabilitySet",
      text(before.properties.availabilitySet?.id),
      text(asked.properties.availabilitySet?.id),
    ],
    [
      "securityProfile.securityType",
      "securityProfile.securityType",
      before.properties.securityProfile?.securityType,
      asked.properties.securityProfile?.securityType ?? before.properties.securityProfile?.securityType,
    ],
    ["zones", "zones", text(before.zones), text(asked.zones ?? before.zones)],
    ["plan", "plan", text(before.plan), text(asked.plan ?? before.plan)],
    [
      "osDisk.managedDisk.storageAccountType",
      "osDisk.managedDisk.storageAccountType",
      before.properties.storageProfile.osDisk.managedDisk?.storageAccountType,
      asked.properties.storageProfile.osDisk.managedDisk?.storageAccountType ??
        before.properties.storageProfile.osDisk.managedDisk?.storageAccountType,
    ],
  ];
  const changed = facets.find(([, , was, is]) => was !== is);
  if (changed === undefined) return;
  throw new ArmError(409, "PropertyChangeNotAllowed", `Changing property '${changed[0]}' is not allowed.`, {
    target: changed[1],
  });
}

const text = (value: unknown): string => JSON.stringify(value ?? null).toLowerCase();

/** User-assigned identities are named by resource id; Azure adds who they are. */
function identityOf(estate: Estate, { identity }: VirtualMachine, id: string): Json | undefined {
  if (identity === undefined || identity.type === "None") return undefined;
  if (identity.type !== "UserAssigned")
    throw new ArmError(501, "NotModelled", `The simulator knows user-assigned identities only, not '${identity.type}'.`);
  const assigned = Object.keys(identity.userAssignedIdentities ?? {}).map((identityId) => {
    const known = estate.resource(identityId);
    if (known?.type !== "Microsoft.ManagedIdentity/userAssignedIdentities")
      throw new ArmError(
        400,
        "FailedIdentityOperation",
        `Identity operation for resource '${id}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{"error":{"code":"BadRequest","message":"Resource '${identityId}' was not found."}}'.`,
      );
    const { principalId, clientId } = known.body.properties;
    return [identityId, { principalId, clientId }] as const;
  });
  if (assigned.length === 0)
    throw new ArmError(
      400,
      "InvalidIdentityId",
      "The identity type 'UserAssigned' requires at least one entry in 'userAssignedIdentities'.",
    );
  return { type: "UserAssigned", userAssignedIdentities: Object.fromEntries(assigned) };
}

/** How long a publisher's image takes to set itself up. */
const SET_UP_IN_SECONDS = 300;

/** The deadline of a creation: there is a machine with a fresh guest, or no capacity was found and its interfaces stay reserved for it. */
function build(estate: Estate, resource: Stored, ordered: Failure | undefined): Failure | undefined {
  const size = sizeNamed(String((resource.body.properties["hardwareProfile"] as Json)["vmSize"]));
  const withoutCapacity = ordered !== undefined && /Allocation/.test(ordered.code) && resource.facts["power"] === "starting";
  const zones = (resource.body["zones"] ?? []) as string[];
  const zoneFull = zones.some((zone) => size?.exhaustedZones?.[resource.location]?.includes(zone));
  if (size?.exhaustedIn?.includes(resource.location) || zoneFull || withoutCapacity) {
    const until = estate.platform.now() + estate.duration(180);
    for (const networkInterface of interfacesOf(estate, resource))
      estate.save({
        ...networkInterface,
        facts: { ...networkInterface.facts, reserved: { virtualMachineId: resource.id, until } },
      });
    if (ordered !== undefined) return ordered;
    return zoneFull
      ? { code: "ZonalAllocationFailed", message: zonalAllocationFailed }
      : { code: "AllocationFailed", message: allocationFailed };
  }
  const { osDisk, imageReference } = resource.body.properties["storageProfile"] as VirtualMachine["properties"]["storageProfile"];
  const diskId = String(osDisk.managedDisk?.id);
  if (estate.resource(diskId) === undefined)
    estate.save(
      systemDisk({
        id: diskId,
        location: resource.location,
        virtualMachineId: resource.id,
        generation: resource.facts["generation"] === "V1" ? "V1" : "V2",
        sku: osDisk.managedDisk?.storageAccountType ?? "StandardSSD_LRS",
        createdAt: estate.platform.now(),
      }),
    );
  if (estate.guests.get(keyOf(resource.id)) === undefined) {
    const image = imageOf(imageReference)?.image;
    const { computerName, adminUsername } = resource.body.properties["osProfile"] as Record<string, string>;
    const fresh = {
      ...freshGuest({
        virtualMachineId: resource.id,
        computerName: String(computerName),
        smtpServerFeature: image?.smtpServerFeature ?? false,
      }),
      passwords: { [String(adminUsername).toLowerCase()]: String(resource.facts["firstPassword"]) },
    };
    const endsAt = estate.platform.now() + estate.duration(SET_UP_IN_SECONDS);
    estate.guests.set(keyOf(resource.id), image?.setsItselfUp === true ? withSetUpBegun(fresh, endsAt) : fresh);
  }
  if (resource.facts["power"] === "starting") estate.save({ ...resource, facts: { ...resource.facts, power: "running" } });
  // Whatever else fails, fails in a machine that is there and runs.
  return ordered;
}

const interfacesOf = (estate: Estate, resource: Stored): Stored[] =>
  ((resource.body.properties["networkProfile"] as Json)["networkInterfaces"] as Json[])
    .map(({ id }) => estate.resource(String(id)))
    .filter((networkInterface) => networkInterface !== undefined);

/** With deleteOption Delete, disk and interfaces go along; otherwise the disk is left over. */
function tearDown(estate: Estate, resource: Stored): void {
  const { osDisk } = resource.body.properties["storageProfile"] as VirtualMachine["properties"]["storageProfile"];
  const diskId = String(osDisk.managedDisk?.id);
  const disk = estate.resource(diskId);
  if (disk !== undefined && osDisk.deleteOption === "Delete") estate.remove(diskId);
  else if (disk !== undefined)
    estate.save({
      ...disk,
      body: { ...disk.body, managedBy: undefined, properties: { ...disk.body.properties, diskState: "Unattached" } },
    });
  const { networkInterfaces } = resource.body.properties["networkProfile"] as VirtualMachine["properties"]["networkProfile"];
  for (const { id, properties } of networkInterfaces) if (properties?.deleteOption === "Delete") estate.remove(id);
  for (const child of [...estate.ofType(`${type}/runCommands`), ...extensionsOf(estate, resource)])
    if (keyOf(child.id).startsWith(`${keyOf(resource.id)}/`)) estate.remove(child.id);
  estate.guests.delete(keyOf(resource.id));
}

/** What Resource Health says of a machine: stopped on request is unavailable too; an outage is whatever `POST /machines` made of it. */
export const availabilityOf = ({ facts }: Stored): "Available" | "Unavailable" =>
  facts["power"] === "running" && facts["outage"] !== true ? "Available" : "Unavailable";

/** What somebody does to a machine from outside ARM, at once: `POST /machines`. */
export const machineActions = ["start", "stop", "fail", "recover"] as const;
export type MachineAction = (typeof machineActions)[number];

export function actOnMachine(estate: Estate, virtualMachineId: string, action: MachineAction): boolean {
  const machine = estate.resource(virtualMachineId);
  if (machine?.type !== type) return false;
  const change = {
    start: { power: "running" },
    stop: { power: "deallocated" },
    fail: { outage: true },
    recover: { outage: false },
  }[action];
  estate.save({ ...machine, facts: { ...machine.facts, ...change } });
  return true;
}

export const powerNames: Record<string, string> = {
  running: "VM running",
  starting: "VM starting",
  stopped: "VM stopped",
  deallocated: "VM deallocated",
};

export function instanceView(estate: Estate, resource: Stored): Json {
  const provisioning = String(resource.body.properties["provisioningState"]);
  const power = String(resource.facts["power"]);
  const guest = estate.guests.get(keyOf(resource.id));
  const running = power === "running" && guest !== undefined;
  const time = new Date(resource.createdAt).toISOString();
  const { imageReference } = resource.body.properties["storageProfile"] as VirtualMachine["properties"]["storageProfile"];
  const image = imageOf(imageReference)?.image;
  return {
    ...domainsOf(estate, resource),
    ...bootDiagnosticsOf(resource),
    ...(running
      ? {
          computerName: guest.computerName,
          osName: image?.osName,
          osVersion: image?.osVersion,
          vmAgent: {
            vmAgentVersion: "2.7.41491.1172",
            statuses: [
              {
                code: "ProvisioningState/succeeded",
                level: "Info",
                displayStatus: "Ready",
                message: "GuestAgent is running and processing the extensions.",
                time: new Date(estate.platform.now()).toISOString(),
              },
            ],
            extensionHandlers: extensionsOf(estate, resource).map(handlerView),
          },
          extensions: extensionsOf(estate, resource).map(extensionView),
        }
      : {}),
    hyperVGeneration: resource.facts["generation"],
    disks: [
      {
        name: resource.facts["diskName"],
        statuses: [{ code: "ProvisioningState/succeeded", level: "Info", displayStatus: "Provisioning succeeded", time }],
      },
    ],
    statuses: [
      {
        code: `ProvisioningState/${provisioning.toLowerCase()}`,
        level: provisioning === "Failed" ? "Error" : "Info",
        displayStatus: `Provisioning ${provisioning.toLowerCase()}`,
        time,
      },
      ...(provisioning === "Creating" || provisioning === "Failed"
        ? []
        : [{ code: `PowerState/${power}`, level: "Info", displayStatus: powerNames[power] ?? power }]),
    ],
  };
}

/** Pictures and log are in the given storage account, or in one of Azure's own when none is given ("managed"). */
function bootDiagnosticsOf({ name, body }: Stored): Json {
  const { diagnosticsProfile } = body.properties as VirtualMachine["properties"];
  const { enabled, storageUri } = diagnosticsProfile?.bootDiagnostics ?? {};
  if (!enabled) return {};
  if (storageUri === undefined) return { bootDiagnostics: {} };
  const blob = `${storageUri.replace(/\/$/, "")}/bootdiagnostics-${name.toLowerCase().slice(0, 9)}-${textOf(body.properties["vmId"])}/${name}`;
  return {
    bootDiagnostics: {
      consoleScreenshotBlobUri: `${blob}.screenshot.bmp`,
      serialConsoleLogBlobUri: `${blob}.serialconsole.log`,
    },
  };
}

/** POST retrieveBootDiagnosticsData: addresses that are good for a while, only where boot diagnostics are on. */
export function bootDiagnosticsData(estate: Estate, machine: ResourceType, call: Addressed): SimulatedResponse {
  const resource = requireResource(estate, machine, call);
  const { diagnosticsProfile } = resource.body.properties as VirtualMachine["properties"];
  if (!diagnosticsProfile?.bootDiagnostics?.enabled)
    throw new ArmError(
      409,
      "OperationNotAllowed",
      `Boot diagnostics is not enabled on VM '${resource.name}'. Enable boot diagnostics and try again.`,
    );
  const blob = `https://managed.blob.example/${textOf(resource.body.properties["vmId"])}/${resource.name}`;
  return {
    status: 200,
    body: { consoleScreenshotBlobUri: `${blob}.screenshot.bmp`, serialConsoleLogBlobUri: `${blob}.serialconsole.log` },
  };
}

const powerActions: Record<string, string> = {
  start: "running",
  poweroff: "stopped",
  deallocate: "deallocated",
  restart: "running",
};

/** POST start, powerOff, deallocate, restart. */
export function powerAction(estate: Estate, machine: ResourceType, call: Addressed, action: string): SimulatedResponse {
  const resource = requireResource(estate, machine, call);
  const power = powerActions[action.toLowerCase()];
  if (power === undefined) throw new ArmError(404, "InvalidAction", `The action '${action}' is not supported on ${type}.`);
  if (estate.operations.runningOn(resource.id) !== undefined)
    throw new ArmError(
      409,
      "Conflict",
      "The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.",
    );
  const operation = estate.operations.begin(
    {
      kind: "power",
      name: `${action}VirtualMachine`,
      subscriptionId: call.subscriptionId,
      namespace: "Microsoft.Compute",
      location: resource.location,
      target: resource.id,
      facts: { power },
    },
    estate.duration(5),
  );
  return { status: 202, headers: operationHeaders(call, operation, "compute", "action"), effect: "write" };
}

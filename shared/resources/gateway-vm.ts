/** Manual, chapter 2.2; mission A3 to A7: the Windows machine that is the gateway. */
import type { VirtualMachine as FoundMachine, VirtualMachineUpdate } from "@azure/arm-compute";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  removeOwned,
  refuseReplacement,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName, sameId } from "../azure/place.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { Vaults } from "../vault/client.ts";
import type { SecretReference } from "../vault/reference.ts";
import { done, type PropertyChange, type Resource } from "./resource.ts";

export interface Image {
  publisher: string;
  offer: string;
  sku: string;
  version: string;
}

/** Mission A10: what a marketplace image is bought by. */
export interface Plan {
  publisher: string;
  /** The offer, in Compute's words. */
  product: string;
  name: string;
}

/** Mission A4. */
export type Disk = TenantSpec["gateway"]["disk"];

export type GatewayVm = Named & {
  /** Its name inside Windows, at most 15 characters. */
  computerName: string;
  size: string;
  image: Image;
  /** Of an image that is bought. */
  plan?: Plan | undefined;
  /** Kind of its managed disk. */
  disk: Disk;
  /** Fixed for life: `1` to `3`, or a set, or neither. */
  zone?: string | undefined;
  availabilitySetId?: string | undefined;
  networkInterfaceId: string;
  /** Empty while it has none of ours. */
  identityId: string;
  /** Of the storage account that boot diagnostics go to; without one, they stay where they are. */
  diagnosticsUrl?: string | undefined;
  adminUsername: string;
  /** Written at creation, never read back: Azure doesn't tell it, and inside Windows it changes without Azure knowing. */
  adminPassword: SecretReference;
};

export interface ActualGatewayVm extends Provisioned {
  id: string;
  region: string;
  size: string;
  computerName: string;
  image: Image;
  /** Null where the image isn't bought. */
  plan: Plan | null;
  disk: string;
  zone: string;
  /** In lower case: Compute writes it in capitals. */
  availabilitySetId: string;
  networkInterfaceId: string;
  /** Ids in lower case, sorted; others may have added theirs. */
  identityIds: string[];
  adminUsername: string;
  securityType: string;
  secureBoot: boolean;
  vTpm: boolean;
  /** Mission A7. */
  bootDiagnostics: boolean;
  /** Empty where Azure keeps them itself. */
  diagnosticsUrl: string;
}

export const gatewayVm = ({ azure, vaults }: { azure: Azure; vaults: Vaults }): Resource<GatewayVm, ActualGatewayVm> => {
  const what = ({ name }: GatewayVm): string => `virtual machine ${name}`;
  const observe = (desired: GatewayVm) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.compute()).virtualMachines.get(desired.resourceGroup, desired.name),
      actualOf,
    );
  /** `ifNoneMatch`: a machine that appeared since it was found absent is not written over. */
  const write = async (
    action: string,
    desired: GatewayVm,
    options: { ifNoneMatch?: string },
    found: FoundMachine | undefined,
  ) => {
    // What was made with one keeps it, and Azure takes no other for it; inside it may have another one by now.
    const adminPassword = found ? undefined : await vaults.read(desired.adminPassword, desired.entraTenantId);
    return azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.compute()).virtualMachines.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        machine(desired, adminPassword, found),
        {
          ...options,
          onResponse,
        },
      ),
    );
  };

  return {
    kind: "gatewayVm",
    fixed,
    observe,
    secret: ["adminPassword"],
    diff: (desired, actual) =>
      changesBetween<Omit<ActualGatewayVm, "id" | "provisioningState">>(
        {
          region: desired.region,
          size: desired.size.toLowerCase() === actual.size.toLowerCase() ? actual.size : desired.size,
          computerName: desired.computerName,
          image: canonicalImage(desired.image),
          plan: canonicalPlan(desired.plan),
          disk: desired.disk,
          zone: desired.zone ?? "",
          availabilitySetId: desired.availabilitySetId?.toLowerCase() ?? "",
          networkInterfaceId: sameId(desired.networkInterfaceId, actual.networkInterfaceId)
            ? actual.networkInterfaceId
            : desired.networkInterfaceId,
          identityIds: [
            ...new Set([...actual.identityIds, ...(desired.identityId === "" ? [] : [desired.identityId.toLowerCase()])]),
          ].sort(),
          adminUsername: desired.adminUsername,
          securityType: "TrustedLaunch",
          secureBoot: true,
          vTpm: true,
          bootDiagnostics: true,
          diagnosticsUrl: desired.diagnosticsUrl ?? actual.diagnosticsUrl,
        },
        actual,
      ),
    create: (desired) => write("creating", desired, { ifNoneMatch: "*" }, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      // A creation that failed on Azure's side is repeated whole; a machine that runs gets only what differs.
      if (changes.some(({ path }) => path === "provisioningState")) {
        const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
          (await clients.compute()).virtualMachines.get(desired.resourceGroup, desired.name),
        );
        return write("creating again", desired, {}, found);
      }
      if (changes.length === 0) return done;
      return azure.begin(`updating ${what(desired)}`, desired, async (clients, onResponse) =>
        (await clients.compute()).virtualMachines.beginUpdate(desired.resourceGroup, desired.name, patch(desired, changes), {
          onResponse,
        }),
      );
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.compute()).virtualMachines.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

/** The rest is fixed when a machine is made. Source: Azure's "Property changes of virtual machines"; it answers 409 PropertyChangeNotAllowed. */
const CHANGEABLE = new Set([
  "size",
  "identityIds",
  "secureBoot",
  "vTpm",
  "bootDiagnostics",
  "diagnosticsUrl",
  "provisioningState",
]);
const fixed = (path: string): boolean => !CHANGEABLE.has(path);

const actualOf = (found: FoundMachine): ActualGatewayVm => ({
  id: found.id ?? "",
  region: regionName(found.location),
  size: found.hardwareProfile?.vmSize ?? "",
  computerName: found.osProfile?.computerName ?? "",
  image: canonicalImage(found.storageProfile?.imageReference ?? {}),
  plan: canonicalPlan(found.plan),
  disk: found.storageProfile?.osDisk?.managedDisk?.storageAccountType ?? "",
  zone: found.zones?.[0] ?? "",
  availabilitySetId: found.availabilitySet?.id?.toLowerCase() ?? "",
  networkInterfaceId: found.networkProfile?.networkInterfaces?.[0]?.id ?? "",
  identityIds: Object.keys(found.identity?.userAssignedIdentities ?? {})
    .map((id) => id.toLowerCase())
    .sort(),
  adminUsername: found.osProfile?.adminUsername ?? "",
  securityType: found.securityProfile?.securityType ?? "Standard",
  secureBoot: found.securityProfile?.uefiSettings?.secureBootEnabled === true,
  vTpm: found.securityProfile?.uefiSettings?.vTpmEnabled === true,
  bootDiagnostics: found.diagnosticsProfile?.bootDiagnostics?.enabled === true,
  diagnosticsUrl: found.diagnosticsProfile?.bootDiagnostics?.storageUri ?? "",
  provisioningState: provisioningStateOf(found.provisioningState),
});

/** Azure keeps the case that it was given and compares without. */
const canonicalImage = ({ publisher = "", offer = "", sku = "", version = "" }: Partial<Image>): Image => ({
  publisher: publisher.toLowerCase(),
  offer: offer.toLowerCase(),
  sku: sku.toLowerCase(),
  version: version.toLowerCase(),
});

const canonicalPlan = (plan: Partial<Plan> | undefined): Plan | null =>
  plan === undefined
    ? null
    : {
        publisher: plan.publisher?.toLowerCase() ?? "",
        product: plan.product?.toLowerCase() ?? "",
        name: plan.name?.toLowerCase() ?? "",
      };

const trustedLaunch = { securityType: "TrustedLaunch", uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } };

/** Generation 2 comes with the image; Trusted Launch is said, since the API's own default still is to leave it off. */
const machine = (desired: GatewayVm, adminPassword: string | undefined, found: FoundMachine | undefined): FoundMachine => ({
  location: desired.region,
  // What others added to a machine whose last write failed goes back as it was.
  tags: { ...found?.tags, ...ownershipTags(desired.owner) },
  identity: {
    type: "UserAssigned",
    userAssignedIdentities: {
      ...Object.fromEntries(Object.keys(found?.identity?.userAssignedIdentities ?? {}).map((id) => [id, {}])),
      [desired.identityId]: {},
    },
  },
  ...(desired.zone === undefined ? {} : { zones: [desired.zone] }),
  ...(desired.availabilitySetId === undefined ? {} : { availabilitySet: { id: desired.availabilitySetId } }),
  ...(desired.plan === undefined ? {} : { plan: desired.plan }),
  hardwareProfile: { vmSize: desired.size },
  securityProfile: trustedLaunch,
  storageProfile: {
    imageReference: desired.image,
    osDisk: {
      name: `${desired.name}-system`,
      createOption: "FromImage",
      caching: "ReadWrite",
      deleteOption: "Delete",
      managedDisk: { storageAccountType: desired.disk },
    },
  },
  osProfile: {
    computerName: desired.computerName,
    adminUsername: desired.adminUsername,
    ...(adminPassword === undefined ? {} : { adminPassword }),
    allowExtensionOperations: true,
    windowsConfiguration: { provisionVMAgent: true, enableAutomaticUpdates: true, patchSettings: { patchMode: "AutomaticByOS" } },
  },
  // The interface is a resource of its own: it and its address outlive the machine.
  networkProfile: { networkInterfaces: [{ id: desired.networkInterfaceId, primary: true, deleteOption: "Detach" }] },
  diagnosticsProfile: bootDiagnostics(desired, found?.diagnosticsProfile?.bootDiagnostics?.storageUri),
});

const bootDiagnostics = ({ diagnosticsUrl }: GatewayVm, kept?: string) => {
  const storageUri = diagnosticsUrl ?? kept;
  return { bootDiagnostics: { enabled: true, ...(storageUri === undefined ? {} : { storageUri }) } };
};

function patch(desired: GatewayVm, changes: PropertyChange[]): VirtualMachineUpdate {
  const { size, ...others } = Object.fromEntries(changes.map(({ path, to }) => [path, to]));
  const changed = (path: string): boolean => Object.hasOwn(others, path);
  return {
    ...(size === undefined ? {} : { hardwareProfile: { vmSize: size as string } }),
    ...(changed("identityIds")
      ? { identity: { type: "UserAssigned", userAssignedIdentities: { [desired.identityId]: {} } } }
      : {}),
    ...(changed("secureBoot") || changed("vTpm") ? { securityProfile: trustedLaunch } : {}),
    ...(changed("bootDiagnostics") || changed("diagnosticsUrl") ? { diagnosticsProfile: bootDiagnostics(desired) } : {}),
  };
}

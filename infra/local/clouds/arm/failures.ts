/**
 * Failures on command: what goes wrong with the next writes of a resource, with the codes and texts that Azure's own answers have.
 *
 * A planned failure is used up when the write begins. Those that Azure finds out at once are refusals; the others are kept with the
 * operation, which fails at its deadline and leaves the resource `Failed`. Texts: "Troubleshoot common Azure deployment errors" and
 * answers of Azure that were posted in public.
 */
import * as z from "zod";
import { ArmError, textOf, type Json } from "./envelope.ts";
import type { Failure } from "./operations.ts";

const nameSchema = z.enum([
  "AllocationFailed",
  "ZonalAllocationFailed",
  "OverconstrainedAllocationRequest",
  "SkuNotAvailable",
  "QuotaExceeded",
  "OSProvisioningTimedOut",
  "OSProvisioningInternalError",
  "VMExtensionProvisioningError",
  "VMExtensionProvisioningTimeout",
  "VMAgentStatusCommunicationError",
  "InternalOperationError",
  "OperationPreempted",
]);

export const failureSchema = z.strictObject({
  /** A part of the resource's id, without regard to case; every resource without it. */
  resource: z.string().min(1).optional(),
  /** A resource type, such as `Microsoft.Compute/virtualMachines`. */
  type: z.string().min(1).optional(),
  /** One of Azure's, or any other code and message; with `status`, refused at once instead of failing later. */
  failure: z.union([
    nameSchema,
    z.strictObject({
      code: z.string().min(1),
      message: z.string().min(1),
      status: z.number().int().min(400).max(599).optional(),
    }),
  ]),
  operation: z.enum(["put", "delete"]).default("put"),
  times: z.number().int().min(1).default(1),
});

export type PlannedFailure = z.output<typeof failureSchema>;

export interface Failures {
  plan(failure: PlannedFailure): PlannedFailure;
  list(): PlannedFailure[];
  clear(): void;
  /** Throws, or gives what the operation has to fail with. */
  take(write: FailingWrite): Failure | undefined;
}

interface FailingWrite {
  id: string;
  name: string;
  type: string;
  location: string;
  operation: "put" | "delete";
  body: Json;
}

export function createFailures(): Failures {
  const planned = new Set<PlannedFailure>();
  return {
    plan: (failure) => {
      const added = { ...failure };
      planned.add(added);
      return added;
    },
    list: () => [...planned],
    clear: () => planned.clear(),
    take: (write) => {
      const found = [...planned].find(
        ({ resource, type, operation }) =>
          operation === write.operation &&
          (resource === undefined || write.id.toLowerCase().includes(resource.toLowerCase())) &&
          (type === undefined || type.toLowerCase() === write.type.toLowerCase()),
      );
      if (found === undefined) return undefined;
      found.times -= 1;
      if (found.times <= 0) planned.delete(found);
      const { status, code, message } =
        typeof found.failure === "string" ? knownFailure(found.failure, write) : { status: undefined, ...found.failure };
      if (status !== undefined) throw new ArmError(status, code, message);
      return { code, message };
    },
  };
}

interface Known extends Failure {
  status?: number | undefined;
}

const vmSizeOf = (body: Json): string =>
  textOf(((body["properties"] as Json | undefined)?.["hardwareProfile"] as Json | undefined)?.["vmSize"]);

/** What runs on a machine is named by the machine. */
const machineOf = (id: string): string => id.split("/")[8] ?? "";

const troubleshoot = "More information on troubleshooting is available at https://aka.ms/vmextensionwindowstroubleshoot";

const messages: Record<z.output<typeof nameSchema>, (write: FailingWrite) => string> = {
  AllocationFailed: () => allocationFailed,
  ZonalAllocationFailed: () => zonalAllocationFailed,
  OverconstrainedAllocationRequest: () =>
    "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive. Please remove some constraints and try again. Constraints applied are:\n  - Availability Set\n  - VM Size",
  SkuNotAvailable: ({ body, location }) => skuNotAvailable(vmSizeOf(body), location),
  QuotaExceeded: ({ location }) => quotaExceeded("Total Regional Cores", { location, limit: 0, usage: 0, required: 4 }),
  OSProvisioningTimedOut: ({ name }) =>
    `OS Provisioning for VM '${name}' did not finish in the allotted time. The VM may still finish provisioning successfully. Please check provisioning state later. For details on how to check current provisioning state of Windows VMs, refer to https://aka.ms/WindowsVMLifecycle and Linux VMs, refer to https://aka.ms/LinuxVMLifecycle.`,
  OSProvisioningInternalError: ({ name }) => `OS Provisioning failed for VM '${name}' due to an internal error. (0x1)`,
  VMExtensionProvisioningError: ({ name }) =>
    `VM has reported a failure when processing extension '${name}'. Error message: 'Finished executing command'. ${troubleshoot}.`,
  VMExtensionProvisioningTimeout: ({ name }) =>
    `Provisioning of VM extension ${name} has timed out. Extension provisioning has taken too long to complete. The extension did not report a message. ${troubleshoot}`,
  VMAgentStatusCommunicationError: ({ id }) =>
    `VM '${machineOf(id)}' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage. Please refer to https://aka.ms/vmextensionwindowstroubleshoot for additional VM agent troubleshooting information.`,
  InternalOperationError: () => "An internal execution error occurred. Please retry later.",
  OperationPreempted: () => "The operation execution has been preempted by a more recent operation.",
};

/** Capacity by subscription and quotas are looked at before anything begins. */
function knownFailure(failure: z.output<typeof nameSchema>, write: FailingWrite): Known {
  const message = messages[failure](write);
  if (failure === "QuotaExceeded") return { status: 409, code: "OperationNotAllowed", message };
  return failure === "SkuNotAvailable" ? { status: 409, code: failure, message } : { code: failure, message };
}

export const allocationFailed =
  "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving likelihood of allocation success at https://aka.ms/allocation-guidance";

export const zonalAllocationFailed =
  "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance";

export const skuNotAvailable = (size: string, location: string): string =>
  `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${size}' is currently not available in location '${location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`;

export const quotaExceeded = (
  quota: string,
  { location, limit, usage, required }: { location: string; limit: number; usage: number; required: number },
): string =>
  `Operation could not be completed as it results in exceeding approved ${quota} quota. Additional details - Deployment Model: Resource Manager, Location: ${location}, Current Limit: ${limit}, Current Usage: ${usage}, Additional Required: ${required}, (Minimum) New Limit Required: ${usage + required}. Setup Alerts when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase at https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView by specifying parameters listed in the 'Details' section for deployment to succeed. Please read more about quota limits at https://docs.microsoft.com/azure/azure-supportability/regional-quota-requests`;

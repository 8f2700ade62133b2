/**
 * Mission A7: Azure Monitor's agent in a machine, signed in with the machine's own identity.
 *
 * A machine takes one of them, under any name. One that somebody else installed, a policy for example, gathers by our rule as well: it is
 * taken as it is, neither changed nor removed.
 */
import type { VirtualMachineExtension as FoundExtension } from "@azure/arm-compute";
import * as z from "zod";
import { type Azure, isTerminal } from "../azure/client.ts";
import {
  changesBetween,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  refuseReplacement,
  removeOwned,
} from "../azure/owned.ts";
import { ownedBy, ownershipTags, type Place, regionName } from "../azure/place.ts";
import { absent, done, type Observed, present, type Resource, unknown } from "./resource.ts";

export type MonitorAgent = Place & {
  /** Name of the virtual machine. */
  virtualMachine: string;
  /** Resource id of the identity that the agent signs in with; the machine has it. */
  identityId: string;
};

export interface ActualMonitorAgent extends Provisioned {
  id: string;
  /** Somebody else's. */
  theirs: boolean;
  region: string;
  /** In lower case; empty when it signs in with another kind of identity. */
  identityId: string;
  automaticUpgrade: boolean;
}

/** The name that Microsoft's own policies give it, so that they and we mean the same one. */
const NAME = "AzureMonitorWindowsAgent";
const PUBLISHER = "Microsoft.Azure.Monitor";
const TYPE = "AzureMonitorWindowsAgent";
/** The oldest that will do; the newest minor one is taken, and newer ones as they come. */
const VERSION = "1.0";

const settingsSchema = z.object({
  authentication: z.object({
    managedIdentity: z.object({ "identifier-name": z.literal("mi_res_id"), "identifier-value": z.string() }),
  }),
});

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const monitorAgent = ({ azure }: { azure: Azure }): Resource<MonitorAgent, ActualMonitorAgent> => {
  const what = ({ virtualMachine }: MonitorAgent): string => `monitoring agent of ${virtualMachine}`;

  async function observe(desired: MonitorAgent): Promise<Observed<ActualMonitorAgent>> {
    const listed = await azure.read(desired, async (clients) =>
      (await clients.compute()).virtualMachineExtensions.list(desired.resourceGroup, desired.virtualMachine),
    );
    if (listed.state !== "present") return listed;
    const found = listed.actual.value?.find(
      ({ publisher, typePropertiesType }) => sameWord(publisher, PUBLISHER) && sameWord(typePropertiesType, TYPE),
    );
    if (found === undefined) return absent;
    const actual = actualOf(found, !ownedBy(found.tags, desired.owner));
    if (!actual.theirs && !isTerminal(actual.provisioningState))
      return unknown("OperationUnderway", `${what(desired)} is still being written: ${actual.provisioningState}`);
    return present(actual);
  }

  const write = (action: string, desired: MonitorAgent, tags: FoundExtension["tags"]) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.compute()).virtualMachineExtensions.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.virtualMachine,
        NAME,
        bodyOf(desired, tags),
        { onResponse },
      ),
    );

  return {
    kind: "monitorAgent",
    fixed,
    observe,
    diff: ({ region, identityId }, actual) =>
      actual.theirs ? [] : changesBetween({ region, identityId: identityId.toLowerCase(), automaticUpgrade: true }, actual),
    create: (desired) => write("installing", desired, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      return write("updating", desired, await tagsOf(azure, desired));
    },
    async remove(desired) {
      const observed = await observe(desired);
      if (observed.state === "present" && observed.actual.theirs) return done;
      return removeOwned(azure, what(desired), desired, observed, async (clients, onResponse) =>
        (await clients.compute()).virtualMachineExtensions.beginDelete(desired.resourceGroup, desired.virtualMachine, NAME, {
          onResponse,
        }),
      );
    },
  };
};

/** Others' tags go back as they were. */
async function tagsOf(azure: Azure, desired: MonitorAgent): Promise<FoundExtension["tags"]> {
  const found = await readBeforeWriting(azure, `monitoring agent of ${desired.virtualMachine}`, desired, async (clients) =>
    (await clients.compute()).virtualMachineExtensions.get(desired.resourceGroup, desired.virtualMachine, NAME),
  );
  return found?.tags;
}

const sameWord = (one: string | undefined, other: string): boolean => one?.toLowerCase() === other.toLowerCase();

const actualOf = (
  { id, location, settings, enableAutomaticUpgrade, provisioningState }: FoundExtension,
  theirs: boolean,
): ActualMonitorAgent => ({
  id: id ?? "",
  theirs,
  region: regionName(location),
  identityId: settingsSchema.safeParse(settings).data?.authentication.managedIdentity["identifier-value"].toLowerCase() ?? "",
  automaticUpgrade: enableAutomaticUpgrade === true,
  provisioningState: provisioningStateOf(provisioningState),
});

const bodyOf = ({ region, owner, identityId }: MonitorAgent, tags: FoundExtension["tags"]): FoundExtension => ({
  location: region,
  tags: { ...tags, ...ownershipTags(owner) },
  publisher: PUBLISHER,
  typePropertiesType: TYPE,
  typeHandlerVersion: VERSION,
  autoUpgradeMinorVersion: true,
  enableAutomaticUpgrade: true,
  settings: {
    authentication: { managedIdentity: { "identifier-name": "mi_res_id", "identifier-value": identityId } },
  },
});

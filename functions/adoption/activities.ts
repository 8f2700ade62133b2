/** What an adoption does beside the marks: looks before and after, and keeps what was found as what is desired from then on. */
import type { AdoptionChoices } from "../../shared/api/adoption.ts";
import { virtualMachineId } from "../../shared/azure/place.ts";
import { type Adopted, adoptedOf, type AsFound } from "../../shared/desired/adopted.ts";
import { madeKey } from "../../shared/desired/as-made.ts";
import { home, type RegionGround } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import type { Found } from "../../shared/resources/adoptable.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { resourceOfKind } from "../../shared/resources/resource.ts";
import { lookAt, type Seen } from "../../shared/runbook/looking.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { refuseImpossible } from "./judge.ts";
import { lookForAdoption } from "./look.ts";
import { COMPARED, LOOK } from "./steps.ts";
import type { AdoptionWorld } from "./world.ts";

export type AdoptionActivities = ReturnType<typeof createAdoptionActivities>;

/** One object to be marked, desired as it was found. */
export type Markable = Pick<Seen, "kind" | "step" | "wanted">;

/** The tenant's fact `adopting`, from before the first mark until the last look has ended. */
interface Adopting extends AsFound {
  stage: "pilot" | "live";
}

/** What Azure would refuse, though nothing says so beforehand, and names that a person gave. */
const lastingPaths: Partial<Record<keyof Resources, string[]>> = {
  virtualNetwork: ["addressPrefixes", "subnetAddressPrefix"],
  gatewayVm: ["secureBoot", "vTpm"],
  inboundConnector: ["name"],
  outboundConnector: ["name"],
  approvalRule: ["name"],
  forwardingRule: ["name"],
};

export const createAdoptionActivities = (world: AdoptionWorld) => {
  const { operations, tenants, gateways } = world.stores;
  const recorded = recordingSteps(world.stores);

  /** What of it an onboarding leaves as it was found. */
  const lastingOf = ({ kind, wanted }: Seen, found: Found = {}): [string, Found][] => {
    const { fixed } = resourceOfKind(world.resources, kind);
    const lasts = (path: string): boolean => fixed?.(path) === true || lastingPaths[kind]?.includes(path) === true;
    const lasting = Object.entries(found).filter(([path]) => lasts(path));
    return lasting.length === 0 ? [] : [[madeKey(kind, (wanted as { name?: string }).name), Object.fromEntries(lasting)]];
  };

  return {
    beginAdoption: async ({ work }: { work: Work }): Promise<void> => {
      await operations.recordProgress(work.partnerId, work.operationId, { status: "Running" });
    },

    /** From here on the tenant is on its way: whoever ends early is taken over by another try, and by nothing else. */
    lookBeforeAdoption: ({ work, choices, plan }: { work: Work; choices: AdoptionChoices; plan?: string }): Promise<Markable[]> =>
      recorded(work, LOOK, async () => {
        const { partnerId, tenantId, operationId } = work;
        const tenant = await tenants.get(partnerId, tenantId);
        const { shown, asFound, taken } = await lookForAdoption(world, tenant, choices);
        refuseImpossible(shown, plan);
        if (asFound === undefined || shown.stage === undefined) throw new Error("what is possible was found");
        const { adopting = {}, ...kept } = asFound;
        const asMade = Object.fromEntries(taken.flatMap((one) => lastingOf(one, asFound.found[one.step])));
        const names = { ...asFound.names, asMade };
        const fact: Adopting = { ...kept, names, stage: shown.stage };
        await tenants.change(partnerId, tenantId, ({ stage, facts }) => ({
          ...(stage === "registered" ? { stage: "onboarding" } : {}),
          facts: { ...facts, names, adopting: fact },
        }));
        const { steps } = await operations.get(partnerId, operationId);
        for (const { name } of steps)
          if (name !== LOOK && name !== COMPARED && adopting[name] === undefined)
            await operations.recordStep(partnerId, operationId, name, { status: "Skipped" });
        const inSteps = new Map(steps.map(({ name }, place) => [name, place]));
        const result = taken
          .filter(({ step }) => adopting[step] !== undefined)
          .toSorted((one, other) => (inSteps.get(one.step) ?? 0) - (inSteps.get(other.step) ?? 0))
          .map(({ kind, step, wanted }) => ({ kind, step, wanted: { ...(wanted as object), found: asFound.found[step] } }));
        return { result };
      }),

    /** All of it has to be seen marked, and as it was found; then the tenant stands. */
    finishAdoption: async ({ work }: { work: Work }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const { adopted, stage, notManaged } = await recorded(work, COMPARED, async () => {
        const tenant = await tenants.get(partnerId, tenantId);
        // A try that came so far before has kept it already.
        const known = adoptedOf(tenant);
        const { stage: real, ...asFound } =
          (tenant.facts["adopting"] as Adopting | undefined) ?? (known && { ...known, stage: settled(tenant) }) ?? nothingBegun();
        const asIf: TenantRecord = { ...tenant, stage: real };
        const look = await lookAt(world, asIf, { asFound });
        const differing = look.seen.filter(({ action }) => action !== "none");
        if (differing.length > 0)
          throw new ControlPlaneError(
            "AdoptionOutdated",
            `changed while it was taken over: ${differing.map(({ step, reason }) => (reason === undefined ? step : `${step} (${reason})`)).join(", ")}`,
            409,
            differing.some(({ action }) => action === "unknown"),
          );
        const at = new Date(world.clock.now()).toISOString();
        const kept: Adopted = { ...asFound, operationId, at, regions: regionsOf(look.seen) };
        return { result: { adopted: kept, stage: real, notManaged: look.notManaged } };
      });
      const tenant = await tenants.change(partnerId, tenantId, ({ facts: { adopting: _adopting, ...facts } }) => ({
        stage,
        facts: { ...facts, adopted },
      }));
      await watch(tenant, adopted);
      const message = "a person made it by the manual, and it was taken over as it was found";
      await tenants.setConditions(partnerId, tenantId, [
        { type: "ConsentGranted", status: "True", reason: "Proven", message: "the organisation could be read" },
        { type: "AzureAccessGranted", status: "True", reason: "Proven", message: "the subscription could be read" },
        {
          type: "MailFlowConnected",
          status: "Unknown",
          reason: "NotProven",
          message: "mail runs by rules that a person made; no probe mail has proven it",
        },
        { type: "Ready", status: "True", reason: "Adopted", message },
      ]);
      const addresses = adopted.regions.flatMap(({ machines }) => machines);
      await operations.recordProgress(partnerId, operationId, {
        status: "Succeeded",
        waitingFor: null,
        result: {
          stage,
          gateway: addresses[0]?.fqdn || addresses[0]?.ipAddress,
          egressIps: addresses.map(({ ipAddress }) => ipAddress),
          asFound: Object.fromEntries(Object.entries(adopted.found).map(([step, found]) => [step, Object.keys(found)])),
          notManaged: notManaged.map(({ step }) => step),
        },
      });
    },

    failAdoption: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const { code: reason, message } = failure;
      const { stage } = await tenants.get(partnerId, tenantId);
      // One that was taken over before stands as it did.
      if (stage === "registered" || stage === "onboarding")
        await tenants.setConditions(partnerId, tenantId, [{ type: "Ready", status: "False", reason, message }]);
      await operations.recordProgress(partnerId, operationId, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };

  /** From now on the sweeps over machines and blocklists know it; whether it is well is theirs to say. */
  async function watch(tenant: TenantRecord, { names, regions }: Adopted): Promise<void> {
    const target = targetOf(tenant);
    const { entraTenantId, subscriptionId } = home(target);
    for (const [index, { region, resourceGroup, machines }] of names.regions.entries())
      for (const [number, { virtualMachine: name }] of machines.entries()) {
        const address = regions[index]?.machines[number];
        if (!address) continue;
        await gateways.put({
          ...target.work,
          virtualMachineId: virtualMachineId({ subscriptionId, resourceGroup, name }),
          entraTenantId,
          subscriptionId,
          address: address.ipAddress,
          fqdn: address.fqdn || address.ipAddress,
          region,
          state: { health: "unknown", reason: "Adopted" },
        });
      }
  }
};

const settled = ({ stage }: TenantRecord): Adopting["stage"] => (stage === "live" ? "live" : "pilot");
function nothingBegun(): never {
  throw new Error("an adoption looks before it ends");
}

/** One machine in one region, by the address that was seen. */
function regionsOf(seen: Seen[]): RegionGround[] {
  const address = seen.find(({ kind }) => kind === "publicIpAddress")?.actual as RegionGround["machines"][number] | undefined;
  if (!address) throw new Error("what stands has an address");
  const { id, ipAddress, fqdn } = address;
  return [{ machines: [{ id, ipAddress, fqdn }] }];
}

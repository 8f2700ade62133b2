/** What offboarding does beside taking resources away: proves that no mail needs them any more, and that nothing of them is left. */
import { readFailure } from "../../shared/azure/owned.ts";
import { ownedBy, ownershipTags } from "../../shared/azure/place.ts";
import type { Names } from "../../shared/azure/names.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf, Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { gatewayIds } from "../../shared/proof/queue-activities.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import type { OperationChange } from "../../shared/stores/operations.ts";
import { contentsOf } from "../../shared/azure/contents.ts";
import { standingFootprint } from "./footprint.ts";
import { connectionRemovals, type Footprint, forwardingRemovals, remains } from "../../shared/desired/removals.ts";
import { keepExport, withoutOlderExport } from "./export.ts";
import { EXPORT } from "./steps.ts";
import { askToWithdraw } from "./withdraw-spf.ts";
import type { OffboardingWorld } from "./world.ts";

export type OffboardingActivities = ReturnType<typeof createOffboardingActivities>;

export const createOffboardingActivities = (world: OffboardingWorld) => {
  const { azure, resources, clock } = world;
  const { operations, tenants, gateways, heartbeats, credentials, claims, directories, tasks } = world.stores;
  const recorded = recordingSteps(world.stores);
  const recordStep = ({ partnerId, operationId }: Work, step: string, change: Parameters<typeof operations.recordStep>[3]) =>
    operations.recordStep(partnerId, operationId, step, change);
  const recordProgress = ({ partnerId, operationId }: Work, change: OperationChange) =>
    operations.recordProgress(partnerId, operationId, change);
  const resourceOf = (kind: keyof Resources) => resources[kind] as unknown as Resource<unknown, unknown>;

  /** The first one stays. */
  const keepFact = async ({ partnerId, tenantId }: Work, name: string, value: unknown): Promise<void> => {
    await tenants.change(partnerId, tenantId, ({ facts }) =>
      facts[name] === undefined ? { facts: { ...facts, [name]: value } } : undefined,
    );
  };

  return {
    /** Reads only; nothing of the tenant is changed where it fails. */
    exportTenant: async ({ work }: { work: Work }): Promise<void> => {
      await recordProgress(work, { status: "Running" });
      await recorded(work, EXPORT, async () => ({ result: await keepExport(world, work) }));
    },

    /** From here on the tenant is on its way out. Gives what stands, and whether an earlier offboarding has seen its queues empty. */
    beginOffboarding: async ({
      work,
      spec,
      names,
    }: Target & { work: Work }): Promise<{ ground: Footprint; drained: boolean }> => {
      await recordProgress(work, { status: "Running" });
      const { facts } = await tenants.change(work.partnerId, work.tenantId, (tenant) =>
        tenant.stage === "offboarding" ? undefined : { stage: "offboarding", facts: withoutOlderExport(tenant, work) },
      );
      const message = "the tenant is being taken away";
      await tenants.setConditions(work.partnerId, work.tenantId, [
        { type: "Ready", status: "False", reason: "Offboarding", message },
      ]);
      await tasks.cancelAll(work, message);
      const target = { work, spec, names };
      const ground = await standingFootprint(resources, target, { facts });
      const rules = await Promise.all(
        forwardingRemovals(target, ground).map(({ kind, desired: wanted }) => resourceOf(kind).observe(wanted)),
      );
      const forwarded = rules.some(({ state }) => state !== "absent");
      if (forwarded) await keepFact(work, "forwarded", true);
      // What nobody's mail ever ran through has no queue; an onboarding that failed before its last proof may have sent some there.
      const mailNeverCame = facts["proof"] === undefined && facts["forwarded"] === undefined;
      return { ground, drained: !forwarded && (mailNeverCame || facts["drained"] !== undefined) };
    },

    skipProof: async ({ work }: { work: Work }): Promise<void> => {
      for (const step of ["aroundGateway", "emptyQueues"]) await recordStep(work, step, { status: "Skipped" });
    },

    skipQueues: async ({ work }: { work: Work }): Promise<void> => {
      await recordStep(work, "emptyQueues", { status: "Skipped" });
    },

    /** The next offboarding, if this one ends early, finds no machine that could say it again. */
    keepDrained: ({ work }: { work: Work }): Promise<void> =>
      keepFact(work, "drained", { operationId: work.operationId, at: new Date(clock.now()).toISOString() }),

    /** Sweeps, heartbeats and rotation know nothing of it from now on: what goes away is no incident. */
    stopWatching: ({ work, names }: { work: Work; names: Names }): Promise<void> =>
      recorded(work, "watch", async () => {
        const { partnerId, tenantId } = work;
        for (const id of gatewayIds(work, names)) {
          await gateways.remove(partnerId, id);
          await heartbeats.forget(partnerId, id);
        }
        await credentials.removeAll(partnerId, tenantId);
        await directories.forget(partnerId, tenantId);
        return { result: undefined };
      }),

    /** A group goes with all that is in it, so nothing in it may be somebody else's. */
    refuseForeign: ({ work, step, group }: { work: Work; step: string; group: DesiredOf<Resources["resourceGroup"]> }) =>
      recorded<void>(work, step, async () => {
        const { foreign } = await contentsOf(azure, group);
        if (foreign.length > 0)
          throw new ControlPlaneError(
            "ForeignObject",
            `resource group ${group.resourceGroup} has what we did not make: ${foreign.join(", ")}; move or delete it, then offboard again`,
            409,
          );
        return { result: undefined, running: true };
      }),

    /** A last look at everything that carries this tenant's marks; anything found ends the offboarding with its name. */
    scanResidue: ({ work, spec, names, ground }: Target & { work: Work; ground: Footprint }): Promise<void> =>
      recorded(work, "residue", async () => {
        const target = { work, spec, names };
        const left: string[] = [];
        for (const { kind, step, desired: wanted } of [
          ...forwardingRemovals(target, ground),
          ...connectionRemovals(target, ground),
        ]) {
          const found = await resourceOf(kind).observe(wanted);
          if (found.state === "unknown") throw readFailure(`the ${kind}`, found);
          if (found.state === "present") left.push(step);
        }
        left.push(...(await taggedInAzure(target)));
        if (left.length > 0)
          throw new ControlPlaneError("ResidueFound", `still there: ${left.join(", ")}; offboard again`, 409, false);
        return { result: undefined };
      }),

    /** The record stays as a tombstone, the customer is free for whoever comes next. */
    finishOffboarding: async ({
      work,
      spec,
      names: named,
      ground,
    }: Target & { work: Work; ground: Footprint }): Promise<void> => {
      const { partnerId, tenantId } = work;
      const { tenantId: organization, domains } = spec.microsoft365;
      await claims.release("organization", organization, { partnerId, tenantId });
      const addresses = desired.egressIps(ground);
      await askToWithdraw(world, { partnerId, tenantId, domains, addresses, kept: spec.spf !== undefined });
      await tenants.setConditions(partnerId, tenantId, [
        { type: "Ready", status: "False", reason: "Offboarded", message: "nothing of it is left in the clouds" },
      ]);
      // Last of all: what is gone can't be offboarded again.
      await tenants.change(partnerId, tenantId, ({ facts: { names, export: kept } }) => ({
        stage: "gone",
        facts: { names, ...(kept === undefined ? {} : { export: kept }) },
      }));
      await recordProgress(work, {
        status: "Succeeded",
        waitingFor: null,
        result: {
          stage: "gone",
          remains: [
            "our application's consent in the customer's organisation: an administrator removes the enterprise application",
            "the vault, deleted and recoverable for 30 days, after which Azure forgets it",
            ...Object.values(remains).flatMap((tell) => tell({ work, spec, names: named }, ground) ?? []),
          ],
        },
      });
    },

    failOffboarding: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      // Where nothing was changed, its mail runs as before.
      if ((await tenants.get(work.partnerId, work.tenantId)).stage === "offboarding")
        await tenants.setConditions(work.partnerId, work.tenantId, [
          { type: "Ready", status: "False", reason: failure.code, message: failure.message },
        ]);
      await recordProgress(work, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };

  /** Ids of groups and resources in the subscription that carry the tenant's tags. */
  async function taggedInAzure(target: Target): Promise<string[]> {
    const place = desired.home(target);
    const tags = Object.entries(ownershipTags(place.owner));
    const [name = "", value = ""] = tags.find(([, given]) => given === place.owner.tenantId) ?? [];
    const filter = `tagName eq '${name}' and tagValue eq '${value}'`;
    const found = await azure.read(place, async (clients) => {
      const { resourceGroups, resources: all } = await clients.resources();
      const ids: string[] = [];
      for await (const group of resourceGroups.list({ filter })) if (ownedBy(group.tags, place.owner)) ids.push(group.id ?? "");
      for await (const one of all.list({ filter })) if (ownedBy(one.tags, place.owner)) ids.push(one.id ?? "");
      return ids;
    });
    if (found.state === "unknown") throw readFailure("what carries the tenant's tags", found);
    return found.state === "present" ? found.actual : [];
  }
};

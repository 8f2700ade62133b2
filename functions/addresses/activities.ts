/** What a replacement does beside resources: asks the blocklists, tells partners, keeps who has which address, and releases the former one. */
import type { MachineNames } from "../../shared/azure/names.ts";
import { virtualMachineId } from "../../shared/azure/place.ts";
import { type HeldAddress, heldAddresses, machineOfGateway } from "../../shared/desired/held-addresses.ts";
import { addressAt, machineAt, withAddress, withNames } from "../../shared/desired/replaced-address.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Address, Ground, Loop } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { type Screened, screened } from "../../shared/dns/screening.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { proveReachable } from "../../shared/proof/gateways.ts";
import type { LoopEvidence } from "../../shared/proof/loop.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { createSettlingActivities } from "../../shared/runbook/settling-activities.ts";
import { audited, targetOf as auditTargetOf } from "../../shared/resources/audited-step.ts";
import { known } from "../../shared/resources/ensure.ts";
import { type Begun, type Done, done } from "../../shared/resources/resource.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { AddressesWorld } from "./world.ts";

export type AddressActivities = ReturnType<typeof createAddressActivities>;

interface Said {
  work: Work;
  gatewayId: string;
  /** Seconds since 1970: the orchestration's own time, so that what is said twice is said once. */
  at: number;
}

export const createAddressActivities = ({
  stores,
  resources,
  blocklists,
  validateOutboundConnector,
}: Pick<AddressesWorld, "stores" | "resources" | "blocklists" | "validateOutboundConnector">) => {
  const { operations, tenants, events, gateways, audit } = stores;
  const recorded = recordingSteps(stores);

  const say = async ({ work, gatewayId, at }: Said, what: string, data: Record<string, unknown>): Promise<void> => {
    const { partnerId, tenantId, operationId, attempt = 1 } = work;
    await events.add({
      partnerId,
      tenantId,
      id: [operationId, ...(attempt === 1 ? [] : [attempt]), "address", what].join("-"),
      type: `gateway.address.${what}`,
      subject: gatewayId,
      at: new Date(at * 1000).toISOString(),
      data: { operationId, ...data },
    });
  };

  const tenantOf = ({ partnerId, tenantId }: Work): Promise<TenantRecord> => tenants.get(partnerId, tenantId);

  /** The one that this operation has left, as long as it is held. */
  const leftBy = ({ operationId }: Work, tenant: TenantRecord): HeldAddress | undefined =>
    heldAddresses(tenant).find((one) => one.operationId === operationId);

  const forget = ({ partnerId, tenantId }: Work, { names }: HeldAddress): Promise<TenantRecord> =>
    tenants.change(partnerId, tenantId, (tenant) => ({
      facts: { ...tenant.facts, heldAddresses: heldAddresses(tenant).filter((one) => !sameNames(one.names, names)) },
    }));

  return {
    beginReplacement: async ({ work, reason, back, ...said }: Said & { reason: string; back: boolean }): Promise<void> => {
      await operations.recordProgress(work.partnerId, work.operationId, { status: "Running" });
      const tenant = await tenantOf(work);
      const at = machineOfGateway(tenant, said.gatewayId);
      const from = at && addressAt(tenant.facts["ground"] as Ground, at).ipAddress;
      await say({ work, ...said }, "replacing", { reason, from, ...(back ? { back } : {}) });
    },

    /** Lists that can't be believed at present say nothing; if none of them can be, nobody knows. */
    screenAddress: ({ work, address }: { work: Work; address: string }): Promise<Screened> =>
      recorded(work, "screened", async () => {
        const result = await screened(blocklists, address);
        if (result.asked > 0 && result.silent.length === result.asked)
          throw new ControlPlaneError("BlocklistsBlind", `no blocklist says whether it has ${address}`, 503, true);
        return { result };
      }),

    ...createSettlingActivities(operations),

    /** Senders try again meanwhile: nobody's mail goes round the gateway for it. */
    announceSwap: ({ address, ...said }: Said & { address: string }): Promise<void> =>
      say(said, "swapping", {
        to: address,
        message: "for seconds to minutes nothing answers at the gateway; mail waits at its senders, which try again",
      }),

    /** Names, ground and the fleet say the new one; the former one is held for whoever wants to go back. */
    keepAddress: async ({
      work,
      gatewayId,
      names,
      address,
    }: {
      work: Work;
      gatewayId: string;
      names: MachineNames;
      address: Address;
    }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const tenant = await tenants.change(partnerId, tenantId, (current) => {
        const at = machineOfGateway(current, gatewayId);
        if (!at) throw new ControlPlaneError("GatewayNotFound", `tenant ${tenantId} has no gateway ${gatewayId} any more`, 409);
        const target = targetOf(current);
        const ground = current.facts["ground"] as Ground;
        const former = machineAt(target, at);
        if (sameNames(former, names)) return undefined;
        const { publicIpAddress, dnsLabel } = former;
        const { region, resourceGroup } = target.names.regions[at.region] ?? { region: "", resourceGroup: "" };
        const left: HeldAddress = {
          operationId,
          gatewayId,
          names: { publicIpAddress, dnsLabel },
          region: { region, resourceGroup },
          address: addressAt(ground, at),
        };
        const others = heldAddresses(current).filter((one) => !sameNames(one.names, names) && one.operationId !== operationId);
        return {
          facts: {
            ...current.facts,
            names: withNames(target.names, at, names),
            ground: withAddress(ground, at, address),
            heldAddresses: [...others, left],
          },
        };
      });
      const { spec, names: kept } = targetOf(tenant);
      const at = machineOfGateway(tenant, gatewayId);
      const region = at && kept.regions[at.region];
      if (!region) return;
      const { tenantId: entraTenantId, subscriptionId } = spec.azure;
      await gateways.put({
        partnerId,
        tenantId,
        virtualMachineId: virtualMachineId({ subscriptionId, resourceGroup: region.resourceGroup, name: names.virtualMachine }),
        entraTenantId,
        subscriptionId,
        address: address.ipAddress,
        fqdn: address.fqdn,
        region: region.region,
        state: { health: "unknown", reason: "AddressReplaced" },
      });
    },

    checkNewAddress: ({ work, loop }: { work: Work; loop: Loop }): Promise<void> =>
      recorded(work, "startTls", async () => {
        await proveReachable(validateOutboundConnector, loop);
        return { result: undefined };
      }),

    finishReplacement: async ({
      work,
      address,
      proof,
      releaseAt,
      ...said
    }: Said & { address: Address; proof: LoopEvidence; releaseAt: number }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const until = new Date(releaseAt * 1000).toISOString();
      const tenant = await tenants.change(partnerId, tenantId, (current) => ({
        facts: {
          ...current.facts,
          heldAddresses: heldAddresses(current).map((one) =>
            one.operationId === operationId ? { ...one, releaseAt: until } : one,
          ),
        },
      }));
      const former = leftBy(work, tenant)?.address.ipAddress;
      const { ipAddress, fqdn } = address;
      await say({ work, ...said }, "replaced", { from: former, to: ipAddress, name: fqdn, releaseAt: until });
      await operations.recordProgress(partnerId, operationId, {
        status: "Succeeded",
        waitingFor: null,
        result: { address: ipAddress, name: fqdn, former, releaseAt: until, proof },
      });
    },

    /** Undefined for one that has succeeded: then it is not carried out. */
    failReplacement: async ({ work, failure, ...said }: Said & { failure: Failure }): Promise<{ failed: true }> => {
      const { code, message } = failure;
      await say({ work, ...said }, "failed", { code, message });
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Failed",
        waitingFor: null,
        error: detailOf(failure),
      });
      return { failed: true };
    },

    /** Only what this operation left, is still held for it and is the very address: whoever went back, or began anew, has it in use. */
    releaseAddress: async ({ work, ...said }: Said): Promise<Done | Begun> => {
      const { partnerId, tenantId } = work;
      const tenant = await tenants.find(partnerId, tenantId);
      const held = tenant && leftBy(work, tenant);
      if (!tenant || !held?.releaseAt) return done;
      const { entraTenantId, subscriptionId, owner } = desired.home(targetOf(tenant));
      const wanted = {
        owner,
        entraTenantId,
        subscriptionId,
        ...held.region,
        name: held.names.publicIpAddress,
        dnsLabel: held.names.dnsLabel,
      };
      const resource = resources.publicIpAddress;
      const found = known(resource.kind, await resource.observe(wanted));
      if (found.state === "present" && found.actual.ipAddress === held.address.ipAddress) {
        const removed = await audited(
          audit,
          work,
          { action: "remove", target: auditTargetOf(resource.kind, wanted) },
          () => resource.remove(wanted),
          ({ state }) => state === "begun",
        );
        if (removed.state === "begun") return removed;
        if (known(resource.kind, await resource.observe(wanted)).state === "present")
          throw new ControlPlaneError("ResourceSettling", "the address that was released is still seen", 503, true);
      }
      await say({ work, ...said }, "released", { address: held.address.ipAddress });
      await forget(work, held);
      return done;
    },
  };
};

const sameNames = (one: HeldAddress["names"], other: HeldAddress["names"]): boolean =>
  one.publicIpAddress === other.publicIpAddress;

/** Which public addresses an onboarding makes, and which of them its machines get. */
import type { AddressNames, Names } from "../../shared/azure/names.ts";
import { machineSuffix } from "../../shared/desired/machines.ts";
import {
  type AddressDoubt,
  addressDoubts,
  begunAddresses,
  type NewAddress,
  newAddressesOf,
  openDoubts,
  withBegun,
} from "../../shared/desired/new-addresses.ts";
import { withNames } from "../../shared/desired/replaced-address.ts";
import { machineAddress } from "../../shared/desired/state.ts";
import { type Target, targetOf } from "../../shared/desired/target.ts";
import { type Screened, screened, screens } from "../../shared/dns/screening.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { known } from "../../shared/resources/ensure.ts";
import { MOST_ADDRESSES } from "../../shared/runbook/clean-address.ts";
import type { OnboardingWorld } from "./world.ts";

/**
 * Those that don't stand, and those that an onboarding has begun and kept none of. They are noted before they are made: what stood
 * before, or what a person made, is never let go.
 */
export async function findNewAddresses(
  { stores: { operations, tenants }, resources, blocklists }: Pick<OnboardingWorld, "stores" | "resources" | "blocklists">,
  { work, spec, names }: Target & { work: Work },
): Promise<NewAddress[]> {
  const { partnerId, tenantId, operationId } = work;
  const machines = names.regions.flatMap((region, at) =>
    region.machines.map((machine, number) => ({ region, machine, suffix: machineSuffix(at, number) })),
  );
  const begun = begunAddresses(await tenants.get(partnerId, tenantId));
  const standing = await Promise.all(
    machines.map(async ({ region, machine }) => {
      if (begun[machine.virtualMachine] !== undefined) return false;
      const wanted = machineAddress({ work, spec, names }, { region, machine });
      return known("publicIpAddress", await resources.publicIpAddress.observe(wanted)).state === "present";
    }),
  );
  const screening = blocklists.zones.some(screens);
  const fresh = new Set(
    machines.flatMap(({ machine }, index) => (standing[index] || !screening ? [] : [machine.virtualMachine])),
  );
  for (const { machine, suffix } of machines)
    if (!fresh.has(machine.virtualMachine))
      await operations.recordStep(partnerId, operationId, `screened${suffix}`, { status: "Skipped" });
  const tenant = await tenants.change(partnerId, tenantId, (current) => {
    const more = [...fresh].filter((machine) => begunAddresses(current)[machine] === undefined);
    const doubts = openDoubts(current);
    if (more.length === 0 && doubts.length === addressDoubts(current).length) return undefined;
    const facts = { ...current.facts, addressDoubts: doubts };
    return { facts: withBegun({ facts }, Object.fromEntries(more.map((machine) => [machine, 1]))) };
  });
  return newAddressesOf(tenant, names, (machine) => fresh.has(machine), MOST_ADDRESSES);
}

export type NewAddressActivities = ReturnType<typeof createNewAddressActivities>;

export const createNewAddressActivities = ({ stores, blocklists }: Pick<OnboardingWorld, "stores" | "blocklists">) => {
  const { operations, tenants } = stores;
  const recorded = recordingSteps(stores);

  return {
    /** Lists that can't be believed at present say nothing. One that none of them has is the machine's from here on, if it `keeps` it. */
    screenNewAddress: ({ work, step, virtualMachine, address, keeps }: ScreenedStep): Promise<Screened> =>
      recorded(work, step, async () => {
        const result = await screened(blocklists, address);
        if (keeps && result.lists.length === 0) await keep({ work, virtualMachine, doubt: { ...result, ipAddress: address } });
        return { result };
      }),

    /** Noted before it is made: then a later try lets it go, too. */
    beginAnotherAddress: async ({
      work: { partnerId, tenantId, operationId },
      virtualMachine,
      begun,
      step,
    }: {
      work: Work;
      virtualMachine: string;
      begun: number;
      step: string;
    }): Promise<void> => {
      await tenants.change(partnerId, tenantId, (current) =>
        (begunAddresses(current)[virtualMachine] ?? 1) >= begun
          ? undefined
          : { facts: withBegun(current, { [virtualMachine]: begun }) },
      );
      const title = `Another public address of ${virtualMachine}, since a blocklist has the one before`;
      await operations.addStep(partnerId, operationId, { name: step, title, branch: "root" });
    },

    /** Once the others are let go. */
    keepNewAddress: (kept: Kept): Promise<void> => keep(kept),
  };

  /** From here on it is the machine's, under its names, and never let go. */
  async function keep({ work: { partnerId, tenantId }, virtualMachine, names, doubt }: Kept): Promise<void> {
    await tenants.change(partnerId, tenantId, (current) => {
      const { newAddresses: _begun, addressDoubts: _doubts, ...facts } = current.facts;
      const { [virtualMachine]: own, ...others } = begunAddresses(current);
      if (own === undefined) return undefined;
      const doubts = doubt.lists.length + doubt.silent.length > 0 ? [...addressDoubts(current), doubt] : addressDoubts(current);
      return {
        facts: {
          ...facts,
          ...(names && {
            names: renamed((facts["names"] as Names | undefined) ?? targetOf(current).names, virtualMachine, names),
          }),
          ...(Object.keys(others).length > 0 && { newAddresses: others }),
          ...(doubts.length > 0 && { addressDoubts: doubts }),
        },
      };
    });
  }
};

interface ScreenedStep {
  work: Work;
  step: string;
  virtualMachine: string;
  address: string;
  keeps: boolean;
}

interface Kept {
  work: Work;
  virtualMachine: string;
  /** Where they aren't the first. */
  names?: AddressNames | undefined;
  doubt: AddressDoubt;
}

function renamed(names: Names, virtualMachine: string, address: AddressNames): Names {
  for (const [region, { machines }] of names.regions.entries())
    for (const [machine, one] of machines.entries())
      if (one.virtualMachine === virtualMachine) return withNames(names, { region, machine }, address);
  return names;
}

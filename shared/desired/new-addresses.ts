/** Public addresses that an onboarding makes, from before they are made until one of them is a machine's. Pure. */
import type { AddressNames, Names } from "../azure/names.ts";
import { gatewayIdOf } from "../api/gateway-id.ts";
import type { Finding } from "../api/plan.ts";
import type { Screened } from "../dns/screening.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import { heldAddresses, nextNames } from "./held-addresses.ts";
import { egressIps, type Ground } from "./state.ts";

/** Of one machine. */
export interface NewAddress {
  region: number;
  machine: number;
  /** What it may be called, in order. */
  candidates: AddressNames[];
  /** So many of these may stand. */
  begun: number;
}

/** By machine: how many of its candidates were begun, and none of them is kept yet. */
export const begunAddresses = ({ facts }: Pick<TenantRecord, "facts">): Record<string, number> =>
  (facts["newAddresses"] as Record<string, number> | undefined) ?? {};

export const withBegun = ({ facts }: Pick<TenantRecord, "facts">, begun: Record<string, number>): TenantRecord["facts"] => ({
  ...facts,
  newAddresses: { ...begunAddresses({ facts }), ...begun },
});

/** The machines of these names whose addresses `isNew`, with what these may be called. */
export const newAddressesOf = (
  tenant: Pick<TenantRecord, "id" | "facts">,
  { regions }: Names,
  isNew: (virtualMachine: string) => boolean,
  count: number,
): NewAddress[] =>
  regions.flatMap(({ machines }, region) =>
    machines.flatMap((names, machine) => {
      const { virtualMachine, publicIpAddress, dnsLabel } = names;
      if (!isNew(virtualMachine)) return [];
      const held = heldAddresses(tenant).filter(({ gatewayId }) => gatewayId === gatewayIdOf(tenant.id, virtualMachine));
      const others = nextNames(names, held, count - 1).map((one) => ({
        publicIpAddress: one.publicIpAddress,
        dnsLabel: one.dnsLabel,
      }));
      const begun = begunAddresses(tenant)[virtualMachine] ?? 1;
      return [{ region, machine, candidates: [{ publicIpAddress, dnsLabel }, ...others], begun }];
    }),
  );

/** One that is kept although a list has it, or that some list said nothing of. */
export interface AddressDoubt extends Screened {
  ipAddress: string;
}

export const addressDoubts = ({ facts }: Pick<TenantRecord, "facts">): AddressDoubt[] =>
  (facts["addressDoubts"] as AddressDoubt[] | undefined) ?? [];

/** Without those of addresses that an earlier onboarding has proven: they are watched like any other. */
export const openDoubts = ({ facts }: Pick<TenantRecord, "facts">): AddressDoubt[] => {
  const ground = facts["ground"] as Ground | undefined;
  const proven = ground ? egressIps(ground) : [];
  return addressDoubts({ facts }).filter(({ ipAddress }) => !proven.includes(ipAddress));
};

/** What a partner has to know of the addresses that mail leaves from. */
export const addressFindings = (tenant: Pick<TenantRecord, "facts">, addresses: string[]): Finding[] =>
  addressDoubts(tenant)
    .filter(({ ipAddress }) => addresses.includes(ipAddress))
    .flatMap(({ ipAddress, lists, silent, asked }): Finding[] => [
      ...(lists.length > 0
        ? [
            {
              code: "AddressListed",
              severity: "warning" as const,
              message: `the new address ${ipAddress} is on ${lists.join(", ")}, as others were that Azure gave: some receivers may refuse its mail`,
              remedy: "a delisting case opens by itself; or give the gateway another address with POST …/replace-address",
            },
          ]
        : []),
      ...(silent.length > 0
        ? [
            {
              code: "AddressNotScreened",
              severity: silent.length === asked ? ("warning" as const) : ("information" as const),
              message: `whether the new address ${ipAddress} is on ${silent.join(", ")} is not known: the lists could not be believed`,
              remedy: "nothing: it is asked about again from now on; GET /api/blocklists says why a list is blind",
            },
          ]
        : []),
    ]);

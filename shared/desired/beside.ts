/** The machines that a tenant has beside its gateways, one for each role: what its spec says of them. Pure. */
import type { MachineRole } from "../azure/names.ts";
import { eitherOf } from "../azure/services.ts";
import type { Minimum } from "../azure/sizes.ts";
import type { Image } from "../resources/gateway-vm.ts";
import type { Services, TenantSpec } from "../tenants/spec.ts";
import { GATEWAY_MINIMUM, ucmMinimum } from "./minimums.ts";

export interface MachineBeside {
  role: MachineRole;
  /** What a person calls it. */
  title: string;
  image: Image;
  /** Where it is left out, the cheapest one that has the minimum. */
  size: string | undefined;
  minimum: Minimum;
  /** What is open to the internet; its own network gets in anyway. */
  services: Partial<Services>;
  /** Whether it has a public address. */
  address: boolean;
  /** What decides its size in the spec. */
  field: string;
}

type Spec = Pick<TenantSpec, "gateway" | "ucm">;

/**
 * Mission E4: the newest Windows Server that the product runs on. Its web administration needs Internet Explorer and Silverlight, which
 * newer ones lack.
 */
export const UCM_IMAGE: Image = {
  publisher: "MicrosoftWindowsServer",
  offer: "WindowsServer",
  sku: "2019-datacenter-gensecond",
  version: "latest",
};

export const machinesBeside = ({ gateway: { keyManager }, ucm }: Spec): MachineBeside[] => [
  ...(keyManager === undefined
    ? []
    : [
        {
          role: "keyManager" as const,
          title: "KeyManager",
          image: keyManager.image,
          size: keyManager.size,
          minimum: GATEWAY_MINIMUM,
          services: keyManager.services,
          // Mission A8: only where its service is open to the internet.
          address: keyManager.services.keyManager !== undefined,
          field: "spec.gateway.keyManager.size",
        },
      ]),
  ...(ucm === undefined
    ? []
    : [
        {
          role: "ucm" as const,
          title: "UCM",
          image: UCM_IMAGE,
          size: undefined,
          minimum: ucmMinimum(ucm.mailboxes),
          services: ucm.services,
          // Mission E6: it has to get out to Exchange Online.
          address: true,
          field: "spec.ucm.mailboxes",
        },
      ]),
];

/** Throws when the spec has no such machine: whoever asks has looked. */
export function machineBeside(spec: Spec, role: MachineRole): MachineBeside {
  const found = machinesBeside(spec).find((one) => one.role === role);
  if (!found) throw new Error(`the spec has no machine ${role}`);
  return found;
}

/** Whatever any of them opens to the internet. */
export const servicesBeside = (spec: Spec): Partial<Services> =>
  machinesBeside(spec).reduce<Partial<Services>>((all, { services }) => eitherOf(all, services), {});

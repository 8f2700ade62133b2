/**
 * How long things typically take in the clouds, in seconds. Sources: apply logs of Terraform in public repositories (groups, networks,
 * addresses, interfaces, machines, applications); Microsoft's "Wait 30 minutes after creating a rule" and reports of 2 to 15 minutes (rules);
 * our own runs of the guest's documents. What nobody measured takes as long as a call.
 */
import type { PlannedAction } from "../api/plan.ts";
import type { Resources } from "../resources/index.ts";

const A_CALL = 5;

/** To make it; changing it takes as long. */
const making: Partial<Record<keyof Resources, number>> = {
  resourceGroup: 2,
  networkSecurityGroup: 3,
  virtualNetwork: 5,
  publicIpAddress: 4,
  availabilitySet: 2,
  loadBalancer: 10,
  networkInterface: 9,
  gatewayVm: 71,
  guest: 120,
  diagnosticsAccount: 18,
  monitorAgent: 60,
  sqlServer: 60,
  sqlDatabase: 60,
  webClientApplication: 23,
  powerShellApplication: 23,
  exchangeWebServicesApplication: 23,
};

/** To take it away. A group goes with all that is in it. */
const removing: Partial<Record<keyof Resources, number>> = { resourceGroup: 300, gatewayVm: 60 };

/** What is read only takes no time worth telling. */
export function typicalSeconds(kind: keyof Resources, action: PlannedAction): number {
  if (action === "none" || action === "blocked") return 0;
  if (action === "remove") return removing[kind] ?? A_CALL;
  return making[kind] ?? A_CALL;
}

/** What no resource stands for. */
export const typical = {
  /** From a rule's change until every server of Exchange Online knows it. */
  propagation: 900,
  /** A mail goes round. */
  probeMail: 60,
  /** Exchange Online connects to the gateway. */
  startTls: 5,
  /** Of a gateway that nothing new comes to. */
  queue: 600,
} as const;

/** As ISO 8601 has it: `PT35M23S`. */
export function isoDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3600), "H"],
    [Math.floor((whole % 3600) / 60), "M"],
    [whole % 60, "S"],
  ] as const;
  const text = parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`])).join("");
  return `PT${text === "" ? "0S" : text}`;
}

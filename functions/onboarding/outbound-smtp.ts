/**
 * Mission A13: whether port 25 is open to the machines, proven by themselves: each heartbeat has a look at Microsoft 365's door from the
 * machine's own address, up to RCPT TO.
 */
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { Target } from "../../shared/desired/target.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { OnboardingWorld } from "./world.ts";

export interface OutboundSmtp {
  machine: string;
  /** `blocked`: nobody answered at all. Another answer is a refusal, and the door is open. */
  port25: "open" | "blocked";
  /** Who was asked, and how far it came. */
  evidence: string;
}

/** Of the machines that have looked since then; one that hasn't reported is left out. */
export async function outboundSmtpOf(
  { stores }: Pick<OnboardingWorld, "stores">,
  { work, names }: Pick<Target, "names"> & { work: Work },
): Promise<OutboundSmtp[]> {
  const machines = names.regions.flatMap((region) => region.machines.map(({ virtualMachine }) => virtualMachine));
  const found = await Promise.all(
    machines.map(async (machine): Promise<OutboundSmtp[]> => {
      const probe = (await stores.heartbeats.find(work.partnerId, gatewayIdOf(work.tenantId, machine)))?.last?.probe;
      if (!probe) return [];
      const { host, stage, reply } = probe;
      const blocked = stage === "connect" && reply === "";
      const evidence = blocked ? `${host} on port 25: no connection` : `${host} on port 25: ${stage}: ${reply}`;
      return [{ machine, port25: blocked ? "blocked" : "open", evidence }];
    }),
  );
  return found.flat();
}

/** Why no probe mail came back, where the machines themselves know. */
export function blockedBy(looks: OutboundSmtp[]): ControlPlaneError | undefined {
  const blocked = looks.filter(({ port25 }) => port25 === "blocked");
  if (blocked.length === 0) return undefined;
  const seen = blocked.map(({ machine, evidence }) => `${machine} to ${evidence}`).join("; ");
  return new ControlPlaneError(
    "OutboundSmtpBlocked",
    `port 25 is closed to the gateway, so no mail can come back and none was moved: ${seen}; take a subscription for which Azure opens port 25, or have this one exempted and its machines stopped and started`,
    409,
    false,
    { target: "spec.azure.subscriptionId" },
  );
}

/** A machine at our doors: it counts only with the identity of the very machine that it speaks for. */
import type { Agent, HeartbeatRecord, HeartbeatStore } from "../stores/heartbeats.ts";
import type { MachineCaller } from "./authentication.ts";
import { refusal } from "./error-codes.ts";
import { partsOfVmId } from "./heartbeat.ts";

/** Throws AgentNotFound, said alike of machines that don't exist and of those that are somebody else's. */
export async function agentAt(
  heartbeats: Pick<HeartbeatStore, "find">,
  caller: MachineCaller,
  vmId: string,
): Promise<HeartbeatRecord> {
  const { partnerId, gatewayId } = partsOfVmId(vmId);
  const agent = await heartbeats.find(partnerId, gatewayId);
  if (agent !== undefined && speaksFor(caller, agent)) return agent;
  const { clientId, entraTenantId } = caller;
  throw refusal(
    "AgentNotFound",
    `there is no machine ${vmId} that reports with the identity ${clientId} of Entra tenant ${entraTenantId}`,
  );
}

/** One identity may be assigned to several machines of a tenant; where Entra says which one asked, it has to be this one. */
const speaksFor = (caller: MachineCaller, agent: Agent): boolean =>
  caller.entraTenantId === agent.entraTenantId.toLowerCase() &&
  caller.clientId === agent.clientId.toLowerCase() &&
  (caller.virtualMachineId === undefined || caller.virtualMachineId.toLowerCase() === agent.virtualMachineId.toLowerCase());

/** The machines' door: a heartbeat counts only with the identity of the very machine that it is about. */
import type { MachineCaller } from "../../shared/api/authentication.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { type Heartbeat, type Level, partsOfVmId } from "../../shared/api/heartbeat.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Agent, HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import { type MailFlowMonitor, mailFlowMonitorSchema, type Thresholds } from "../../shared/tenants/iq-suite.ts";

/** POST /api/agents/{vmId}/heartbeat */
export const postHeartbeat =
  ({ stores: { heartbeats } }: ApiWorld): Handler<"postHeartbeat"> =>
  async ({ caller, params, body }) => {
    const { partnerId, gatewayId } = partsOfVmId(params.vmId);
    const agent = await heartbeats.find(partnerId, gatewayId);
    // Said alike of machines that don't exist and of those that are somebody else's.
    if (agent === undefined || !reportsFor(caller, agent)) {
      const { clientId, entraTenantId } = caller;
      throw refusal(
        "AgentNotFound",
        `there is no machine ${params.vmId} that reports with the identity ${clientId} of Entra tenant ${entraTenantId}`,
      );
    }
    return { status: 202, body: await heartbeats.record(partnerId, gatewayId, body) };
  };

/** One identity may be assigned to several machines of a tenant; where Entra says which one asked, it has to be this one. */
const reportsFor = (caller: MachineCaller, agent: Agent): boolean =>
  caller.entraTenantId === agent.entraTenantId.toLowerCase() &&
  caller.clientId === agent.clientId.toLowerCase() &&
  (caller.virtualMachineId === undefined || caller.virtualMachineId.toLowerCase() === agent.virtualMachineId.toLowerCase());

export const heartbeatBody = (
  { last, readings }: HeartbeatRecord,
  monitor: MailFlowMonitor = mailFlowMonitorSchema.parse({}),
): Heartbeat | undefined =>
  last === undefined
    ? undefined
    : {
        ...last,
        levels: { queue: levelOf(last.queue, monitor.queue), badmail: levelOf(last.badmail, monitor.badmail) },
        readings,
      };

/** Mission B7: a count that is a threshold belongs to the higher level. */
export const levelOf = (folder: { count: number } | null, { warning, error }: Thresholds): Level | null =>
  folder === null ? null : folder.count >= error ? "error" : folder.count >= warning ? "warning" : "information";

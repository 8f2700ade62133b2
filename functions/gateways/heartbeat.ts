/** The machines' door for heartbeats, and what their counts mean. */
import { agentAt } from "../../shared/api/agents.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import type { Heartbeat, Level } from "../../shared/api/heartbeat.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import { type MailFlowMonitor, mailFlowMonitorSchema, type Thresholds } from "../../shared/tenants/iq-suite.ts";

/** POST /api/agents/{vmId}/heartbeat */
export const postHeartbeat =
  ({ stores: { heartbeats } }: ApiWorld): Handler<"postHeartbeat"> =>
  async ({ caller, params, body }) => {
    const { partnerId, gatewayId } = await agentAt(heartbeats, caller, params.vmId);
    return { status: 202, body: await heartbeats.record(partnerId, gatewayId, body) };
  };

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

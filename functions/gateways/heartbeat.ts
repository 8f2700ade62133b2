/** The machines' door for heartbeats, and how a partner sees the last one. */
import { agentAt } from "../../shared/api/agents.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import type { Heartbeat } from "../../shared/api/heartbeat.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { type MailFlowMonitor, mailFlowMonitorSchema } from "../../shared/tenants/iq-suite.ts";
import { type BlockWorld, nextBlock, tellBlock } from "./block.ts";
import { levelOf, levelsOf, nextFindings } from "./report.ts";

export interface HeartbeatWorld extends ApiWorld, Pick<BlockWorld, "sender"> {
  /** How often machines report. */
  heartbeatEveryInSeconds: number;
}

/** POST /api/agents/{vmId}/heartbeat */
export const postHeartbeat =
  (world: HeartbeatWorld): Handler<"postHeartbeat"> =>
  async ({ caller, params, body }) => {
    const { stores, clock, heartbeatEveryInSeconds } = world;
    const agent = await agentAt(stores.heartbeats, caller, params.vmId);
    const { partnerId, gatewayId, tenantId } = agent;
    const monitor = monitorOf(await stores.tenants.find(partnerId, tenantId));
    const assessment = {
      levels: levelsOf(body, monitor, clock.now()),
      readingInSeconds: heartbeatEveryInSeconds,
      judge: nextFindings,
      block: await tellBlock(world, agent, nextBlock(agent.block, body, clock.now())),
    };
    return { status: 202, body: await stores.heartbeats.record(partnerId, gatewayId, body, assessment) };
  };

const theManuals: MailFlowMonitor = mailFlowMonitorSchema.parse({});

/** How the product itself watches, and what counts mean. */
export const monitorOf = (tenant: Pick<TenantRecord, "spec"> | undefined): MailFlowMonitor =>
  tenant?.spec.gateway.iqSuite?.monitoring ?? theManuals;

export const heartbeatBody = (
  { last, readings }: HeartbeatRecord,
  monitor: MailFlowMonitor = theManuals,
): Heartbeat | undefined =>
  last === undefined
    ? undefined
    : {
        ...last,
        levels: { queue: levelOf(last.queue, monitor.queue), badmail: levelOf(last.badmail, monitor.badmail) },
        readings,
      };

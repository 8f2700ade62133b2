/** The SMTP service of a machine is restarted because somebody asks, and not while the product does that by itself. */
import type { DurableClient } from "durable-functions";
import * as z from "zod";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { type Ground, windowsOf } from "../../shared/desired/state.ts";
import { isStanding, targetOf } from "../../shared/desired/target.ts";
import type { ResourcePace } from "../../shared/durable/resources.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { MailFlowMonitor } from "../../shared/tenants/iq-suite.ts";
import { isSilent } from "./health.ts";
import { monitorOf } from "./heartbeat.ts";
import { restartSmtpService, type SmtpRestarting } from "./orchestrator.ts";

export interface SmtpRestartWorld extends ApiWorld {
  pace: ResourcePace;
  /** How often machines report. */
  heartbeatEveryInSeconds: number;
}

/** As the operation keeps it. */
export const smtpRestartRequest = z.object({ gatewayId: z.string() });

/** POST /api/gateways/{gatewayId}/restart-smtp */
export const startSmtpRestart = (world: SmtpRestartWorld, client: DurableClient) =>
  endpoint("startSmtpRestart", world, async ({ caller, params: { gatewayId }, query, headers }) => {
    const partnerId = partnerInScope(caller, query.partnerId);
    const { tenantId } = await world.stores.gateways.get(partnerId, gatewayId);
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body: { gatewayId } };
    return accepted(world, await startOperation(world.stores, client, smtpRestarting(world, gatewayId), asked));
  });

export const smtpRestarting = (
  { stores, clock, pace, heartbeatEveryInSeconds }: SmtpRestartWorld,
  gatewayId: string,
): TenantOperation<SmtpRestarting> => ({
  kind: "smtpRestart",
  orchestrator: restartSmtpService,
  stepsOf: () => [
    { name: "smtpRestart", title: "The SMTP service is restarted by Run Command", branch: "gateway" },
    { name: "heartbeat", title: "The machine's next heartbeat says that the service runs", branch: "proof" },
  ],
  inputOf: (tenant, operationId) => ({
    work: { ...targetOf(tenant).work, operationId },
    gatewayId,
    windows: windowsInside(tenant, gatewayId),
    pace,
    heartbeatEveryInSeconds,
  }),
  // Counted from when it is asked for: a request that fails may have restarted it all the same.
  factsOf: ({ facts }) => ({
    smtpRestarts: { ...smtpRestartsOf({ facts }), [gatewayId]: new Date(clock.now()).toISOString() },
  }),
  async check(tenant) {
    const { partnerId, id } = tenant;
    const found = machineOf(tenant, gatewayId);
    const { state } = await stores.gateways.get(partnerId, gatewayId);
    if (!isStanding(tenant) || !found)
      throw refusal(
        "NothingStands",
        `tenant ${id} is in stage ${tenant.stage}: no gateway of ours stands that could be restarted`,
      );
    const reported = await stores.heartbeats.find(partnerId, gatewayId);
    const down = state.health === "stopped" || state.health === "unavailable" || isSilent(state);
    if (down || reported?.last === undefined)
      throw refusal("GatewayNotReporting", `gateway ${gatewayId} ${down ? `is ${state.health}` : "has never reported"}`);
    refuseTooSoon(gatewayId, notBefore(monitorOf(tenant), reported, smtpRestartsOf(tenant)[gatewayId]), clock.now());
  },
});

const smtpRestartsOf = ({ facts }: Pick<TenantRecord, "facts">): Record<string, string> =>
  (facts["smtpRestarts"] ?? {}) as Record<string, string>;

function machineOf(tenant: TenantRecord, gatewayId: string) {
  const places = targetOf(tenant).names.regions.flatMap((region) => region.machines.map((machine) => ({ region, machine })));
  const ground = tenant.facts["ground"] as Ground | undefined;
  const place = places.find(({ machine }) => gatewayIdOf(tenant.id, machine.virtualMachine) === gatewayId);
  return place && ground && { place, ground };
}

function windowsInside(tenant: TenantRecord, gatewayId: string): SmtpRestarting["windows"] {
  const found = machineOf(tenant, gatewayId);
  if (!found) throw refusal("NothingStands", `tenant ${tenant.id} has no machine of gateway ${gatewayId} any more`);
  return windowsOf(targetOf(tenant), found.place, found.ground);
}

/**
 * Until when nobody else restarts it, in milliseconds since 1970: twice the product's interval from the last request, and, where the product
 * restarts it by itself, from the first report that had its threshold. By then the product has done so, and has looked at what came of it.
 */
export function notBefore(
  { checkIntervalInSeconds, restartSmtp, queue }: MailFlowMonitor,
  { readings, last }: Pick<HeartbeatRecord, "readings" | "last">,
  requestedAt: string | undefined,
): number {
  const counts = [...readings, ...(last ? [{ at: last.receivedAt, queue: last.queue?.count ?? null }] : [])];
  const full = ({ queue: count }: { queue: number | null }): boolean => count !== null && count >= queue.error;
  const first = counts[counts.findLastIndex((one) => !full(one)) + 1];
  const since = [requestedAt, restartSmtp ? first?.at : undefined].filter((at) => at !== undefined).map(Date.parse);
  return Math.max(0, ...since) + 2 * checkIntervalInSeconds * 1000;
}

function refuseTooSoon(gatewayId: string, earliest: number, now: number): void {
  if (earliest <= now) return;
  const at = new Date(earliest).toISOString();
  throw refusal("RestartTooSoon", `the SMTP service of gateway ${gatewayId} was restarted lately, or the product is about to`, {
    retryAfterInSeconds: Math.ceil((earliest - now) / 1000),
    details: [{ code: "NotBefore", target: at, message: `may be restarted from ${at} on` }],
  });
}

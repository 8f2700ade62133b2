/** The partner's door to its gateways and to what happened. */
import type { Handler } from "../../shared/api/endpoint.ts";
import type { Event } from "../../shared/api/event.ts";
import type { Gateway } from "../../shared/api/gateway.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { EventRecord } from "../../shared/stores/events.ts";
import type { GatewayRecord } from "../../shared/stores/gateways.ts";
import { heartbeatBody } from "./heartbeat.ts";

/** GET /api/gateways */
export const listGateways =
  ({ stores, signer }: ApiWorld): Handler<"listGateways"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.gateways.listOf(partnerInScope(caller, query.partnerId), pageSize, after);
    return { body: await pageBody(page, gatewayBody, paging) };
  };

/** GET /api/gateways/{gatewayId} */
export const getGateway =
  ({ stores }: ApiWorld): Handler<"getGateway"> =>
  async ({ caller, params, query }) => {
    const partnerId = partnerInScope(caller, query.partnerId);
    const gateway = await stores.gateways.get(partnerId, params.gatewayId);
    const reported = await stores.heartbeats.find(partnerId, gateway.id);
    const monitor = reported && (await stores.tenants.find(partnerId, gateway.tenantId))?.spec.gateway.iqSuite?.monitoring;
    const heartbeat = reported && heartbeatBody(reported, monitor);
    return { body: { ...gatewayBody(gateway), ...(heartbeat === undefined ? {} : { heartbeat }) } };
  };

/** GET /api/events: newest first. */
export const listEvents =
  ({ stores, signer }: ApiWorld): Handler<"listEvents"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.events.list(partnerInScope(caller, query.partnerId), query, pageSize, after);
    return { body: await pageBody(page, eventBody, paging) };
  };

const gatewayBody = ({
  partnerId: _partnerId,
  entraTenantId: _entraTenantId,
  misses: _misses,
  owed: _owed,
  past: _past,
  ...gateway
}: GatewayRecord): Gateway => gateway;

const eventBody = ({ partnerId: _partnerId, ...event }: EventRecord): Event => event;

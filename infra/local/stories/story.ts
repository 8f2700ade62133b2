/** What every story has: a tenant with a gateway, the partner's API, the simulators' control door, and lines with the time that has passed. */
import { type ApiClient, ApiError } from "../../../shared/api/client.ts";
import type { Event } from "../../../shared/api/event.ts";
import type { Gateway } from "../../../shared/api/gateway.ts";
import type { Condition } from "../../../shared/api/tenant.ts";
import type { Screen } from "../progress.ts";
import type { RunningPlatform } from "../running.ts";
import { type Control, controlOf, secondsSince, type Until, untilIn } from "./control.ts";

export interface Story {
  platform: RunningPlatform;
  partner: ApiClient;
  partnerId: string;
  tenantId: string;
  gateway: Gateway;
  screen: Screen;
  /** A line that begins with the seconds since the story did. */
  tell(line: string): void;
  until: Until;
  condition(type: string): Promise<Condition | undefined>;
  /** Events of the tenant since the story began, oldest first. */
  newEvents(): Promise<Event[]>;
  control: Control;
}

export interface StoryOptions {
  platform: RunningPlatform;
  partner: ApiClient;
  partnerId: string;
  tenantId: string;
  screen: Screen;
  data: string;
}

/** Throws an error for the person at the terminal when there is no such tenant, or none with a gateway. */
export async function createStory({ platform, partner, partnerId, tenantId, screen, data }: StoryOptions): Promise<Story> {
  const gateway = await gatewayOf(partner, tenantId);
  const eventsOf = async (): Promise<Event[]> => (await partner.listEvents({ tenantId })).body.value;
  const before = new Set((await eventsOf()).map(({ id }) => id));
  const began = Date.now();

  return {
    platform,
    partner,
    partnerId,
    tenantId,
    gateway,
    screen,
    control: controlOf(platform.control),
    tell: (line) => screen.say(`${secondsSince(began)}  ${line}`),
    until: untilIn(data),
    condition: async (type) => (await partner.getTenant({ tenantId })).body.conditions.find((one) => one.type === type),
    newEvents: async () => (await eventsOf()).filter(({ id }) => !before.has(id)).toReversed(),
  };
}

async function gatewayOf(partner: ApiClient, tenantId: string): Promise<Gateway> {
  try {
    await partner.getTenant({ tenantId });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "TenantNotFound") throw error;
    throw notOnboarded(tenantId, "is not registered here");
  }
  const { value } = (await partner.listGateways({})).body;
  const gateway = value.find((one) => one.tenantId === tenantId);
  if (!gateway) throw notOnboarded(tenantId, "has no proven gateway yet");
  return gateway;
}

const notOnboarded = (tenantId: string, why: string): Error =>
  new Error(`${tenantId} ${why}: npm start onboards the example tenant; --tenant ID names another one`);

/** As a partner reads them. */
export const eventLines = (events: Event[]): string[] =>
  events.map(({ at, type, subject }) => `  ${at.slice(0, 19)}Z  ${type.padEnd(22)}  ${subject}`);

/** What every story has: a tenant with a gateway, the partner's API, the simulators' control door, and lines with the time that has passed. */
import { setTimeout as pause } from "node:timers/promises";
import { type ApiClient, ApiError } from "../../../shared/api/client.ts";
import type { Event } from "../../../shared/api/event.ts";
import type { Gateway } from "../../../shared/api/gateway.ts";
import type { Condition } from "../../../shared/api/tenant.ts";
import type { Screen } from "../progress.ts";
import type { RunningPlatform } from "../running.ts";
import { untilAnswered } from "../through-restarts.ts";

export interface Story {
  platform: RunningPlatform;
  partner: ApiClient;
  partnerId: string;
  tenantId: string;
  gateway: Gateway;
  screen: Screen;
  /** A line that begins with the seconds since the story did. */
  tell(line: string): void;
  /** Asks again and again until there is something. Throws after two minutes. */
  until<Found>(what: string, look: () => Promise<Found | undefined>): Promise<Found>;
  condition(type: string): Promise<Condition | undefined>;
  /** Events of the tenant since the story began, oldest first. */
  newEvents(): Promise<Event[]>;
  /** The simulators' own door. */
  control<Answer>(request: `${"GET" | "POST"} /${string}`, body?: object): Promise<Answer>;
}

export interface StoryOptions {
  platform: RunningPlatform;
  partner: ApiClient;
  partnerId: string;
  tenantId: string;
  screen: Screen;
  data: string;
}

const LOOK_EVERY_MILLISECONDS = 200;
const PATIENCE_IN_MILLISECONDS = 120_000;

/** Throws an error for the person at the terminal when there is no such tenant, or none with a gateway. */
export async function createStory({ platform, partner, partnerId, tenantId, screen, data }: StoryOptions): Promise<Story> {
  const gateway = await gatewayOf(partner, tenantId);
  const eventsOf = async (): Promise<Event[]> => (await partner.listEvents({ tenantId })).body.value;
  const before = new Set((await eventsOf()).map(({ id }) => id));
  const began = Date.now();

  async function control<Answer>(request: string, body?: object): Promise<Answer> {
    const [method = "GET", path = "/"] = request.split(" ");
    const response = await untilAnswered(() =>
      fetch(platform.control + path, {
        method,
        ...(body ? { headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {}),
      }),
    );
    if (!response.ok) throw new Error(`the control door refused ${request}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Answer;
  }

  return {
    platform,
    partner,
    partnerId,
    tenantId,
    gateway,
    screen,
    control,
    tell: (line) => screen.say(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`),
    until: async (what, look) => {
      for (const end = Date.now() + PATIENCE_IN_MILLISECONDS; Date.now() < end; await pause(LOOK_EVERY_MILLISECONDS)) {
        const found = await look();
        if (found !== undefined) return found;
      }
      throw new Error(`waited two minutes for ${what}; ${data}/logs/host.log may say why it didn't come`);
    },
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

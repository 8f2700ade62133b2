/** The API over the wire: the real handlers in the local host, on the test run's Azurite, with tokens of a little Entra. */
import { randomUUID } from "node:crypto";
import type { HeartbeatWorld } from "../../functions/gateways/heartbeat.ts";
import type { AddressDoors } from "../../functions/addresses/world.ts";
import type { DeadLettersWorld } from "../../functions/dead-letters/world.ts";
import type { DriftWorld } from "../../functions/drift/world.ts";
import type { SchedulesWorld } from "../../functions/schedules/world.ts";
import type { MailRecipientsWorld, WebhooksWorld } from "../../functions/notifications/world.ts";
import type { MailFlowWorld } from "../../functions/mail-flow/world.ts";
import type { OffboardingWorld } from "../../functions/offboarding/world.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { TasksWorld } from "../../functions/tasks/world.ts";
import { createHost } from "../../infra/local/functions-host/host.ts";
import { createAuthentication } from "../../shared/api/authentication.ts";
import { type ApiClient, createClient } from "../../shared/api/client.ts";
import { createSigner } from "../../shared/api/signing.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { systemClock } from "../../shared/clock.ts";
import { createLog } from "../../shared/log.ts";
import { createDeadLetterReader } from "../../shared/messages/dead-letter-reader.ts";
import { createPlans } from "../../shared/plans/plans.ts";
import { notificationsUnderTest } from "./notifications.ts";
import { testStores, unique } from "./stores.ts";
import { startTokenIssuer, type TokenIssuer } from "./token-issuer.ts";

/** Somebody with an application: a token, and the typed client that sends it. */
export interface TestCaller {
  token: string;
  api: ApiClient;
}

export interface TestPartner extends TestCaller {
  partnerId: string;
  entraTenantId: string;
  clientId: string;
}

export interface TestApi {
  url: string;
  world: ApiWorld;
  issuer: TokenIssuer;
  /** What the app has logged, line by line. */
  logged: string[];
  operator: TestCaller;
  /** Registers a new partner by the API. */
  partner(): Promise<TestPartner>;
  /** A raw request with api-version, for what the typed client can't send. */
  request(
    method: string,
    path: string,
    options?: { token?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>;
  stop(): Promise<void>;
}

/** What the timer of test/support/api-app does when it is run; its own time hardly ever comes. */
export const timerUnderTest: { work: () => Promise<void> } = { work: () => Promise.resolve() };
export const LEAP_DAY = "0 0 0 29 2 *";

let current: WorldOfDoors | undefined;

/** For test/support/api-app, which the host loads without arguments. */
export function worldUnderTest(): WorldOfDoors {
  if (!current) throw new Error("startApi has not made a world yet");
  return current;
}

/** @param serviceBus connection string of a broker, where a test has one */
export async function startApi({ serviceBus = "broker.example" }: { serviceBus?: string } = {}): Promise<TestApi> {
  const issuer = await startTokenIssuer();
  const { applicationId, homeTenantId, authorityHost } = issuer;
  const stores = testStores();
  const logged: string[] = [];
  const settings = { applicationId, homeTenantId, authorityHost, publicUrl: "" };
  const key = crypto.getRandomValues(new Uint8Array(32));
  const world: ApiWorld = {
    stores,
    authenticate: createAuthentication({
      environment: { authorityHost },
      applicationId,
      homeTenantId,
      partners: stores.partners,
      clock: systemClock,
    }),
    signer: createSigner(() => Promise.resolve(key), systemClock),
    log: createLog("debug", (_level, line) => logged.push(line)),
    clock: systemClock,
    settings,
  };
  const heartbeatEveryInSeconds = 600;
  const credential = { getToken: () => Promise.reject(new Error("there is no broker in this test")) };
  const deadLetterReader = createDeadLetterReader({ connection: serviceBus, credential });
  current = withoutClouds({
    ...world,
    plans: createPlans(stores.plans),
    heartbeatEveryInSeconds,
    deadLetterReader,
    ...notificationsUnderTest(),
    schedules: { LEAP_DAY_SCHEDULE: LEAP_DAY },
  });
  process.env["LEAP_DAY_SCHEDULE"] = LEAP_DAY;
  const host = await createHost({ appDirectory: "test/support/api-app", stateFile: ":memory:", port: 0, log: () => undefined });
  settings.publicUrl = host.url;

  const callerWith = (token: string): TestCaller => ({ token, api: createClient({ baseUrl: host.url, token: () => token }) });
  const operator = callerWith(await issuer.token({ tid: homeTenantId, azp: randomUUID(), roles: ["Operator"] }));
  return {
    url: host.url,
    world,
    issuer,
    logged,
    operator,
    partner: async () => {
      const pair = { entraTenantId: randomUUID(), clientId: randomUUID() };
      const partnerId = unique("partner");
      await operator.api.putPartner({ partnerId, body: { displayName: partnerId, ...pair } });
      return { partnerId, ...pair, ...callerWith(await issuer.token({ tid: pair.entraTenantId, azp: pair.clientId })) };
    },
    request: (method, path, { token, body, headers } = {}) => {
      const url = new URL(host.url + path);
      if (!url.searchParams.has("api-version")) url.searchParams.set("api-version", "2026-11-01");
      const json = body === undefined ? {} : { "content-type": "application/json" };
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return fetch(url, {
        method,
        headers: { ...json, ...authorization, ...headers },
        redirect: "manual",
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
    },
    stop: async () => {
      await host.stop();
      await issuer.stop();
    },
  };
}

type WorldOfDoors = OnboardingWorld &
  OffboardingWorld &
  MailFlowWorld &
  RotationWorld &
  TasksWorld &
  DriftWorld &
  AddressDoors &
  DeadLettersWorld &
  HeartbeatWorld &
  SchedulesWorld &
  MailRecipientsWorld &
  WebhooksWorld;

/** Where the API's subject ends: whoever reaches for a cloud in these tests has gone too far. */
const withoutClouds = (
  world: ApiWorld & Pick<WorldOfDoors, "plans" | "heartbeatEveryInSeconds" | "deadLetterReader" | "schedules">,
): WorldOfDoors =>
  new Proxy(world as WorldOfDoors, {
    get: (target, name, receiver) => {
      if (!Reflect.has(target, name)) throw new Error(`the API reached for ${String(name)}`);
      return Reflect.get(target, name, receiver) as unknown;
    },
  });

/** Microsoft 365 takes nothing from the gateway for a while: mail waits in its queue until two heartbeats agree, and is well when three do. */
import { setTimeout as pause } from "node:timers/promises";
import { ApiError } from "../../../shared/api/client.ts";
import type { GatewayState } from "../../../shared/api/gateway.ts";
import type { Heartbeat } from "../../../shared/api/heartbeat.ts";
import { act, healthOf } from "./outage.ts";
import { eventLines, type Story } from "./story.ts";
import { type ReceiverState, registered, verified } from "./webhook.ts";

const MAILS = 60;
const AT_ONCE = 10;
const REPLY = "451 4.7.500 Server busy";
/** Mail that comes shortly before a heartbeat is told by two of them before the gateway tries it again, a minute and a half later. */
const AFTER_A_HEARTBEAT_MILLISECONDS = 40_000;
/** A heartbeat a minute; the gateway tries again after 90 seconds, and after 180 more. */
const MOST_HEARTBEATS = 12;

export async function showQueue(story: Story): Promise<void> {
  const { gateway, tenantId, partner, control, screen, tell, until } = story;
  const { url } = await control<ReceiverState>("GET /state/webhooks");
  const secret = await registered(story, `${url}/gatehouse`);
  await until(`${gateway.id} to be healthy before the story begins`, async () => {
    if ((await healthOf(story)) === "healthy") return true;
    await act(story, "start");
    return undefined;
  });
  const from = new Date().toISOString();
  await heartbeatWith(story, "nothing in its queue", (beat) => beat.queue?.count === 0);
  await pause(AFTER_A_HEARTBEAT_MILLISECONDS);

  const fault = { kind: "reply", reply: REPLY };
  await control("POST /faults", { cloud: "mail", match: { path: `source=${gateway.address}` }, fault, times: 100_000 });
  screen.say(`Microsoft 365 answers ${gateway.id} with "${REPLY}" from now on, and ${MAILS} mails go out through it.`);
  try {
    await sendMails(story);
    const { queue, levels } = await heartbeatWith(story, "all mails in its queue", (beat) => beat.queue?.count === MAILS);
    tell(`heartbeat: ${queue?.count} mails wait, level ${levels.queue}`);
    await changed(story, "failing", "False", secret);
    tell(`asked for a restart of its SMTP service: ${await restartRefused(story)}`);
  } finally {
    await fetch(`${story.platform.control}/faults`, { method: "DELETE" });
  }
  screen.say("Microsoft 365 takes mail again; the gateway tries what waits when its time comes.");
  const { queue, levels } = await heartbeatWith(story, "an empty queue", (beat) => beat.queue?.count === 0);
  tell(`heartbeat: ${queue?.count} mails wait, level ${levels.queue}`);
  await heartbeatWith(story, "three heartbeats to agree", async () => (await healthOf(story)) === "healthy");
  await changed(story, "healthy", "True", secret);

  const { value } = (await partner.getGatewayHistory({ gatewayId: gateway.id, from })).body;
  const most = Math.max(...value.map((point) => point.queue ?? 0));
  const worst = value.find((point) => point.queue === most)?.levels?.queue;
  screen.say(`\nGET /api/gateways/${gateway.id}/history has it: at most ${most} mails in the queue, level ${worst}`);
  screen.say(`GET /api/events?tenantId=${tenantId} has:\n${eventLines(await story.newEvents()).join("\n")}`);
}

/** The first new heartbeat of that kind. */
async function heartbeatWith(
  { partner, gateway, until }: Story,
  what: string,
  wanted: (beat: Heartbeat) => boolean | Promise<boolean>,
): Promise<Heartbeat> {
  const last = async (): Promise<Heartbeat | undefined> => (await partner.getGateway({ gatewayId: gateway.id })).body.heartbeat;
  let known = (await last())?.receivedAt;
  for (let beats = 0; beats < MOST_HEARTBEATS; beats += 1) {
    const beat = await until(`a heartbeat of ${gateway.id} with ${what}`, async () => {
      const newest = await last();
      return newest?.receivedAt === known ? undefined : newest;
    });
    if (await wanted(beat)) return beat;
    known = beat.receivedAt;
  }
  throw new Error(`${MOST_HEARTBEATS} heartbeats of ${gateway.id} came, none with ${what}`);
}

async function sendMails({ partner, control, tenantId }: Story): Promise<void> {
  const { probeMailbox } = (await partner.getTenant({ tenantId })).body.spec.microsoft365;
  for (let sent = 0; sent < MAILS; sent += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, () =>
        control("POST /mail", { from: probeMailbox, to: "customer@outside.example", subject: "A message of every day" }),
      ),
    );
}

/** The change as a partner sees it: the gateway, its tenant's condition, the event, and what a server of its own is told. */
async function changed(story: Story, health: GatewayState["health"], status: "True" | "False", secret: string): Promise<void> {
  const { gateway, partner, tell, until } = story;
  const state = await until(`${gateway.id} to be ${health}`, async () => {
    const found = (await partner.getGateway({ gatewayId: gateway.id })).body.state;
    return found.health === health ? found : undefined;
  });
  tell(`gateway ${gateway.id}: ${state.health} (${state.power}, ${state.reason})`);
  const condition = await until(`GatewayHealthy to be ${status}`, async () => {
    const found = await story.condition("GatewayHealthy");
    return found?.status === status ? found : undefined;
  });
  tell(`condition GatewayHealthy ${condition.status}: ${condition.reason}, ${condition.message}`);
  const event = await until("its event", async () =>
    (await story.newEvents()).find(
      ({ type, data }) => type === "gateway.health.changed" && (data["after"] as GatewayState).health === health,
    ),
  );
  const { before, after } = event.data as Record<"before" | "after", GatewayState>;
  tell(`event ${event.type}: from ${before.health} (${before.reason}) to ${after.health} (${after.reason})`);
  const { headers, event: told } = await verified(story, event.id, secret);
  tell(`webhook ${headers["content-type"]?.split(";")[0]}: ${told.type} of ${told.subject}, signature verified`);
}

/** The product restarts the service itself when so many wait, so nobody else does for twice its interval. */
async function restartRefused({ partner, gateway }: Story): Promise<string> {
  try {
    const { body } = await partner.startSmtpRestart({ gatewayId: gateway.id });
    return `operation ${body.id}`;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const [detail] = error.details ?? [];
    return `${error.code}, it ${detail?.message}`;
  }
}

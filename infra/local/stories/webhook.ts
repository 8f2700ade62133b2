/** A partner is told what changed: it registers a webhook, a machine is stopped, and its own server verifies what comes. */
import { Webhook } from "standardwebhooks";
import type { Received } from "../clouds/webhooks/index.ts";
import { act, healthOf } from "./outage.ts";
import type { Story } from "./story.ts";

const WEBHOOK = "show";

export interface ReceiverState {
  url: string;
  received: Received[];
}

export async function showWebhook(story: Story): Promise<void> {
  const { partner, control, screen, tell, until, gateway } = story;
  const { url } = await control<ReceiverState>("GET /state/webhooks");
  const secret = await registered(story, `${url}/gatehouse`);
  screen.say(
    `Registered ${url.replace(/:\d+$/, "")}/gatehouse for gateway.*; its secret, ${secret.slice(0, 6)}…, was shown once`,
  );

  const tried = (await partner.testWebhook({ webhookId: WEBHOOK })).body;
  await verified(story, tried.eventId, secret);
  tell("the test arrived, and its signature is right");

  await until(`${gateway.id} to be healthy before it is stopped`, async () => {
    if ((await healthOf(story)) === "healthy") return true;
    await act(story, "start");
    return undefined;
  });
  const known = new Set((await story.newEvents()).map(({ id }) => id));
  await act(story, "stop");
  screen.say(`Stopped ${gateway.virtualMachineId.split("/").at(-1)} in Azure, behind Gatehouse's back.`);
  const event = await until("its event", async () =>
    (await story.newEvents()).find(({ id, type }) => !known.has(id) && type === "gateway.health.changed"),
  );
  const { headers, body, event: verifiedEvent } = await verified(story, event.id, secret);
  const { specversion, type, subject, source } = verifiedEvent;
  tell(`received ${headers["content-type"]?.split(";")[0]}, specversion ${specversion}`);
  tell(`  webhook-id         ${headers["webhook-id"]}`);
  tell(`  webhook-signature  ${headers["webhook-signature"]?.slice(0, 3)}… verified with standardwebhooks`);
  tell(`  ${type} of ${subject}, from ${new URL(source).pathname}`);
  const forged = body.replace(subject, "another-gateway");
  tell(`  the same with another subject: ${refusalOf(() => new Webhook(secret).verify(forged, headers))}`);
  await act(story, "start");
  await until("it to be healthy again", async () => ((await healthOf(story)) === "healthy" ? true : undefined));
  const { value } = (await partner.listWebhookDeliveries({ webhookId: WEBHOOK })).body;
  const delivery = value.find(({ eventId }) => eventId === event.id);
  screen.say(
    `\nGET /api/webhooks/${WEBHOOK}/deliveries has it: ${delivery?.state}, answered ${delivery?.tries.at(-1)?.status}, tries ${delivery?.tries.length}`,
  );
}

/** A secret is shown once; whoever has none from an earlier run asks for another. */
export async function registered({ partner }: Story, url: string): Promise<string> {
  const { body } = await partner.putWebhook({ webhookId: WEBHOOK, body: { url, types: ["gateway.*"] } });
  const { secret } = body.secret === undefined ? (await partner.rotateWebhookSecret({ webhookId: WEBHOOK })).body : body;
  if (secret === undefined) throw new Error("the API gave no secret");
  return secret;
}

export async function verified({ control, until }: Story, id: string, secret: string) {
  const found = await until("the webhook to be received", async () => {
    const { received } = await control<ReceiverState>("GET /state/webhooks");
    return received.find(({ headers }) => headers["webhook-id"] === id);
  });
  const event = new Webhook(secret).verify(found.body, found.headers) as Record<
    "specversion" | "type" | "subject" | "source",
    string
  >;
  return { ...found, event };
}

function refusalOf(check: () => unknown): string {
  try {
    check();
    return "accepted";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

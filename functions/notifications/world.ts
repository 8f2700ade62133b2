/** What notifications need to work. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { DeadLetters } from "../../shared/messages/dead-letters.ts";
import type { Sender } from "../../shared/messages/sender.ts";
import type { PostWebhook } from "../../shared/webhooks/post.ts";
import type { WebhookSecrets } from "../../shared/webhooks/secrets.ts";
import type { WebhookTargets } from "../../shared/webhooks/target.ts";

/** What the doors to webhooks need. */
export interface WebhooksWorld extends ApiWorld {
  sender: Sender;
  webhookSecrets: WebhookSecrets;
  webhookTargets: WebhookTargets;
}

export interface NotificationsWorld extends WebhooksWorld {
  postWebhook: PostWebhook;
  deadLetters: Pick<DeadLetters, "add">;
}

/** What notifications need to work. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Mailer } from "../../shared/graph/mailer.ts";
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

/** What the doors to mail recipients need. */
export interface MailRecipientsWorld extends ApiWorld {
  sender: Sender;
  /** Our mailbox outside all customers, from which mails go; without it there are none. */
  canaryMailbox: { organization: string; address: string } | undefined;
}

export interface NotificationsWorld extends WebhooksWorld, MailRecipientsWorld {
  postWebhook: PostWebhook;
  mailer: Mailer;
  deadLetters: Pick<DeadLetters, "add">;
}

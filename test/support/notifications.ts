/** What notifications reach for, where a test's subject ends: a vault in memory, and a broker that only remembers. */
import type { MailRecipientsWorld, WebhooksWorld } from "../../functions/notifications/world.ts";
import type { OutgoingMessage, Sender } from "../../shared/messages/sender.ts";
import type { QueueName } from "../../shared/messages/service-bus.ts";
import { createWebhookSecrets } from "../../shared/webhooks/secrets.ts";
import { publicTargets } from "../../shared/webhooks/target.ts";

export interface RememberingSender extends Sender {
  sent: (OutgoingMessage & { queue: QueueName })[];
}

export function rememberingSender(): RememberingSender {
  const sent: RememberingSender["sent"] = [];
  return {
    sent,
    send: async (queue, message) => {
      // As the queues do within ten minutes.
      if (!sent.some(({ messageId }) => messageId === message.messageId)) sent.push({ queue, ...message });
    },
    close: async () => undefined,
  };
}

/** Of a vault, what webhooks' secrets need. */
export function vaultInMemory() {
  const versions = new Map<string, { value: string; enabled: boolean }>();
  return {
    versions,
    write: async ({ vaultUrl, name, value }: { vaultUrl: string; name: string; value: string }) => {
      const version = String(versions.size + 1);
      versions.set(version, { value, enabled: true });
      return { vaultUrl, name, version };
    },
    read: async ({ version }: { version: string }) => {
      const found = versions.get(version);
      if (!found?.enabled) throw new Error(`the vault gives no version ${version}`);
      return found.value;
    },
    disable: async ({ version }: { version: string }) => {
      const found = versions.get(version);
      if (found) found.enabled = false;
    },
  };
}

export const notificationsUnderTest = (): Pick<WebhooksWorld, "sender" | "webhookSecrets" | "webhookTargets"> &
  Pick<MailRecipientsWorld, "canaryMailbox"> => ({
  sender: rememberingSender(),
  canaryMailbox: { organization: "0d15ea5e-0000-4000-8000-000000000001", address: "post@gatehouse.example" },
  webhookSecrets: createWebhookSecrets(vaultInMemory(), "https://gatehouse.vault.azure.example"),
  webhookTargets: publicTargets,
});

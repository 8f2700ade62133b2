/** Secrets of webhooks: made here, kept in the platform's vault, shown once to the partner, and elsewhere by reference only. */
import { createHash, randomBytes } from "node:crypto";
import type { Vaults } from "../vault/client.ts";
import type { SecretReference } from "../vault/reference.ts";

export interface WebhookSecrets {
  /** @param generation counts the webhook's secrets */
  make(partnerId: string, webhookId: string, generation: number): Promise<{ reference: SecretReference; value: string }>;
  read(reference: SecretReference): Promise<string>;
  /** Nobody reads it any more. */
  retire(reference: SecretReference): Promise<void>;
}

const MOST_REMEMBERED = 500;

export function createWebhookSecrets(vaults: Pick<Vaults, "read" | "write" | "disable">, vaultUrl: string): WebhookSecrets {
  // A version never changes, so a storm of events asks the vault once.
  const remembered = new Map<string, Promise<string>>();
  return {
    make: async (partnerId, webhookId, generation) => {
      const value = `whsec_${randomBytes(32).toString("base64")}`;
      // Two ids side by side could mean another pair.
      const name = `webhook-${createHash("sha256").update(`${partnerId}/${webhookId}`).digest("hex").slice(0, 32)}`;
      const tags = { partnerId, webhookId, "gatehouse-generation": String(generation) };
      return { reference: await vaults.write({ vaultUrl, name, value, tags }), value };
    },
    read: (reference) => {
      const key = `${reference.vaultUrl}/${reference.name}/${reference.version}`;
      const known = remembered.get(key);
      if (known) return known;
      const reading = vaults.read(reference);
      remembered.set(key, reading);
      reading.catch(() => remembered.delete(key));
      if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value ?? key);
      return reading;
    },
    retire: (reference) => vaults.disable(reference),
  };
}

/** The daily look at every credential: the source of truth; events only make it earlier, and vaults of other tenants send us none. */
import { createHash } from "node:crypto";
import type { CredentialDue } from "../../shared/messages/near-expiry.ts";
import type { RotationWorld } from "./world.ts";

export const sweepCredentials =
  ({ stores, sender, clock, rotation, log }: RotationWorld) =>
  async (): Promise<void> => {
    const due = await stores.credentials.due(new Date(clock.now() + rotation.leadInSeconds * 1000));
    const day = new Date(clock.now()).toISOString().slice(0, 10);
    for (const { partnerId, tenantId, name, generation, rotation: running } of due) {
      if (running) continue;
      const body: CredentialDue = { kind: "credentialDue", partnerId, tenantId, name, generation };
      // Two ids of 64 characters would be more than a message's id may have.
      const about = createHash("sha256").update([partnerId, tenantId, name, generation].join("/")).digest("hex").slice(0, 32);
      await sender.send("rotation", { messageId: `due-${about}-${day}`, body });
    }
    log.information("credentials looked at", { due: due.length });
  };

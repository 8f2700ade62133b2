/** The daily look at every credential: the source of truth; events only make it earlier, and vaults of other tenants send us none. */
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
      await sender.send("rotation", { messageId: `due-${partnerId}-${tenantId}-${name}-${generation}-${day}`, body });
    }
    log.information("credentials looked at", { due: due.length });
  };

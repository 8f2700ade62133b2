/** The daily look at every credential: the source of truth; events only make it earlier, and vaults of other tenants send us none. */
import { createHash } from "node:crypto";
import type { CredentialDue } from "../../shared/messages/near-expiry.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { removeOrphans } from "./orphans.ts";
import type { RotationWorld } from "./world.ts";

/** How many vaults are asked at a time: ten thousand take minutes, and nobody waits for a sweep. */
const VAULTS_AT_A_TIME = 16;

export const sweepCredentials = (world: RotationWorld) => async (): Promise<void> => {
  const { stores, sender, clock, rotation, log } = world;
  const until = clock.now() + rotation.leadInSeconds * 1000;
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  const all = (await stores.credentials.all()).filter(({ rotation: running }) => running === undefined);
  let due = 0;
  let orphans = 0;
  for (let first = 0; first < all.length; first += VAULTS_AT_A_TIME) {
    const some = all.slice(first, first + VAULTS_AT_A_TIME);
    await Promise.all(
      some.map(async (credential) => {
        orphans += await orphansRemoved(world, credential);
        if (!(await isDue(world, credential, until))) return;
        due += 1;
        const { partnerId, tenantId, name, generation } = credential;
        const body: CredentialDue = { kind: "credentialDue", partnerId, tenantId, name, generation };
        // Two ids of 64 characters would be more than a message's id may have.
        const about = createHash("sha256").update([partnerId, tenantId, name, generation].join("/")).digest("hex").slice(0, 32);
        await sender.send("rotation", { messageId: `due-${about}-${day}`, body });
      }),
    );
  }
  log.information("credentials looked at", { credentials: all.length, due, orphans });
};

/** What can't be asked today is asked tomorrow. */
async function orphansRemoved(world: RotationWorld, credential: CredentialRecord): Promise<number> {
  try {
    return await removeOrphans(world, credential);
  } catch (error) {
    const { partnerId, tenantId, name } = credential;
    world.log.warning("nobody could look for client secrets without an owner", { partnerId, tenantId, name, error });
    return 0;
  }
}

/** Never made; near its expiry as the row says, or as the vault does, where a person may have changed it; or an old one is left over. */
async function isDue(world: RotationWorld, credential: CredentialRecord, until: number): Promise<boolean> {
  const { current, previous, keptUntil } = credential;
  if (previous !== undefined) return keptUntil === undefined || Date.parse(keptUntil) <= world.clock.now();
  if (current === undefined) return true;
  // What never expires is replaced on request only.
  if (current.expiresAt === undefined) return false;
  if (Date.parse(current.expiresAt) <= until) return true;
  const expiresAt = await expiryInVault(world, credential, current.reference);
  return expiresAt !== undefined && expiresAt <= until;
}

/** A vault that can't be asked must not end the sweep for all others: then the row alone decides. */
async function expiryInVault(
  { stores, vaults, log }: RotationWorld,
  { partnerId, tenantId }: CredentialRecord,
  { vaultUrl, name, version }: NonNullable<CredentialRecord["current"]>["reference"],
): Promise<number | undefined> {
  try {
    const { spec } = await stores.tenants.get(partnerId, tenantId);
    const versions = await vaults.versions(vaultUrl, name, spec.azure.tenantId);
    return versions.find(({ reference }) => reference.version === version)?.expiresOn?.getTime();
  } catch (error) {
    log.warning("the vault does not say when a credential expires", { partnerId, tenantId, error });
    return undefined;
  }
}

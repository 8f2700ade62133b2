/** The daily look at every credential: the source of truth; events only make it earlier, and vaults of other tenants send us none. */
import { createHash } from "node:crypto";
import type { CredentialDue } from "../../shared/messages/near-expiry.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { certificateDue } from "./certificate-due.ts";
import { followExpiring, type Looked } from "./expiring.ts";
import { removeOrphans } from "./orphans.ts";
import { passwordsRemembered } from "./product-passwords.ts";
import { type Life, lifeOf, renewalAt } from "./renewal.ts";
import type { RotationWorld } from "./world.ts";

/** How many tenants are looked at at a time: ten thousand take minutes, and nobody waits for a sweep. */
const TENANTS_AT_A_TIME = 16;

export const sweepCredentials = (world: RotationWorld) => async (): Promise<void> => {
  const { stores, log } = world;
  const all = await stores.credentials.all();
  const tenants = Map.groupBy(all, ({ partnerId, tenantId }) => `${partnerId}/${tenantId}`);
  const counts = { due: 0, orphans: 0, expiring: 0, byHand: 0 };
  const waiting = [...tenants.values()];
  while (waiting.length > 0) await Promise.all(waiting.splice(0, TENANTS_AT_A_TIME).map(sweepTenant));
  const records = await recordsWithdrawn(world);
  log.information("credentials looked at", { credentials: all.length, ...counts, records });

  async function sweepTenant(credentials: CredentialRecord[]): Promise<void> {
    const looked = await Promise.all(
      credentials.map(async (credential): Promise<Looked> => ({ credential, life: await lifeInVault(world, credential) })),
    );
    counts.expiring += await expiringFollowed(world, looked);
    counts.byHand += await byHandFollowed(world, credentials);
    for (const { credential, life } of looked) {
      if (credential.rotation !== undefined) continue;
      counts.orphans += await orphansRemoved(world, credential);
      if (!(await isDue(world, credential, life))) continue;
      counts.due += 1;
      await announce(world, credential);
    }
  }
};

async function announce({ sender, clock }: RotationWorld, credential: CredentialRecord): Promise<void> {
  const { partnerId, tenantId, name, generation } = credential;
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  const body: CredentialDue = { kind: "credentialDue", partnerId, tenantId, name, generation };
  // Two ids of 64 characters would be more than a message's id may have.
  const about = createHash("sha256").update([partnerId, tenantId, name, generation].join("/")).digest("hex").slice(0, 32);
  await sender.send("rotation", { messageId: `due-${about}-${day}`, body });
}

/** What can't be written today is written tomorrow, and none of it keeps a credential from being replaced. */
async function expiringFollowed(world: RotationWorld, looked: Looked[]): Promise<number> {
  const [first] = looked;
  if (first === undefined) return 0;
  const { partnerId, tenantId } = first.credential;
  try {
    return await followExpiring(world, { partnerId, tenantId }, looked);
  } catch (error) {
    world.log.warning("nobody could say which credentials are near their end", { partnerId, tenantId, error });
    return 0;
  }
}

/** The same of those that a person has to change. */
async function byHandFollowed(world: RotationWorld, [first]: CredentialRecord[]): Promise<number> {
  if (first === undefined) return 0;
  const { partnerId, tenantId, vaultUrl } = first;
  try {
    const tenant = await world.stores.tenants.find(partnerId, tenantId);
    return tenant ? await passwordsRemembered(world, tenant, vaultUrl) : 0;
  } catch (error) {
    world.log.warning("nobody could say which passwords a person has to change", { partnerId, tenantId, error });
    return 0;
  }
}

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

/** What proved a name to an ACME server, and whoever would have withdrawn it has ended without. */
async function recordsWithdrawn({ certificates, log }: RotationWorld): Promise<number> {
  try {
    return await certificates.withdrawLeftBehind();
  } catch (error) {
    log.warning("nobody could withdraw the records of certificates", { error });
    return 0;
  }
}

/** Never made; at its renewal; or an old one is left over. What never expires is replaced on request only. */
async function isDue(world: RotationWorld, credential: CredentialRecord, life: Life | undefined): Promise<boolean> {
  const now = world.clock.now();
  const { name, current, previous, keptUntil } = credential;
  if (previous !== undefined) return keptUntil === undefined || Date.parse(keptUntil) <= now;
  const ending = life !== undefined && renewalAt(credential, life) <= now;
  return name === "smtpCertificate" ? certificateDueNow(world, credential, ending) : current === undefined || ending;
}

/** One that can't be looked at today is looked at tomorrow. */
async function certificateDueNow(world: RotationWorld, credential: CredentialRecord, ending: boolean): Promise<boolean> {
  try {
    return await certificateDue(world, credential, ending);
  } catch (error) {
    const { partnerId, tenantId } = credential;
    world.log.warning("nobody could look for a newer certificate", { partnerId, tenantId, error });
    return false;
  }
}

/**
 * As the row says, or as the vault does, where a person has changed it: then it ends earlier, and all that is counted from its end is
 * earlier by as much. A vault that can't be asked must not end the sweep for all others: then the row alone decides.
 */
async function lifeInVault(world: RotationWorld, credential: CredentialRecord): Promise<Life | undefined> {
  const { stores, vaults, log } = world;
  const { partnerId, tenantId, current } = credential;
  const life = lifeOf(credential);
  if (life === undefined || current === undefined) return life;
  const { vaultUrl, name, version } = current.reference;
  try {
    const { spec } = await stores.tenants.get(partnerId, tenantId);
    const versions = await vaults.versions(vaultUrl, name, spec.azure.tenantId);
    const expiresAt = versions.find(({ reference }) => reference.version === version)?.expiresOn?.getTime() ?? life.expiresAt;
    const earlier = Math.max(0, life.expiresAt - expiresAt);
    return { madeAt: life.madeAt - earlier, expiresAt: life.expiresAt - earlier };
  } catch (error) {
    log.warning("the vault does not say when a credential expires", { partnerId, tenantId, error });
    return life;
  }
}

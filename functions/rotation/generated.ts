/** Secrets that rotation itself makes: their versions in the vault, and the tenant's facts that say which one counts. */
import type { Work } from "../../shared/durable/resources.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { chosenSecrets } from "../../shared/runbook/secrets.ts";
import type { CredentialVersion } from "../../shared/stores/credentials.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { oldestFirst, type SecretVersion, type Vaults } from "../../shared/vault/client.ts";

interface Generated {
  vaultUrl: string;
  name: string;
  entraTenantId: string;
  generation: number;
  generate(): string;
  /** From its making on; left out where it never expires. */
  expiresOn?: Date | undefined;
}

/** The first version of this generation, whoever stored it: it is stored before anybody uses it. `begin` is called before a write. */
export async function ensureGenerated(
  vaults: Pick<Vaults, "versions" | "write">,
  { vaultUrl, name, entraTenantId, generation, generate, expiresOn }: Generated,
  begin: () => Promise<void>,
): Promise<{ result: CredentialVersion; change: "created" | "unchanged" }> {
  const stored = async (): Promise<CredentialVersion | undefined> => {
    const versions = oldestFirst(await vaults.versions(vaultUrl, name, entraTenantId));
    const first = versions.find(({ tags }) => tags["gatehouse-generation"] === String(generation));
    return first && versionOf(first);
  };
  const known = await stored();
  if (known) return { result: known, change: "unchanged" };
  await begin();
  const tags = { "gatehouse-generation": String(generation) };
  const reference = await vaults.write({ vaultUrl, name, value: generate(), entraTenantId, tags, expiresOn });
  return { result: (await stored()) ?? versionOf({ reference, expiresOn, createdOn: undefined }), change: "created" };
}

const versionOf = ({
  reference,
  createdOn,
  expiresOn,
}: Pick<SecretVersion, "reference" | "createdOn" | "expiresOn">): CredentialVersion => ({
  reference,
  keyId: reference.version,
  ...(expiresOn && createdOn && { madeAt: createdOn.toISOString() }),
  ...(expiresOn && { expiresAt: expiresOn.toISOString() }),
});

/** What onboarding, drift and whoever else writes start from; `decide` gives what to change, if it is still as it was. */
export async function changeGround(
  tenants: Stores["tenants"],
  { partnerId, tenantId }: Work,
  decide: (ground: Ground) => Partial<Ground> | undefined,
): Promise<void> {
  await tenants.change(partnerId, tenantId, (tenant) => {
    const ground = tenant.facts["ground"] as Ground;
    const change = decide(ground);
    if (change === undefined) return undefined;
    const { loopGuid, adminPassword } = change;
    const secrets = { ...chosenSecrets(tenant), ...(loopGuid && { loopGuid }), ...(adminPassword && { adminPassword }) };
    return { facts: { ...tenant.facts, secrets, ground: { ...ground, ...change } } };
  });
}

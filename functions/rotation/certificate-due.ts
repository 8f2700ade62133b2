/**
 * Whether the gateways' certificate is to be replaced: the vault has a newer one, whoever put it there; or it is at its renewal and an
 * issuer or an ACME server can be asked. Without one a person imports it, and has a third of its life to do so.
 */
import { tlsCertificate } from "../../shared/desired/certificate.ts";
import { home } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { importTask, isImported, type TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { RotationWorld } from "./world.ts";

type World = Pick<RotationWorld, "stores"> & { resources: Pick<RotationWorld["resources"], "tlsCertificate"> };

/** As the spec wants it, another one than that which is in use; undefined where the spec wants none any more. */
export function wantedInstead(
  tenant: TenantRecord,
  vaultUrl: string,
  thumbprint: string | undefined,
): TlsCertificate | undefined {
  const target = targetOf(tenant);
  const { owner, entraTenantId } = home(target);
  const wanted = tlsCertificate(target, { owner, entraTenantId, vaultUrl });
  return wanted && { ...wanted, insteadOf: thumbprint };
}

/** `ending`: it is at its renewal, or the vault says that it nears its end. What can't be read today is read tomorrow. */
export async function certificateDue(
  { stores, resources }: World,
  credential: CredentialRecord,
  ending: boolean,
): Promise<boolean> {
  const { partnerId, tenantId, vaultUrl, current } = credential;
  const wanted = wantedInstead(await stores.tenants.get(partnerId, tenantId), vaultUrl, current?.keyId);
  if (wanted === undefined) return false;
  const found = await resources.tlsCertificate.observe(wanted);
  if (found.state !== "present") return false;
  const changes = resources.tlsCertificate.diff(wanted, found.actual).map(({ path }) => path);
  if (changes.length === 0) {
    await stores.tasks.end(taskKey(credential), "done", "there is a newer certificate, and it can be used");
    return true;
  }
  if (!isImported(wanted)) return ending;
  // One that was imported and won't do is as good as none, and whoever imported it wants to know.
  if (ending || !changes.includes("thumbprint")) await askFor(stores, credential, wanted, changes);
  return false;
}

const taskKey = ({ partnerId, tenantId }: CredentialRecord) => ({
  partnerId,
  tenantId,
  kind: "certificate" as const,
  subject: "renewal",
});

async function askFor(
  { tasks }: World["stores"],
  credential: CredentialRecord,
  wanted: TlsCertificate,
  changes: string[],
): Promise<void> {
  const { current } = credential;
  const unfit = changes.includes("thumbprint") ? "" : `the newest one there is of no use (${changes.join(", ")}); `;
  await tasks.open({
    ...taskKey(credential),
    title: `Import the next certificate for ${wanted.name}`,
    instructions: `The one in use is good until ${current?.expiresAt}. ${unfit}${importTask(wanted)}. The gateways show it within a day.`,
    fields: [
      { label: "Vault", value: wanted.vaultUrl },
      { label: "Name in the vault", value: wanted.certificate },
      { label: "DNS name", value: wanted.name },
    ],
    ...(current?.expiresAt !== undefined && { expiresAt: current.expiresAt }),
    about: { wanted },
  });
}

/** What the conformance suite needs to know about the gateway's certificate in the tenant's vault. */
import { CertificateClient } from "@azure/keyvault-certificates";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { type Json, owner, ownPrincipalOf, place, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

type Desired = DesiredOf<Resources["tlsCertificate"]>;

const vaultOf = ({ vaultUrl }: Desired): string => vaultUrl.split("/").at(-1) ?? "";
const keyOf = (desired: Desired): string => `${vaultOf(desired)}/${desired.certificate}`;

/** The vault as a person uses it. */
const byHand = (
  { credentials }: World,
  { vaultUrl, entraTenantId }: Pick<Desired, "vaultUrl" | "entraTenantId">,
): CertificateClient =>
  new CertificateClient(vaultUrl, credentials.inTenant(entraTenantId), { disableChallengeResourceVerification: true });

/** A person imports another one over it. */
const importing =
  (changed: Json = {}) =>
  async ({ clouds }: World, desired: Desired): Promise<void> => {
    const { certificate: name, name: host } = desired;
    const response = await fetch(`${clouds.control}/certificates`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ vault: vaultOf(desired), name, names: [host], ...changed }),
    });
    if (response.status !== 201) throw new Error(await response.text());
  };

/** The policy of its last version was another one. */
const policy =
  (part: string, changed: Json) =>
  async ({ clouds }: World, desired: Desired): Promise<void> => {
    const stored = clouds.platform.collection<{ policy: Record<string, Json> }>("vault.certificates");
    const found = stored.get(keyOf(desired));
    if (!found) throw new Error("the vault has no such certificate");
    stored.set(keyOf(desired), { ...found, policy: { ...found.policy, [part]: { ...found.policy[part], ...changed } } });
  };

const tlsCertificate: RowOf<"tlsCertificate"> = {
  async prepare(world) {
    const { vault } = await world.ground();
    const { entraTenantId, subscriptionId } = place;
    const principalId = await ownPrincipalOf(world);
    const grant = { owner, entraTenantId, subscriptionId, scope: vault.id, principalId };
    await world.ensure("roleAssignment", { ...grant, role: "Key Vault Certificates Officer" });
    await byHand(world, { vaultUrl: vault.url, entraTenantId }).createIssuer("DigiCert", "DigiCert", { accountId: "4711" });
    const name = "gateway.contoso.example";
    return { owner, entraTenantId, vaultUrl: vault.url, certificate: "smtp-tls", name, issuer: "DigiCert" };
  },
  drifts: [
    { paths: ["issuer"], change: importing() },
    { paths: ["issuer", "names"], change: importing({ names: ["elsewhere.contoso.example"] }) },
    { paths: ["issuer", "validity"], change: importing({ days: 3 }) },
    { paths: ["issuer", "selfSigned"], change: importing({ selfSigned: true }) },
    { paths: ["contentType"], change: policy("secret_props", { contentType: "application/x-pem-file" }) },
    { paths: ["exportable"], change: policy("key_props", { exportable: false }) },
  ],
  fixed: { pending: "it says how far an order is" },
  unowned: { notApplicable: "a version is made once and for all" },
  stranger: { notApplicable: "the vault is the tenant's alone, and who imports a certificate there under its name means it" },
  async count(world, desired) {
    let count = 0;
    for await (const { name } of byHand(world, desired).listPropertiesOfCertificates()) if (name === desired.certificate) count++;
    return count;
  },
  stays: {
    because: "it goes with the vault, and one that a person imported is not ours to delete",
    async undo({ clouds }, desired) {
      clouds.platform.collection("vault.certificates").delete(keyOf(desired));
      clouds.platform.collection("vault.secrets").delete(keyOf(desired));
    },
  },
};

export const certificateRows = { tlsCertificate };

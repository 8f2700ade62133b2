/** What the conformance suite needs to know about the gateway's certificate in the tenant's vault. */
import { CertificateClient } from "@azure/keyvault-certificates";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { OUTBOUND_CONNECTOR_NAME } from "../../shared/resources/outbound-connector.ts";
import { egressIps, type Json, owner, ownPrincipalOf, place, type World } from "./ground.ts";
import { exchangeObject } from "./rows-microsoft365.ts";
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
    { paths: ["issuer", "validity"], change: importing({ days: 3 }) },
    { paths: ["issuer", "selfSigned"], change: importing({ selfSigned: true }) },
    { paths: ["contentType"], change: policy("secret_props", { contentType: "application/x-pem-file" }) },
    { paths: ["exportable"], change: policy("key_props", { exportable: false }) },
  ],
  fixed: {
    pending: "it says how far an order is",
    names: "one for other names is passed over for an older one that is for this name",
  },
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

/** A name of the gateway's under the organisation's first own domain. */
async function namedIn(world: World): Promise<{ organization: string; name: string }> {
  const organization = await world.organization();
  const domains = await (await world.exchange(organization)).list("Get-AcceptedDomain", {});
  return { organization, name: `gateway.${String(domains.find(({ Default }) => Default === true)?.["DomainName"])}` };
}

const inbound = exchangeObject<DesiredOf<Resources["inboundConnector"]>>(
  "InboundConnector",
  "FROM Azure VM to M365 by certificate",
  () => ({ SenderDomains: ["*"] }),
);
const inboundByCertificate: RowOf<"inboundConnector"> = {
  async prepare(world) {
    const { organization, name } = await namedIn(world);
    // The other form stands beside it, and each has its own.
    await world.ensure("inboundConnector", { owner, organization, egressIps });
    return { owner, organization, certificateName: name };
  },
  drifts: [
    inbound.drift(["enabled"], { Enabled: false }),
    inbound.drift(["certificateName"], { TlsSenderCertificateName: "gateway.fabrikam.example" }),
    inbound.drift(["requireTls"], { RequireTls: false }),
    inbound.drift(["restrictDomainsToCertificate"], { RestrictDomainsToCertificate: false }),
    inbound.drift(["senderIpAddresses"], { SenderIPAddresses: ["198.51.100.1"] }),
    inbound.drift(["senderDomains"], { SenderDomains: ["fabrikam.example"] }),
    inbound.drift(["connectorType"], { ConnectorType: "Partner" }),
    inbound.drift(["cloudServicesMailEnabled"], { CloudServicesMailEnabled: true }),
    inbound.drift(["treatMessagesAsInternal"], { TreatMessagesAsInternal: true }),
    inbound.drift(["efSkipLastIp"], { EFSkipLastIP: false }),
    inbound.drift(["name"], { Name: "Renamed" }),
  ],
  fixed: {},
  unowned: inbound.unowned("test mode of enhanced filtering", { EFTestMode: true }),
  stranger: inbound.stranger,
  count: inbound.count,
};

const outbound = exchangeObject<DesiredOf<Resources["outboundConnector"]>>("OutboundConnector", OUTBOUND_CONNECTOR_NAME, () => ({
  SmartHosts: ["elsewhere.example"],
  UseMXRecord: false,
}));
const outboundByCertificate: RowOf<"outboundConnector"> = {
  async prepare(world) {
    const { organization, name } = await namedIn(world);
    return { owner, organization, smartHosts: ["contoso-gw.westeurope.cloudapp.azure.com"], certificate: { name } };
  },
  drifts: [
    outbound.drift(["tlsDomain"], { TlsDomain: "gateway.fabrikam.example" }),
    outbound.drift(["tlsDomain", "tlsSettings"], { TlsSettings: "EncryptionOnly", TlsDomain: null }),
    outbound.drift(["smartHosts"], { SmartHosts: ["elsewhere.example"] }),
  ],
  fixed: {
    enabled: "the other form's row drifts it",
    connectorType: "the other form's row drifts it",
    transportRuleScoped: "the other form's row drifts it",
    useMxRecord: "the other form's row drifts it",
    allAcceptedDomains: "the other form's row drifts it",
    routeAllMessagesViaOnPremises: "the other form's row drifts it",
    cloudServicesMailEnabled: "the other form's row drifts it",
    testMode: "the other form's row drifts it",
    name: "the other form's row drifts it",
  },
  unowned: outbound.unowned("MTA-STS", { MtaStsMode: "None" }),
  stranger: outbound.stranger,
  count: outbound.count,
};

/** The forms of the connectors that name the certificate; the kinds' own rows are of those that don't. */
export const connectorsByCertificate: [string, RowOf<"inboundConnector"> | RowOf<"outboundConnector">][] = [
  ["inboundConnector", inboundByCertificate],
  ["outboundConnector", outboundByCertificate],
];

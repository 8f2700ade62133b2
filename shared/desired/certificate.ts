/** Mission B15: what a tenant's own certificate changes in machines and connectors. Pure. */
import type { DesiredOf } from "../durable/resources.ts";
import type { Resources } from "../resources/index.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { IssuedCertificate } from "../vault/certificates.ts";
import { secretNames } from "../vault/credential-names.ts";
import { SELF } from "../vault/issuer.ts";
import type { SecretReference } from "../vault/reference.ts";
import type { CredentialVersion } from "../stores/credentials.ts";
import type { Target } from "./target.ts";

/** The certificate that all machines of the tenant show. */
export interface GatewayCertificate {
  name: string;
  thumbprint: string;
  /** Where the machines fetch it, with its key. */
  secret: SecretReference;
  /** Thumbprints of its other versions, which go from the machines. */
  earlier: string[];
  /** From when until when it is valid; ISO 8601. */
  madeAt?: string;
  expiresAt?: string;
  /** Exchange Online trusts its authority. */
  trusted: boolean;
  /** It may be shown by a client too, so that Exchange Online can know the gateway by it. */
  forClients: boolean;
}

/** One that Exchange Online may know the gateways by, beside the one that they show: theirs was, or becomes, for another name. */
export interface OtherCertificate extends Pick<GatewayCertificate, "name" | "trusted" | "forClients"> {
  /** `accepted`: a machine may show it. `kept`: none does, and its connector only waits for whoever goes back. */
  state: "accepted" | "kept";
}

export const otherCertificate = (
  { name, trusted, forClients }: Omit<OtherCertificate, "state">,
  state: OtherCertificate["state"],
): OtherCertificate => ({ name, trusted, forClients, state });

/** What is read of it where it is issued. */
export type Issued = Pick<IssuedCertificate, "thumbprint" | "secret" | "earlier" | "forClients" | "notBefore" | "notAfter">;

type Desired<Kind extends keyof Resources> = DesiredOf<Resources[Kind]>;
type InVault = Pick<Desired<"tlsCertificate">, "owner" | "entraTenantId" | "vaultUrl">;

export function tlsCertificate(
  { spec, refusedCertificates }: Pick<Target, "spec" | "refusedCertificates">,
  inVault: InVault,
): Desired<"tlsCertificate"> | undefined {
  const { certificate } = spec.gateway;
  if (certificate === undefined) return undefined;
  const { name, issuer, acme } = certificate;
  return {
    ...inVault,
    // Fixed, so that a person who imports one knows where.
    certificate: secretNames.smtpCertificate,
    name,
    ...(issuer === undefined ? {} : { issuer }),
    ...(acme && { acme: { zoneId: acme.zone } }),
    ...(refusedCertificates && { refused: refusedCertificates }),
  };
}

/** Who orders certificates needs the officer's role; who only looks at what a person imported, a reader's. */
export const certificateRole = ({ spec }: Pick<Target, "spec">): Desired<"roleAssignment">["role"] =>
  spec.gateway.certificate?.issuer === undefined && spec.gateway.certificate?.acme === undefined
    ? "Key Vault Reader"
    : "Key Vault Certificates Officer";

export const gatewayCertificate = (
  { name, issuer }: Pick<Desired<"tlsCertificate">, "name" | "issuer">,
  { thumbprint, secret, earlier, forClients, notBefore, notAfter }: Issued,
): GatewayCertificate => ({
  name,
  thumbprint,
  secret,
  earlier,
  madeAt: notBefore,
  expiresAt: notAfter,
  trusted: issuer !== SELF,
  forClients,
});

/** As a credential that is in use. */
export const versionOf = ({ secret, thumbprint, madeAt, expiresAt }: GatewayCertificate): CredentialVersion => ({
  reference: secret,
  keyId: thumbprint,
  ...(madeAt !== undefined && { madeAt }),
  ...(expiresAt !== undefined && { expiresAt }),
});

interface Certified {
  certificate?: GatewayCertificate | undefined;
}
interface Known {
  certificate?: Pick<GatewayCertificate, "trusted" | "forClients"> | undefined;
}

/**
 * What the guest's document says of it; its name becomes the SMTP server's, since IIS finds its certificate by that. `kept`: the thumbprint
 * of the one before it, which stays on the machines for a while.
 */
export const shownBy = ({ certificate }: Certified, kept?: string) =>
  certificate && {
    fqdn: certificate.name,
    certificate: {
      thumbprint: certificate.thumbprint,
      secret: certificate.secret,
      replaces: certificate.earlier.filter((thumbprint) => thumbprint !== kept),
    },
  };

/** Whether Exchange Online knows the gateway by its certificate, rather than by its addresses. */
export const knownByCertificate = ({ certificate }: Known): boolean =>
  certificate !== undefined && certificate.trusted && certificate.forClients;

/** What Exchange Online asks of the gateway's certificate; nothing of one that it could not trust. Of two names it asks neither. */
export const askedOf = (
  { spec, otherCertificate: other }: Pick<Target, "otherCertificate"> & { spec: Pick<TenantSpec, "gateway"> },
  { certificate }: Certified,
): Pick<Desired<"outboundConnector">, "certificate"> => {
  const also = other?.state === "accepted" ? other : undefined;
  if (!certificate?.trusted || also?.trusted === false) return {};
  return spec.gateway.certificate?.validation === "CertificateValidation" || (also && also.name !== certificate.name)
    ? { certificate: {} }
    : { certificate: { name: certificate.name } };
};

/** Part of what a proof is a proof of. */
export const proven = ({ certificate }: Certified): { certificate?: Pick<GatewayCertificate, "name" | "thumbprint"> } =>
  certificate ? { certificate: { name: certificate.name, thumbprint: certificate.thumbprint } } : {};

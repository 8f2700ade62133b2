/**
 * Mission B15: the certificate that the gateway shows, in the tenant's own vault. An issuer of the vault makes it under our policy, an ACME
 * server signs it, or a person imports it; its key is made or imported there, goes from there to the machines, and nowhere else.
 *
 * Removing leaves it: it goes with the vault, which is the tenant's alone, and a person's import isn't ours to delete.
 */
import type { CertificatePolicy } from "@azure/keyvault-certificates";
import { ownershipTags } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import { type CertificateOrder, type Certificates, type FoundCertificate, LEAST_DAYS_LEFT } from "../vault/certificates.ts";
import { NOBODY, SELF } from "../vault/issuer.ts";
import { done, type PropertyChange, type Resource } from "./resource.ts";

export type TlsCertificate = CertificateOrder & {
  /** Of the vault; `Self` is the vault itself. Without one, and without an ACME server, a person imports it. */
  issuer?: string | undefined;
  /** Thumbprint of the one that is in use: another one is wanted. */
  insteadOf?: string | undefined;
};

const PKCS12 = "application/x-pkcs12";

export const tlsCertificate = ({ certificates }: { certificates: Certificates }): Resource<TlsCertificate, FoundCertificate> => ({
  kind: "tlsCertificate",
  observe: (desired) => certificates.read(desired),
  diff: unfitness,
  async create(desired) {
    if (isImported(desired))
      throw new ControlPlaneError("CertificateMissing", importTask(desired), 409, false, { target: "gateway.certificate" });
    return certificates.begin(desired, policyOf(desired), ownershipTags(desired.owner));
  },
  async update(desired, changes, actual) {
    if (actual.pending) return certificates.resume(desired);
    if (isImported(desired))
      throw new ControlPlaneError("CertificateUnfit", `${wordsFor(changes)}; ${importTask(desired)}`, 409, false, {
        target: "gateway.certificate",
      });
    return certificates.begin(desired, policyOf(desired), ownershipTags(desired.owner));
  },
  remove: async () => done,
});

/** Whether nobody but a person gets it. */
export const isImported = ({ issuer, acme }: Pick<TlsCertificate, "issuer" | "acme">): boolean =>
  issuer === undefined && acme === undefined;

/** What keeps a certificate from being shown by the gateway; empty when nothing does. */
function unfitness({ name, issuer, insteadOf }: TlsCertificate, actual: FoundCertificate): PropertyChange[] {
  if (actual.pending) return [{ path: "pending", from: true, to: false }];
  const { thumbprint, names, validity, notAfter, contentType, exportable, selfSigned } = actual;
  return [
    ...(thumbprint === insteadOf ? [{ path: "thumbprint", from: thumbprint, to: "another" }] : []),
    ...(issuer === undefined || issuer === actual.issuer ? [] : [{ path: "issuer", from: actual.issuer, to: issuer }]),
    ...(names.includes(name) ? [] : [{ path: "names", from: names, to: [name] }]),
    ...(validity === "valid" ? [] : [{ path: "validity", from: `${validity} (${notAfter})`, to: "valid" }]),
    ...(contentType === PKCS12 ? [] : [{ path: "contentType", from: contentType, to: PKCS12 }]),
    ...(exportable ? [] : [{ path: "exportable", from: false, to: true }]),
    ...(selfSigned && issuer !== SELF ? [{ path: "selfSigned", from: true, to: false }] : []),
  ];
}

const reasons: Record<string, string> = {
  thumbprint: "it is the one that is in use, and nears its end",
  // The engine finds it in Windows' store by the SMTP server's own name.
  names: "it does not name exactly that (a wildcard will not do)",
  validity: `it is not valid, or for less than ${LEAST_DAYS_LEFT} days`,
  contentType: "it was imported as PEM, and Windows wants PKCS #12 (PFX)",
  exportable: "its key may not leave the vault, so the gateway could not use it",
  selfSigned: "it is self-signed, and Exchange Online trusts public authorities only",
};
const wordsFor = (changes: PropertyChange[]): string =>
  `the imported certificate is of no use: ${changes.map(({ path }) => reasons[path] ?? path).join("; ")}`;

/** Exactly what a person has to do. */
export const importTask = ({ name, certificate, vaultUrl }: TlsCertificate): string =>
  `import a certificate for ${name} into the vault ${vaultUrl} under the name ${certificate}: PKCS #12 (PFX) with its private key, exportable, from a public authority, valid for at least ${LEAST_DAYS_LEFT} more days`;

/** The same for an issuer that the vault doesn't know yet. */
export const issuerTask = ({ issuer, vaultUrl }: TlsCertificate): string =>
  `set up the certificate issuer ${issuer} with your account in the vault ${vaultUrl}, and enable it`;

/**
 * RSA, since that is what Windows' SMTP server has always taken; for servers and clients, since the gateway is both, if the issuer is one that
 * signs that: public authorities with ACME don't any more.
 */
const policyOf = ({ name, issuer }: TlsCertificate): CertificatePolicy => ({
  issuerName: issuer ?? NOBODY,
  subject: `CN=${name}`,
  subjectAlternativeNames: { dnsNames: [name] },
  contentType: PKCS12,
  exportable: true,
  keyType: "RSA",
  keySize: 2048,
  reuseKey: false,
  keyUsage: ["digitalSignature", "keyEncipherment"],
  enhancedKeyUsage: issuer === undefined ? [SERVERS] : [SERVERS, CLIENTS],
  validityInMonths: 12,
  // Rotation asks earlier; should nobody do, the vault asks by itself, and the new version is found there.
  ...(issuer !== undefined && { lifetimeActions: [{ action: "AutoRenew", daysBeforeExpiry: 30 }] }),
});
const SERVERS = "1.3.6.1.5.5.7.3.1";
const CLIENTS = "1.3.6.1.5.5.7.3.2";

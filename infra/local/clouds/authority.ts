/** The platform's certificate authority: made before anything is spawned, so that children trust it through NODE_EXTRA_CA_CERTS. */
import { webcrypto, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { X509Certificate as Issuer } from "@peculiar/x509";
import type { CertificateRequest, Certificates } from "./simulator.ts";

// @peculiar/x509's dependency injection wants the reflection polyfill in place before it is loaded.
await import("reflect-metadata");
const x509 = await import("@peculiar/x509");

export interface Authority extends Certificates {
  /** Where the authority's certificate is, for NODE_EXTRA_CA_CERTS. */
  readonly file: string;
  /** The servers' own certificate, for 127.0.0.1 and localhost. */
  readonly server: { certificate: string; key: string };
}

interface Pair {
  certificate: string;
  key: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const day = 24 * 60 * 60 * 1000;

/** Makes `ca.pem`, `ca-key.pem`, `server.pem` and `server-key.pem` in the directory, or takes what is there and valid for 30 more days. */
export async function makeAuthority(directory: string): Promise<Authority> {
  mkdirSync(directory, { recursive: true });
  const root = await kept(directory, "ca", makeRoot);
  const rootCertificate = new x509.X509Certificate(root.certificate);
  const rootKey = await importKey(root.key);
  const certified = (request: CertificateRequest): Promise<Pair> => certify(request, rootCertificate, rootKey);
  const issue = (...names: [string, ...string[]]): Promise<Pair> => certified({ names });
  const signedByRoot = ({ certificate }: Pair): boolean =>
    new X509Certificate(certificate).verify(new X509Certificate(root.certificate).publicKey);
  const server = await kept(directory, "server", () => issue("localhost", "127.0.0.1"), signedByRoot);
  return { file: join(directory, "ca.pem"), authority: root.certificate, server, issue, certify: certified, request };
}

async function kept(
  directory: string,
  name: string,
  make: () => Promise<Pair>,
  usable: (pair: Pair) => boolean = () => true,
): Promise<Pair> {
  const files = { certificate: join(directory, `${name}.pem`), key: join(directory, `${name}-key.pem`) };
  if (existsSync(files.certificate) && existsSync(files.key)) {
    const pair = { certificate: readFileSync(files.certificate, "utf8"), key: readFileSync(files.key, "utf8") };
    if (new X509Certificate(pair.certificate).validToDate.getTime() > really() + 30 * day && usable(pair)) return pair;
  }
  const made = await make();
  writeFileSync(files.key, made.key, { mode: 0o600 });
  writeFileSync(files.certificate, made.certificate);
  return made;
}

async function makeRoot(): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(5 * 365),
    serialNumber: serialNumber(),
    name: "CN=Gatehouse local platform",
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: certificate.toString("pem"), key: await exportKey(keys.privateKey) };
}

const generate = (chosen: typeof algorithm | typeof rsa): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(chosen, true, ["sign", "verify"]);
/** Half a second of computing each: all certificates of a process have the same one. */
let rsaKeys: Promise<webcrypto.CryptoKeyPair> | undefined;

async function certify(
  { names, keyType = "EC", days = 800, usages = [x509.ExtendedKeyUsage.serverAuth], selfSigned = false }: CertificateRequest,
  issuer: Issuer,
  issuerKey: webcrypto.CryptoKey,
): Promise<Pair> {
  const subjectAlgorithm = keyType === "EC" ? algorithm : rsa;
  const keys = await keysOf(keyType);
  const subject = `CN=${names[0]}`;
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(days),
    serialNumber: serialNumber(),
    subject,
    issuer: selfSigned ? subject : issuer.subject,
    publicKey: keys.publicKey,
    signingKey: selfSigned ? keys.privateKey : issuerKey,
    signingAlgorithm: selfSigned ? subjectAlgorithm : algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) ? "ip" : "dns", value }))),
      await x509.AuthorityKeyIdentifierExtension.create(selfSigned ? keys.publicKey : issuer),
    ],
  });
  return { certificate: certificate.toString("pem"), key: await exportKey(keys.privateKey) };
}

async function request({
  names,
  keyType = "EC",
}: Pick<CertificateRequest, "names" | "keyType">): ReturnType<Authority["request"]> {
  const keys = await keysOf(keyType);
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${names[0]}`,
    keys,
    signingAlgorithm: keyType === "EC" ? algorithm : rsa,
    extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns", value })))],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { request: Buffer.from(made.rawData), key: Buffer.from(key) };
}

const keysOf = (keyType: "EC" | "RSA"): Promise<webcrypto.CryptoKeyPair> =>
  keyType === "EC" ? generate(algorithm) : (rsaKeys ??= generate(rsa));

/** From yesterday, so that a clock that is a little behind takes it too. */
const validity = (days: number): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(really() - day),
  notAfter: new Date(really() + days * day),
});
/** 16 random bytes with a positive, non-zero first one, as RFC 5280 wants. */
const serialNumber = (): string =>
  `4${Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
    .toString("hex")
    .slice(1)}`;

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(pem), algorithm, true, ["sign"]);
}

/** Clients check a certificate by the machine's clock, whatever time it is in the simulated world. */
const really = (): number => performance.timeOrigin + performance.now();

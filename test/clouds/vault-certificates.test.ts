/** Certificates of the simulated Key Vault as @azure/keyvault-certificates sees them, over HTTPS. */
import { createHash, webcrypto, X509Certificate } from "node:crypto";
import type { TokenCredential } from "@azure/identity";
import { CertificateClient, type CertificatePolicy } from "@azure/keyvault-certificates";
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateIn } from "../../infra/local/clouds/guest/certificates.ts";
import { readPem, readPkcs12, writePkcs12 } from "../../infra/local/clouds/vault/pkcs12.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

// @peculiar/x509's dependency injection wants the reflection polyfill in place before it is loaded.
await import("reflect-metadata");
const x509 = await import("@peculiar/x509");

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const own = (): TokenCredential => createCredentials(clouds.environment, clouds.application).own;
const options = { disableChallengeResourceVerification: true, retryOptions: { maxRetries: 0 } };
const client = (url = clouds.platformVault, credential = own()): CertificateClient =>
  new CertificateClient(url, credential, options);
const secretOf = async (name: string, version: string): Promise<string | undefined> =>
  (await new SecretClient(clouds.platformVault, own(), options).getSecret(name, { version })).value;
const failure = async (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => undefined,
    (error: unknown) => error,
  );
async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

const policy = (issuerName: string, name = "gateway.contoso.example"): CertificatePolicy => ({
  issuerName,
  subject: `CN=${name}`,
  subjectAlternativeNames: { dnsNames: [name] },
  contentType: "application/x-pkcs12",
  exportable: true,
  keyType: "EC",
  validityInMonths: 12,
});
const ofAuthority = async (name: string): Promise<{ pem: string; pfx: Buffer }> => {
  const { certificate, key } = await clouds.platform.certificates.certify({ names: [name] });
  const pem = certificate + key;
  const contents = readPem(pem);
  if (!contents) throw new Error("the authority's certificate can't be read");
  return { pem, pfx: writePkcs12(contents) };
};

test("an issuer's certificate is pending first; then it is there, with its key in the secret of the same version", async () => {
  const vault = client();
  await vault.createIssuer("DigiCert", "DigiCert", { accountId: "4711", password: "the account's password" });
  expect(await vault.getIssuer("DigiCert")).toMatchObject({ provider: "DigiCert", accountId: "4711" });
  const begun = await vault.beginCreateCertificate("issued", policy("DigiCert"), { tags: { ours: "yes" }, intervalInMs: 1 });
  expect(begun.isDone()).toBe(false);
  expect(await vault.getCertificate("issued")).toMatchObject({ properties: { enabled: false, tags: { ours: "yes" } } });
  expect(await failure(vault.beginCreateCertificate("issued", policy("DigiCert")))).toMatchObject({ statusCode: 409 });

  const made = await begun.pollUntilDone();
  const certificate = new X509Certificate(made.cer ?? new Uint8Array());
  expect(made.properties.x509ThumbprintString).toBe(createHash("sha1").update(certificate.raw).digest("hex"));
  expect(certificate.checkHost("gateway.contoso.example")).toBe("gateway.contoso.example");
  expect(certificate.verify(new X509Certificate(clouds.platform.certificates.authority).publicKey)).toBe(true);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(made).toMatchObject({ properties: { enabled: true }, policy: { issuerName: "DigiCert", exportable: true } });

  const { version = "" } = made.properties;
  expect(made.secretId).toBe(`https://gatehouse.vault.azure.net/secrets/issued/${version}`);
  const pfx = (await secretOf("issued", version)) ?? "";
  expect(readPkcs12(Buffer.from(pfx, "base64"))?.certificates).toHaveLength(2);
  expect(await certificateIn(pfx, "My")).toMatchObject({
    thumbprint: made.properties.x509ThumbprintString?.toUpperCase(),
    names: ["gateway.contoso.example"],
    selfSigned: false,
  });
});

test("one that the vault signs itself is there at once, and nobody else trusts it", async () => {
  const poller = await client().beginCreateCertificate("own", policy("Self"));
  const certificate = new X509Certificate(poller.getResult()?.cer ?? new Uint8Array());
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(poller.isDone()).toBe(true);
});

test("an issuer that the vault doesn't know is refused, and one that is disabled fails", async () => {
  const vault = client();
  expect(await failure(vault.beginCreateCertificate("nobodys", policy("GlobalSign")))).toMatchObject({ statusCode: 400 });
  expect(await failure(vault.getIssuer("GlobalSign"))).toMatchObject({ statusCode: 404 });
  await vault.createIssuer("Closed", "GlobalSign", { enabled: false });
  const poller = await vault.beginCreateCertificate("refused", policy("Closed"), { intervalInMs: 1 });
  expect(await failure(poller.pollUntilDone())).toMatchObject({ message: "The certificate issuer Closed is disabled." });
  const begun = await vault.beginCreateCertificate("refused", policy("Self"));
  expect(begun.isDone()).toBe(true);
});

test("a file that is imported has to have its key; each import is a version", async () => {
  const vault = client();
  const first = await ofAuthority("gateway.contoso.example");
  const second = await ofAuthority("gateway.contoso.example");
  const one = await vault.importCertificate("imported", first.pfx);
  const other = await vault.importCertificate("imported", second.pfx);
  expect(one.policy).toMatchObject({ issuerName: "Unknown", exportable: true, contentType: "application/x-pkcs12" });
  expect((await vault.getCertificate("imported")).properties.version).toBe(other.properties.version);
  expect((await vault.getCertificateVersion("imported", one.properties.version ?? "")).cer).toEqual(one.cer);
  const versions = await all(vault.listPropertiesOfCertificateVersions("imported"));
  expect(versions.map(({ x509ThumbprintString }) => x509ThumbprintString)).toEqual(
    [one, other].map(({ properties }) => properties.x509ThumbprintString),
  );
  expect(await failure(vault.importCertificate("imported", Buffer.from("no certificate")))).toMatchObject({ statusCode: 400 });
  expect(await failure(vault.importCertificate("imported", first.pfx, { password: "secret word" }))).toMatchObject({
    statusCode: 501,
  });
});

/** What another authority makes of a request. */
async function signed(request: Uint8Array): Promise<Buffer> {
  const asked = new x509.Pkcs10CertificateRequest(Buffer.from(request));
  expect(await asked.verify()).toBe(true);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const { privateKey } = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: "4711",
    subject: asked.subject,
    issuer: "CN=Another authority",
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 86_400_000 * 90),
    publicKey: asked.publicKey,
    signingKey: privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "gateway.contoso.example" }])],
  });
  return Buffer.from(made.rawData);
}

test("without an issuer the vault makes a request for a key of its own, and takes what was signed for that key only", async () => {
  const vault = client();
  const begun = await vault.beginCreateCertificate("requested", policy("Unknown"), { tags: { ours: "yes" } });
  const pending = await vault.getCertificateOperation("requested");
  const { status, csr = new Uint8Array() } = pending.getOperationState().certificateOperation ?? {};
  expect({ status, done: begun.isDone() }).toEqual({ status: "inProgress", done: false });
  expect(await failure(vault.beginCreateCertificate("requested", policy("Unknown")))).toMatchObject({ statusCode: 409 });
  const other = readPem((await ofAuthority("gateway.contoso.example")).pem)?.certificates[0] ?? Buffer.alloc(0);
  expect(await failure(vault.mergeCertificate("requested", [other]))).toMatchObject({
    statusCode: 400,
    code: "BadParameter",
    message: expect.stringContaining("key of this instance doesn't match"),
  });
  const leaf = await signed(csr);
  const merged = await vault.mergeCertificate("requested", [leaf]);
  expect(merged.properties.tags).toEqual({ ours: "yes" });
  expect(Buffer.from(merged.cer ?? []).equals(leaf)).toBe(true);
  const pfx = (await secretOf("requested", merged.properties.version ?? "")) ?? "";
  expect(readPkcs12(Buffer.from(pfx, "base64"))?.certificates).toHaveLength(1);
  expect(await failure(vault.mergeCertificate("requested", [leaf]))).toMatchObject({ statusCode: 404 });

  await vault.beginCreateCertificate("requested", policy("Unknown"));
  await vault.deleteCertificateOperation("requested");
  expect((await vault.getCertificate("requested")).properties.version).toBe(merged.properties.version);
  await vault.createIssuer("Slow", "DigiCert", {});
  await vault.beginCreateCertificate("ordered", policy("Slow"));
  expect(await failure(vault.mergeCertificate("ordered", [leaf]))).toMatchObject({ statusCode: 403 });
});

/** The SDK's client reads the policy of an import and doesn't send it. */
async function importWithPolicy(name: string, value: string, sent: object): Promise<string> {
  const token = await own().getToken(`${clouds.environment.vault.audience}/.default`);
  const response = await fetch(`${clouds.platformVault}/certificates/${name}/import?api-version=2025-07-01`, {
    method: "POST",
    headers: { authorization: `Bearer ${token?.token}`, "content-type": "application/json" },
    body: JSON.stringify({ value, policy: sent }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { sid: string }).sid.split("/").at(-1) ?? "";
}

test("PEM stays PEM, and a key that may not leave the vault doesn't", async () => {
  const { pem, pfx } = await ofAuthority("gateway.contoso.example");
  const asPem = await importWithPolicy("as-pem", pem, { secret_props: { contentType: "application/x-pem-file" } });
  expect(await secretOf("as-pem", asPem)).toMatch(/^-----BEGIN PRIVATE KEY-----[^]*-----END CERTIFICATE-----\n$/);
  const kept = await importWithPolicy("kept", pfx.toString("base64"), { key_props: { exportable: false } });
  const { cer } = await client().getCertificate("kept");
  expect(await secretOf("kept", kept)).toBe(Buffer.from(cer ?? []).toString("base64"));
});

test("a deleted certificate takes its secret with it, until it is recovered; the secret can't be changed by itself", async () => {
  const vault = client();
  const { pfx } = await ofAuthority("gateway.contoso.example");
  const { properties } = await vault.importCertificate("passing", pfx);
  const secrets = new SecretClient(clouds.platformVault, own(), options);
  expect(await failure(secrets.setSecret("passing", "another value"))).toMatchObject({ statusCode: 403 });
  await vault.beginDeleteCertificate("passing");
  expect(await failure(vault.getCertificate("passing"))).toMatchObject({ statusCode: 404, code: "CertificateNotFound" });
  expect(await failure(secretOf("passing", properties.version ?? ""))).toMatchObject({ statusCode: 404 });
  expect(await failure(vault.importCertificate("passing", pfx))).toMatchObject({ statusCode: 409 });
  await (await vault.beginRecoverDeletedCertificate("passing")).pollUntilDone();
  expect(await secretOf("passing", properties.version ?? "")).toBeDefined();
});

test("the officer makes certificates, the reader sees them, and neither reads their keys", async () => {
  const tenantId = "c0ffee00-0000-4000-8000-000000000001";
  const identity = {
    resourceId: "/subscriptions/s/vm",
    clientId: "0b7a0000-0000-4000-8000-000000000001",
    principalId: "0b7a0000-0000-4000-8000-000000000002",
    tenantId,
  };
  await clouds.organize({ tenantId, domains: ["contoso.example"] });
  const { peers, environment } = clouds.platform;
  const before = { ...peers };
  let role = "";
  Object.assign(peers, {
    vaultNamed: () => ({ id: "/subscriptions/S/Vaults/contoso-4f2a", tenantId }),
    identities: () => [identity],
    holdsRole: (_: string, held: string) => held === role,
  });
  const credential: TokenCredential = {
    getToken: async () => ({
      token: (await peers.tokenForIdentity?.(identity.clientId, environment.vault.audience)) ?? "",
      expiresOnTimestamp: Date.now() + 3_600_000,
    }),
  };
  const url = clouds.vault.replace("{name}", "contoso-4f2a");
  const vault = client(url, credential);
  const { pfx } = await ofAuthority("gateway.contoso.example");
  expect(await failure(vault.importCertificate("tls", pfx))).toMatchObject({ statusCode: 403, code: "Forbidden" });
  role = "a4417e6f-fecd-4de8-b567-7b0420556985";
  await vault.importCertificate("tls", pfx);
  role = "21090545-7ca7-4776-b22c-e363652d74d2";
  expect((await vault.getCertificate("tls")).properties.enabled).toBe(true);
  expect(await failure(vault.importCertificate("tls", pfx))).toMatchObject({
    message: expect.stringContaining("Microsoft.KeyVault/vaults/certificates/import/action"),
  });
  for (const held of ["a4417e6f-fecd-4de8-b567-7b0420556985", "21090545-7ca7-4776-b22c-e363652d74d2"]) {
    role = held;
    expect(await failure(new SecretClient(url, credential, options).getSecret("tls"))).toMatchObject({ statusCode: 403 });
  }
  Object.assign(peers, before);
});

test("no key is in the record of requests, nor in what the vault shows of its state", async () => {
  const { pem, pfx } = await ofAuthority("gateway.contoso.example");
  await client().importCertificate("canary", pfx);
  const shown = JSON.stringify([await clouds.requests(), await clouds.state("vault")]);
  const key = /-----BEGIN PRIVATE KEY-----([^-]+)/.exec(pem)?.[1]?.replaceAll(/\s/g, "") ?? "";
  expect(shown).not.toContain(pfx.toString("base64"));
  expect(shown).not.toContain(key.slice(0, 40));
});

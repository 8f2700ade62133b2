/**
 * Simulated Key Vault, data plane of certificates: created by an issuer under a policy, or imported; each version with its secret.
 *
 * Collections `vault.certificates` and `vault.issuers`, keyed `${vault}/${name}`, lower case. Sources: Key Vault REST API reference for
 * certificates; "Monitor and manage certificate creation"; "Certificate creation methods".
 */
import { createHash, createPrivateKey, randomUUID, X509Certificate } from "node:crypto";
import * as z from "zod";
import type { Platform, SimulatedResponse } from "../simulator.ts";
import { certificateNotFound, issuerNotFound, pendingNotFound, refused } from "./errors.ts";
import { type Contents, readPem, readPkcs12, writePkcs12 } from "./pkcs12.ts";
import { type Call, idBase, page } from "./call.ts";

/** Version of a certificate; key and secret have the same id. */
interface Version {
  id: string;
  /** DER in base64. */
  cer: string;
  enabled: boolean;
  created: number;
  updated: number;
  notBefore: number;
  expires: number;
  tags: Record<string, string>;
}

interface Pending {
  requestId: string;
  version: string;
  issuer: string;
  /** DER in base64, where somebody else signs it. */
  csr?: string;
  status: "inProgress" | "completed" | "cancelled" | "failed";
  cancellationRequested: boolean;
  error?: { code: string; message: string };
  /** Its answer comes after so many looks, and not before that time. */
  looks: number;
  readyAt: number;
  tags: Record<string, string>;
}

interface Certificate {
  name: string;
  policy: Policy;
  /** Oldest first. */
  versions: Version[];
  pending?: Pending;
  deletedAt?: number;
}

interface Issuer {
  name: string;
  provider: string;
  accountId?: string;
  enabled: boolean;
  created: number;
  updated: number;
}

const PKCS12 = "application/x-pkcs12";
const PEM = "application/x-pem-file";

const policySchema = z.object({
  key_props: z
    .object({
      exportable: z.boolean().optional(),
      kty: z.enum(["RSA", "RSA-HSM", "EC", "EC-HSM"]).optional(),
      key_size: z.number().optional(),
      reuse_key: z.boolean().optional(),
      crv: z.string().optional(),
    })
    .optional(),
  secret_props: z.object({ contentType: z.enum([PKCS12, PEM]).optional() }).optional(),
  x509_props: z
    .object({
      subject: z.string().optional(),
      ekus: z.array(z.string()).optional(),
      sans: z.object({ dns_names: z.array(z.string()).optional() }).optional(),
      key_usage: z.array(z.string()).optional(),
      validity_months: z.number().int().optional(),
    })
    .optional(),
  lifetime_actions: z.array(z.unknown()).optional(),
  issuer: z
    .object({ name: z.string().optional(), cty: z.string().optional(), cert_transparency: z.boolean().optional() })
    .optional(),
});
type Policy = z.output<typeof policySchema>;

const createSchema = z.object({
  policy: policySchema.optional(),
  attributes: z.object({ enabled: z.boolean().optional() }).optional(),
  tags: z.record(z.string(), z.string()).optional(),
});
const importSchema = createSchema.extend({ value: z.string(), pwd: z.string().optional() });
const issuerSchema = z.object({
  provider: z.string(),
  credentials: z.object({ account_id: z.string().optional(), pwd: z.string().optional() }).optional(),
  attributes: z.object({ enabled: z.boolean().optional() }).optional(),
});

const mergeSchema = z.object({
  x5c: z.array(z.string().min(1)).min(1),
  attributes: z.object({ enabled: z.boolean().optional() }).optional(),
  tags: z.record(z.string(), z.string()).optional(),
});

/** Whose certificates the vault doesn't get itself: somebody takes the request elsewhere and merges what came of it. */
const UNKNOWN = "Unknown";
const SERVER_AND_CLIENT = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
/** What an authority that knows the customer takes; what the vault signs itself is there at once. */
const ISSUANCE_IN_MILLISECONDS = 5 * 60_000;
const LOOKS_AT_ISSUANCE = 2;
const RETRY_AFTER_IN_SECONDS = 10;
const DAYS_IN_A_MONTH = 30.4;

export interface CertificateStore {
  /** Answers `certificates/…` and `deletedcertificates/…`; undefined when there is no such request. */
  route(call: Call, path: string[]): Promise<SimulatedResponse> | SimulatedResponse;
  /** A person imports one by hand: a certificate that the simulated authority, or nobody, has signed. */
  importByHand(vault: string, name: string, contents: Contents): string | undefined;
}

/** What certificates need of the vault they are in. */
export interface VaultOfCertificates {
  platform: Platform;
  /** Undefined when the caller may do it. */
  permitted(call: Call, action: string, name?: string): SimulatedResponse | undefined;
  knows(vault: string): boolean;
  /** The certificate's own secret: PKCS #12 or PEM, under the version's id. */
  putSecret(
    vault: string,
    secret: { name: string; id: string; value: string; contentType: string; notBefore: number; expires: number },
  ): void;
  deleteSecret(vault: string, name: string, deletedAt: number | undefined): void;
}

export function createCertificateStore({
  platform,
  permitted,
  knows,
  putSecret,
  deleteSecret,
}: VaultOfCertificates): CertificateStore {
  const certificates = platform.collection<Certificate>("vault.certificates");
  const issuers = platform.collection<Issuer>("vault.issuers");
  /** What is made already and not given out yet, by the request's id: base64. */
  const coming = platform.collection<{ certificates: string[]; key: string }>("vault.issuance");
  const seconds = (): number => Math.floor(platform.now() / 1000);
  const keyIn = (vault: string, name: string): string => `${vault}/${name.toLowerCase()}`;
  const key = ({ vault }: Call, name: string): string => keyIn(vault.name, name);
  const present = (call: Call, name: string): Certificate | undefined => {
    const certificate = certificates.get(key(call, name));
    return certificate?.deletedAt === undefined ? certificate : undefined;
  };

  function route(
    call: Call,
    [collection = "", name = "", rest, extra]: string[],
  ): Promise<SimulatedResponse> | SimulatedResponse {
    const { method } = call.request;
    const version =
      rest !== undefined && rest !== "" && !["create", "import", "pending", "policy", "versions", "recover"].includes(rest);
    const merging = `${method} ${collection}/${rest}/${extra}` === "POST certificates/pending/merge";
    if (merging) return permitted(call, "certificates/create", name) ?? merge(call, name);
    if (collection === "certificates" && name === "issuers") return issuerRoute(call, rest, extra);
    if (extra !== undefined) return notModelled(call);
    const what = `${method} ${collection}${name === "" ? "" : "/name"}${rest === undefined || rest === "" ? "" : version ? "/version" : `/${rest}`}`;
    switch (what) {
      case "POST certificates/name/create":
        return permitted(call, "certificates/create", name) ?? create(call, name);
      case "POST certificates/name/import":
        return permitted(call, "certificates/import", name) ?? importOne(call, name);
      case "GET certificates/name/pending":
        return permitted(call, "certificates/read", name) ?? getPending(call, name);
      case "PATCH certificates/name/pending":
        return permitted(call, "certificates/update", name) ?? cancel(call, name);
      case "DELETE certificates/name/pending":
        return permitted(call, "certificates/update", name) ?? deletePending(call, name);
      case "GET certificates":
        return permitted(call, "certificates/read") ?? listAll(call);
      case "GET certificates/name":
      case "GET certificates/name/version":
        return permitted(call, "certificates/read", name) ?? getOne(call, name, version ? rest : undefined);
      case "GET certificates/name/policy":
        return permitted(call, "certificates/read", name) ?? getPolicy(call, name);
      case "GET certificates/name/versions":
        return permitted(call, "certificates/read", name) ?? listVersions(call, name);
      case "DELETE certificates/name":
        return permitted(call, "certificates/delete", name) ?? deleteOne(call, name);
      case "GET deletedcertificates/name":
        return permitted(call, "certificates/read", name) ?? getDeleted(call, name);
      case "POST deletedcertificates/name/recover":
        return permitted(call, "certificates/recover", name) ?? recover(call, name);
      default:
        return notModelled(call);
    }
  }

  function issuerRoute(call: Call, name = "", extra: string | undefined): SimulatedResponse {
    const id = key(call, name);
    if (extra !== undefined || name === "") return notModelled(call);
    const known = issuers.get(id);
    switch (call.request.method) {
      case "GET":
        return (
          permitted(call, "certificatecas/read") ?? (known ? { status: 200, body: issuerOf(call, known) } : issuerNotFound(name))
        );
      case "PUT": {
        const refusal = permitted(call, "certificatecas/write");
        if (refusal) return refusal;
        const parsed = issuerSchema.safeParse(call.request.body);
        if (!parsed.success) return refused(400, "BadParameter", `The issuer is malformed: ${z.prettifyError(parsed.error)}`);
        const { provider, credentials, attributes } = parsed.data;
        if (credentials?.pwd !== undefined) platform.secrets.add(credentials.pwd);
        const issuer = {
          name,
          provider,
          ...(credentials?.account_id === undefined ? {} : { accountId: credentials.account_id }),
          enabled: attributes?.enabled ?? true,
          created: known?.created ?? seconds(),
          updated: seconds(),
        };
        issuers.set(id, issuer);
        return { status: 200, body: issuerOf(call, issuer), effect: "write" };
      }
      case "DELETE": {
        const refusal = permitted(call, "certificatecas/delete");
        if (refusal) return refusal;
        if (!known) return issuerNotFound(name);
        issuers.delete(id);
        return { status: 200, body: issuerOf(call, known), effect: "write" };
      }
      default:
        return notModelled(call);
    }
  }

  async function create(call: Call, name: string): Promise<SimulatedResponse> {
    const parsed = createSchema.safeParse(call.request.body ?? {});
    if (!parsed.success) return refused(400, "BadParameter", `The request is malformed: ${z.prettifyError(parsed.error)}`);
    const policy = parsed.data.policy ?? present(call, name)?.policy;
    if (policy === undefined) return refused(400, "BadParameter", "The property policy has to be given for a new certificate.");
    const inTheWay = conflict(call, name);
    if (inTheWay) return inTheWay;
    const issuer = policy.issuer?.name ?? UNKNOWN;
    const unknown = issuer === UNKNOWN;
    const known = issuers.get(key(call, issuer));
    if (!unknown && issuer !== "Self" && !known) return refused(400, "BadParameter", `Certificate issuer ${issuer} not found.`);
    const names = namesIn(policy);
    if (names === undefined) return refused(400, "BadParameter", "The property x509_props has neither a subject nor names.");
    const made = unknown ? await requested(policy, names) : await issue(policy, names, issuer === "Self");
    // Another request may have come while the key was made.
    const meanwhile = conflict(call, name);
    if (meanwhile) return meanwhile;
    const pending: Pending = {
      requestId: randomUUID().replaceAll("-", ""),
      version: randomUUID().replaceAll("-", ""),
      issuer,
      status: "inProgress",
      cancellationRequested: false,
      ...("request" in made && { csr: made.request.toString("base64") }),
      looks: issuer === "Self" ? 0 : LOOKS_AT_ISSUANCE,
      readyAt: platform.now() + (issuer === "Self" ? 0 : ISSUANCE_IN_MILLISECONDS * platform.tempo),
      tags: parsed.data.tags ?? {},
      ...(known?.enabled === false
        ? { error: { code: "Certificate issuer error", message: `The certificate issuer ${issuer} is disabled.` } }
        : {}),
    };
    coming.set(pending.requestId, {
      certificates: "request" in made ? [] : made.certificates.map((der) => der.toString("base64")),
      key: made.key.toString("base64"),
    });
    const { versions = [] } = present(call, name) ?? {};
    certificates.set(key(call, name), { name, policy: normal(policy), versions, pending });
    const location = `${call.request.url.origin}${call.request.url.pathname.replace(/create$/, "pending")}?api-version=${call.request.url.searchParams.get("api-version") ?? ""}&request_id=${pending.requestId}`;
    return { status: 202, headers: { location, ...retryAfter() }, body: shownPending(call, name, pending), effect: "write" };
  }

  /** The key stays here, and what has to be signed for it is shown until somebody merges that. */
  async function requested(
    { key_props: wanted }: Policy,
    names: [string, ...string[]],
  ): Promise<{ request: Buffer; key: Buffer }> {
    const keyType = wanted?.kty?.startsWith("EC") === true ? "EC" : "RSA";
    const made = await platform.certificates.request({ names, keyType });
    platform.secrets.add(made.key.toString("base64"));
    return made;
  }

  function merge(call: Call, name: string): SimulatedResponse {
    const parsed = mergeSchema.safeParse(call.request.body);
    if (!parsed.success)
      return refused(400, "BadParameter", "Property x5c has invalid value X5C must has at least one valid item");
    const certificate = looked(call, name);
    const { pending } = certificate ?? {};
    if (!certificate || pending?.status !== "inProgress") return pendingNotFound(name);
    if (pending.csr === undefined)
      return refused(403, "Forbidden", `Merge is forbidden on a pending object created with issuer : ${pending.issuer}.`);
    const made = coming.get(pending.requestId);
    if (!made) return pendingNotFound(name);
    const contents = certified(parsed.data.x5c, Buffer.from(made.key, "base64"));
    if (contents === "unreadable")
      return refused(400, "BadParameter", "Property x5c has invalid value X5C must has at least one valid item");
    if (contents === "another key")
      return refused(400, "BadParameter", "Public key from x509 certificate and key of this instance doesn't match");
    coming.delete(pending.requestId);
    const tags = parsed.data.tags ?? pending.tags;
    const done = { ...certificate, pending: { ...pending, status: "completed" as const } };
    const merged = addVersion(call.vault.name, done, pending.version, contents, tags);
    return { status: 201, body: shown(call, merged, merged.versions.at(-1)), effect: "write" };
  }

  async function issue(policy: Policy, names: [string, ...string[]], selfSigned: boolean): Promise<Contents> {
    const { certificate, key: privateKey } = await platform.certificates.certify({
      names,
      keyType: policy.key_props?.kty?.startsWith("EC") === true ? "EC" : "RSA",
      days: Math.round((policy.x509_props?.validity_months ?? 12) * DAYS_IN_A_MONTH),
      usages: policy.x509_props?.ekus ?? SERVER_AND_CLIENT,
      selfSigned,
    });
    const made = readPem(`${certificate}\n${privateKey}\n${selfSigned ? "" : platform.certificates.authority}`);
    if (!made) throw new Error("the authority's certificate can't be read");
    platform.secrets.add(made.key.toString("base64"));
    return made;
  }

  /** The certificate with what has become of its order; only who asks for the order itself is one of the looks that it takes. */
  function looked(call: Call, name: string, look = false): Certificate | undefined {
    const certificate = present(call, name);
    const { pending } = certificate ?? {};
    if (!certificate || pending?.status !== "inProgress") return certificate;
    if (pending.csr !== undefined && !pending.cancellationRequested) return certificate;
    const settle = (change: Partial<Pending>): Certificate => {
      const changed = { ...certificate, pending: { ...pending, ...change } };
      certificates.set(key(call, name), changed);
      return changed;
    };
    if (pending.looks > 0) return look ? settle({ looks: pending.looks - 1 }) : certificate;
    if (platform.now() < pending.readyAt) return certificate;
    if (pending.cancellationRequested) return settle({ status: "cancelled" });
    const issued = coming.get(pending.requestId);
    if (pending.error || !issued)
      return settle({
        status: "failed",
        error: pending.error ?? { code: "Certificate issuer error", message: "The order was lost." },
      });
    coming.delete(pending.requestId);
    const contents = {
      certificates: issued.certificates.map((der) => Buffer.from(der, "base64")),
      key: Buffer.from(issued.key, "base64"),
    };
    return addVersion(call.vault.name, settle({ status: "completed" }), pending.version, contents, pending.tags);
  }

  function addVersion(
    vault: string,
    certificate: Certificate,
    id: string,
    contents: Contents,
    tags: Version["tags"],
  ): Certificate {
    const { name, policy } = certificate;
    const [leaf = Buffer.alloc(0)] = contents.certificates;
    const { notBefore, expires } = validityOf(contents);
    const version = {
      id,
      cer: leaf.toString("base64"),
      enabled: true,
      created: seconds(),
      updated: seconds(),
      notBefore,
      expires,
      tags,
    };
    const changed = { ...certificate, versions: [...certificate.versions, version] };
    certificates.set(keyIn(vault, name), changed);
    const { contentType = PKCS12 } = policy.secret_props ?? {};
    // Without leave to export it, the key stays in the vault: the secret has the certificate only.
    const exported = policy.key_props?.exportable === false ? undefined : contents.key;
    const value = contentType === PKCS12 ? pfxOf(contents, exported) : pemOf(contents, exported);
    platform.secrets.add(value);
    platform.secrets.add(contents.key.toString("base64"));
    putSecret(vault, { name, id, value, contentType, notBefore, expires });
    return changed;
  }

  function importOne(call: Call, name: string): SimulatedResponse {
    const parsed = importSchema.safeParse(call.request.body);
    if (!parsed.success) return refused(400, "BadParameter", `The request is malformed: ${z.prettifyError(parsed.error)}`);
    const { value, pwd, policy = {}, tags = {} } = parsed.data;
    platform.secrets.add(value);
    const inTheWay = conflict(call, name);
    if (inTheWay) return inTheWay;
    if (pwd !== undefined && pwd !== "") return refused(501, "NotImplemented", "Files with a password are not modelled.");
    const contents = value.includes("-----BEGIN") ? readPem(value) : readPkcs12(Buffer.from(value, "base64"));
    if (!contents)
      return refused(400, "BadParameter", "The specified certificate's content can not be read, or has no private key.");
    const contentType = value.includes("-----BEGIN") ? PEM : PKCS12;
    const whole = normal({ ...policy, secret_props: { contentType, ...policy.secret_props } });
    const certificate = imported(call.vault.name, name, contents, whole, tags);
    return { status: 200, body: shown(call, certificate, certificate.versions.at(-1)), effect: "write" };
  }

  function imported(vault: string, name: string, contents: Contents, policy: Policy, tags: Version["tags"]): Certificate {
    const known = certificates.get(keyIn(vault, name));
    const kept = { name, policy: { ...policy, issuer: { name: UNKNOWN } }, versions: known?.versions ?? [] };
    return addVersion(vault, kept, randomUUID().replaceAll("-", ""), contents, tags);
  }

  function conflict(call: Call, name: string): SimulatedResponse | undefined {
    const known = certificates.get(key(call, name));
    if (known?.deletedAt !== undefined)
      return refused(
        409,
        "Conflict",
        `Certificate ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the certificate can only be recovered or purged.`,
        "ObjectIsDeletedButRecoverable",
      );
    if (looked(call, name)?.pending?.status !== "inProgress") return undefined;
    return refused(
      409,
      "Forbidden",
      "A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress.",
    );
  }

  function getPending(call: Call, name: string): SimulatedResponse {
    const pending = looked(call, name, true)?.pending;
    const asked = call.request.url.searchParams.get("request_id");
    if (!pending || (asked !== null && asked !== pending.requestId)) return pendingNotFound(name);
    return { status: 200, headers: pending.status === "inProgress" ? retryAfter() : {}, body: shownPending(call, name, pending) };
  }
  const retryAfter = (): Record<string, string> => ({
    "retry-after": String(Math.ceil(RETRY_AFTER_IN_SECONDS * platform.tempo)),
  });

  function cancel(call: Call, name: string): SimulatedResponse {
    const certificate = looked(call, name);
    if (!certificate?.pending) return pendingNotFound(name);
    if (certificate.pending.status !== "inProgress") return refused(400, "BadParameter", "The request is not in progress.");
    const pending = { ...certificate.pending, cancellationRequested: true };
    certificates.set(key(call, name), { ...certificate, pending });
    return { status: 200, body: shownPending(call, name, pending), effect: "write" };
  }

  function deletePending(call: Call, name: string): SimulatedResponse {
    const certificate = looked(call, name);
    if (!certificate?.pending) return pendingNotFound(name);
    const { pending, ...rest } = certificate;
    if (rest.versions.length === 0) certificates.delete(key(call, name));
    else certificates.set(key(call, name), rest);
    return { status: 200, body: shownPending(call, name, pending), effect: "write" };
  }

  function getOne(call: Call, name: string, id: string | undefined): SimulatedResponse {
    const certificate = looked(call, name);
    if (!certificate) return certificateNotFound(name);
    const version = id === undefined ? certificate.versions.at(-1) : certificate.versions.find((one) => one.id === id);
    if (version === undefined && (id !== undefined ? id !== certificate.pending?.version : !certificate.pending))
      return certificateNotFound(name);
    return { status: 200, body: shown(call, certificate, version) };
  }

  function getPolicy(call: Call, name: string): SimulatedResponse {
    const certificate = present(call, name);
    return certificate ? { status: 200, body: shownPolicy(call, certificate) } : certificateNotFound(name);
  }

  function listAll(call: Call): SimulatedResponse {
    const all = certificates
      .entries()
      .filter(([id, { deletedAt }]) => id.startsWith(`${call.vault.name}/`) && deletedAt === undefined);
    const items = all
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([, { name, versions }]) => {
        const newest = versions.at(-1);
        return newest ? [{ ...item(call, name, newest), id: `${idBase(call)}/certificates/${name}` }] : [];
      });
    return page(call, items);
  }

  function listVersions(call: Call, name: string): SimulatedResponse {
    const certificate = looked(call, name);
    if (!certificate) return certificateNotFound(name);
    return page(
      call,
      certificate.versions.map((version) => item(call, certificate.name, version)),
    );
  }

  function deleteOne(call: Call, name: string): SimulatedResponse {
    const certificate = present(call, name);
    if (!certificate) return certificateNotFound(name);
    const { pending: _pending, ...rest } = certificate;
    const deletedAt = seconds();
    certificates.set(key(call, name), { ...rest, deletedAt });
    deleteSecret(call.vault.name, name, deletedAt);
    return { status: 200, body: { ...shown(call, rest, rest.versions.at(-1)), ...bin(call, name, deletedAt) }, effect: "write" };
  }

  function getDeleted(call: Call, name: string): SimulatedResponse {
    const certificate = certificates.get(key(call, name));
    if (certificate?.deletedAt === undefined) return certificateNotFound(name);
    const { deletedAt } = certificate;
    return { status: 200, body: { ...shown(call, certificate, certificate.versions.at(-1)), ...bin(call, name, deletedAt) } };
  }

  function recover(call: Call, name: string): SimulatedResponse {
    const certificate = certificates.get(key(call, name));
    if (certificate?.deletedAt === undefined) return certificateNotFound(name);
    const { deletedAt: _deletedAt, ...rest } = certificate;
    certificates.set(key(call, name), rest);
    deleteSecret(call.vault.name, name, undefined);
    return { status: 200, body: shown(call, rest, rest.versions.at(-1)), effect: "write" };
  }

  return {
    route,
    importByHand: (vault, name, contents) =>
      knows(vault) ? imported(vault, name, contents, normal({}), {}).versions.at(-1)?.id : undefined,
  };
}

const notModelled = ({ request }: Call): SimulatedResponse =>
  refused(405, "MethodNotAllowed", `${request.method} ${request.url.pathname} is not part of the simulated vault.`);

/** What the vault fills in where a policy is silent. */
const normal = (policy: Policy): Policy => ({
  ...policy,
  key_props: { exportable: true, kty: "RSA", key_size: 2048, reuse_key: false, ...policy.key_props },
  secret_props: { contentType: PKCS12, ...policy.secret_props },
});

function namesIn({ x509_props: wanted }: Policy): [string, ...string[]] | undefined {
  const common = /(?:^|,)\s*CN\s*=\s*"?([^,"]+)"?/i.exec(wanted?.subject ?? "")?.[1]?.trim();
  const [first, ...others] = [...new Set([...(common === undefined ? [] : [common]), ...(wanted?.sans?.dns_names ?? [])])];
  return first === undefined ? undefined : [first, ...others];
}

function validityOf({ certificates: [leaf = Buffer.alloc(0)] }: Contents): { notBefore: number; expires: number } {
  const { validFromDate, validToDate } = new X509Certificate(leaf);
  return { notBefore: Math.floor(validFromDate.getTime() / 1000), expires: Math.floor(validToDate.getTime() / 1000) };
}

/** The key's own certificate is the first of them. */
function certified(x5c: string[], key: Buffer): Contents | "unreadable" | "another key" {
  const certificates = x5c.map((text) => Buffer.from(text, "base64"));
  try {
    const [leaf] = certificates.map((der) => new X509Certificate(der));
    const fits = leaf?.checkPrivateKey(createPrivateKey({ key, format: "der", type: "pkcs8" }));
    return fits ? { certificates, key } : "another key";
  } catch {
    return "unreadable";
  }
}

const pfxOf = (contents: Contents, key: Buffer | undefined): string =>
  key === undefined ? (contents.certificates[0]?.toString("base64") ?? "") : writePkcs12({ ...contents, key }).toString("base64");

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;
const pemOf = ({ certificates }: Contents, key: Buffer | undefined): string =>
  [...(key === undefined ? [] : [pem("PRIVATE KEY", key)]), ...certificates.map((der) => pem("CERTIFICATE", der))].join("");

const attributesOf = (call: Call, { enabled, notBefore, expires, created, updated }: Version): object => ({
  enabled,
  nbf: notBefore,
  exp: expires,
  created,
  updated,
  recoveryLevel: call.vault.purgeProtection ? "Recoverable" : "Recoverable+Purgeable",
  recoverableDays: 90,
});

const thumbprint = (cer: string): string => createHash("sha1").update(Buffer.from(cer, "base64")).digest("base64url");

const item = (call: Call, name: string, version: Version): object => ({
  id: `${idBase(call)}/certificates/${name}/${version.id}`,
  x5t: thumbprint(version.cer),
  attributes: attributesOf(call, version),
  ...(Object.keys(version.tags).length === 0 ? {} : { tags: version.tags }),
});

/** Before the first version is there, the certificate is one that is switched off and has no content. */
function shown(call: Call, certificate: Certificate, version: Version | undefined): object {
  const { name, pending } = certificate;
  const id = version?.id ?? pending?.version ?? "";
  const base = idBase(call);
  return {
    id: `${base}/certificates/${name}/${id}`,
    kid: `${base}/keys/${name}/${id}`,
    sid: `${base}/secrets/${name}/${id}`,
    ...(version ? { x5t: thumbprint(version.cer), cer: version.cer } : {}),
    attributes: version ? attributesOf(call, version) : { enabled: false },
    ...(version && Object.keys(version.tags).length > 0 ? { tags: version.tags } : {}),
    ...(version ? {} : { tags: pending?.tags ?? {} }),
    policy: shownPolicy(call, certificate),
    ...(pending ? { pending: { id: `${base}/certificates/${name}/pending` } } : {}),
  };
}

const shownPolicy = (call: Call, { name, policy }: Certificate): object => ({
  id: `${idBase(call)}/certificates/${name}/policy`,
  ...policy,
});

const shownPending = (call: Call, name: string, pending: Pending): object => ({
  id: `${idBase(call)}/certificates/${name}/pending`,
  issuer: { name: pending.issuer },
  ...(pending.csr !== undefined && { csr: pending.csr }),
  cancellation_requested: pending.cancellationRequested,
  status: pending.status,
  ...(pending.status === "inProgress"
    ? {
        status_details:
          pending.csr === undefined
            ? "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. Please check again later"
            : "Pending certificate created. Please Perform Merge to complete the request.",
      }
    : {}),
  ...(pending.status === "failed" && pending.error ? { error: pending.error } : {}),
  ...(pending.status === "completed" ? { target: `${idBase(call)}/certificates/${name}` } : {}),
  request_id: pending.requestId,
});

const issuerOf = (call: Call, { name, provider, accountId, enabled, created, updated }: Issuer): object => ({
  id: `${idBase(call)}/certificates/issuers/${name}`,
  provider,
  credentials: { account_id: accountId },
  org_details: {},
  attributes: { enabled, created, updated },
});

const bin = (call: Call, name: string, deletedAt: number): object => ({
  recoveryId: `${idBase(call)}/deletedcertificates/${name}`,
  deletedDate: deletedAt,
  scheduledPurgeDate: deletedAt + 90 * 24 * 60 * 60,
});

/** Certificates in Key Vault, without their keys: read, ordered from an issuer of the vault, and polled until they are there. */
import { X509Certificate } from "node:crypto";
import type { TokenCredential } from "@azure/identity";
import type {
  CertificateClient,
  CertificatePolicy,
  CertificateProperties,
  KeyVaultCertificateWithPolicy,
} from "@azure/keyvault-certificates";
import type { Polled } from "../azure/client.ts";
import type { Clock } from "../clock.ts";
import type { Credentials } from "../entra/credentials.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import { absent, type Begun, done, type Done, type Observed, type Owner, present, unknown } from "../resources/resource.ts";
import { requireVaultOf, vaultError } from "./client.ts";
import type { SecretReference } from "./reference.ts";

/** A certificate by its name in a vault. */
export interface CertificatePlace {
  /** Entra tenant of the vault's subscription. */
  entraTenantId: string;
  vaultUrl: string;
  certificate: string;
  /** Thumbprints of versions that are passed over: they were in use, and did harm. */
  refused?: string[] | undefined;
  /** DNS name that it is wanted for: a newer one for others only is passed over. */
  name?: string | undefined;
}

/** What is ordered there. */
export interface CertificateOrder extends CertificatePlace {
  owner: Owner;
  /** DNS name that it is for. */
  name: string;
  /** Asked of the deployment's ACME server, which is shown that the name is ours in this Azure DNS zone. */
  acme?: { zoneId: string } | undefined;
}

/** The newest version that is not refused, as far as it is there. */
export type FoundCertificate = { pending: true } | ({ pending: false } & IssuedCertificate);

export interface IssuedCertificate {
  /** Where the certificate with its key is. */
  secret: SecretReference;
  /** SHA-1 in upper-case hex, as Windows names it. */
  thumbprint: string;
  /** DNS names that it is for. */
  names: string[];
  notBefore: string;
  notAfter: string;
  validity: "valid" | "expired" | "expiring" | "not yet";
  selfSigned: boolean;
  /** Whether it says that it may be shown by a client, too. */
  forClients: boolean;
  /** By the policy: who issued it in the vault, what its secret is, whether the key is in it. */
  issuer: string;
  contentType: string;
  exportable: boolean;
  /** Thumbprints of the other versions. */
  earlier: string[];
}

export interface Certificates {
  /** URL of the ACME server's directory, where the deployment has one. */
  readonly acmeDirectory?: string | undefined;
  read(place: CertificatePlace): Promise<Observed<FoundCertificate>>;
  /** Whether the vault knows the issuer, so that it can be asked for certificates. */
  readIssuer(
    place: Pick<CertificatePlace, "entraTenantId" | "vaultUrl">,
    issuer: string,
  ): Promise<Observed<{ enabled: boolean }>>;
  /** Orders a new version. The key is made in the vault and never seen here. */
  begin(order: CertificateOrder, policy: CertificatePolicy, tags: Record<string, string>): Promise<Done | Begun>;
  /** The order that is under way already. */
  resume(order: CertificateOrder): Begun;
  /** What is to be signed, in DER, for the version that is on order from issuer `Unknown`, if it isn't there already; undefined where nothing is on order. */
  request(place: CertificatePlace): Promise<Buffer | "completed" | undefined>;
  /** Ends the order with what was signed: in DER, the key's own first. An order that has ended already stays as it did. */
  merge(place: CertificatePlace, chain: Buffer[]): Promise<void>;
  /** Gives up the order. */
  discard(place: CertificatePlace): Promise<void>;
  ownsOperation(operationUrl: string): boolean;
  /** One look at an order. */
  pollOperation(operation: { entraTenantId: string; operationUrl: string }): Promise<Polled>;
}

/** What is waited where the vault doesn't say. */
const DEFAULT_RETRY_AFTER_IN_SECONDS = 10;
/** The gateway's engine takes no certificate that has less left, and makes one of its own instead. */
export const LEAST_DAYS_LEFT = 15;
const DAY_IN_MILLISECONDS = 24 * 60 * 60 * 1000;
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";

export function createCertificates({
  environment,
  credentials,
  clock,
}: {
  environment: CloudEnvironment;
  credentials: Credentials;
  clock: Clock;
}): Certificates {
  const clientsOf = new WeakMap<TokenCredential, Map<string, Promise<CertificateClient>>>();

  const clientOf = ({
    vaultUrl,
    entraTenantId,
  }: Pick<CertificatePlace, "vaultUrl" | "entraTenantId">): Promise<CertificateClient> => {
    requireVaultOf(environment, vaultUrl);
    const credential = credentials.inTenant(entraTenantId);
    const known = clientsOf.get(credential) ?? new Map<string, Promise<CertificateClient>>();
    clientsOf.set(credential, known);
    const found = known.get(vaultUrl) ?? createCertificateClient(vaultUrl, credential, environment);
    known.set(vaultUrl, found);
    return found;
  };

  const reading = async <Actual>(
    what: string,
    place: Pick<CertificatePlace, "vaultUrl" | "entraTenantId">,
    get: (client: CertificateClient) => Promise<Actual>,
  ): Promise<Observed<Actual>> => {
    try {
      return present(await get(await clientOf(place)));
    } catch (cause) {
      if (statusOf(cause) === 404) return absent;
      const { code, message } = cause instanceof ControlPlaneError ? cause : vaultError(`reading ${what}`, cause);
      return unknown(code, message, statusOf(cause) === 403);
    }
  };

  return {
    read: (place) =>
      reading(`the certificate ${place.certificate}`, place, async (client): Promise<FoundCertificate> => {
        const newest = await client.getCertificate(place.certificate);
        if (newest.cer === undefined) return { pending: await inProgress(client, place.certificate) };
        const versions: CertificateProperties[] = [];
        for await (const version of client.listPropertiesOfCertificateVersions(place.certificate)) versions.push(version);
        const found = await accepted(client, place, newest, versions);
        const earlier = versions.filter(({ version }) => version !== found.properties.version).flatMap(thumbprintOf);
        return { pending: false, ...issued(place, found, clock.now()), earlier: earlier.toSorted() };
      }),
    readIssuer: (place, issuer) =>
      reading(`the issuer ${issuer}`, place, async (client) => ({ enabled: (await client.getIssuer(issuer)).enabled !== false })),
    async begin(place, policy, tags) {
      const client = await clientOf(place);
      let retryAfterInSeconds = DEFAULT_RETRY_AFTER_IN_SECONDS;
      try {
        const poller = await client.beginCreateCertificate(place.certificate, policy, {
          tags,
          onResponse: ({ headers }) => (retryAfterInSeconds = secondsFrom(headers.get("retry-after"))),
        });
        return poller.isDone() ? done : { ...orderOf(place), retryAfterInSeconds };
      } catch (cause) {
        if (isUnderWay(cause)) return orderOf(place);
        throw isRefusal(cause) ? refusalOf(cause) : vaultError(`ordering the certificate ${place.certificate}`, cause);
      }
    },
    resume: orderOf,
    async request(place) {
      const client = await clientOf(place);
      const poller = await client.getCertificateOperation(place.certificate, { resumeFrom: RUNNING }).catch((cause: unknown) => {
        if (statusOf(cause) === 404 || isRefusal(cause)) return undefined;
        throw vaultError(`reading the request of the certificate ${place.certificate}`, cause);
      });
      const { status, csr } = poller?.getOperationState().certificateOperation ?? {};
      if (status === "completed") return status;
      return status === "inProgress" && csr !== undefined ? Buffer.from(csr) : undefined;
    },
    async merge(place, chain) {
      const client = await clientOf(place);
      await client.mergeCertificate(place.certificate, chain).catch((cause: unknown) => {
        if (statusOf(cause) === 404) return;
        throw vaultError(`merging the certificate ${place.certificate}`, cause);
      });
    },
    async discard(place) {
      const client = await clientOf(place);
      await client.deleteCertificateOperation(place.certificate).catch((cause: unknown) => {
        if (statusOf(cause) === 404) return;
        throw vaultError(`giving up the order of the certificate ${place.certificate}`, cause);
      });
    },
    ownsOperation: (operationUrl) => ORDER.test(operationUrl),
    async pollOperation({ entraTenantId, operationUrl }) {
      const [, vaultUrl = "", certificate = ""] = ORDER.exec(operationUrl) ?? [];
      const client = await clientOf({ vaultUrl, entraTenantId });
      let retryAfterInSeconds = DEFAULT_RETRY_AFTER_IN_SECONDS;
      try {
        const poller = await client.getCertificateOperation(certificate, {
          resumeFrom: RUNNING,
          onResponse: ({ headers }) => (retryAfterInSeconds = secondsFrom(headers.get("retry-after"))),
        });
        if (!poller.isDone()) return { status: "running", retryAfterInSeconds };
        const { status } = poller.getOperationState().certificateOperation ?? {};
        return status === "completed" ? { status: "succeeded" } : failed(`the order ended as ${status}`);
      } catch (cause) {
        // Somebody has taken the order away: what is there now is read next.
        if (statusOf(cause) === 404) return { status: "succeeded" };
        if (isRefusal(cause)) return failed(cause.message);
        throw vaultError("asking how far the certificate is", cause);
      }
    },
  };
}

/** A poller that has begun asks for the order only, and not for the certificate before it. */
const RUNNING = JSON.stringify({ state: { isStarted: true } });
const ORDER = /^(.+)\/certificates\/([0-9a-zA-Z-]{1,127})\/pending$/;

const orderOf = ({ vaultUrl, certificate }: CertificatePlace): Begun => ({
  state: "begun",
  operationUrl: `${vaultUrl}/certificates/${certificate}/pending`,
  retryAfterInSeconds: DEFAULT_RETRY_AFTER_IN_SECONDS,
});

/**
 * The newest one, unless it is refused or for other names: then the newest of those that are neither, and are switched on. Where none is for
 * the name, the newest that is not refused, so that what is wrong with it can be told.
 */
async function accepted(
  client: CertificateClient,
  { certificate, refused = [], name }: CertificatePlace,
  newest: KeyVaultCertificateWithPolicy,
  versions: CertificateProperties[],
): Promise<KeyVaultCertificateWithPolicy> {
  const taken = (one: CertificateProperties): boolean => thumbprintOf(one).every((thumbprint) => !refused.includes(thumbprint));
  const fits = ({ cer }: KeyVaultCertificateWithPolicy): boolean =>
    name === undefined || (cer !== undefined && namesOf(new X509Certificate(Buffer.from(cer))).includes(name));
  let best = taken(newest.properties) ? newest : undefined;
  if (best && fits(best)) return best;
  const others = versions
    .filter((one) => one.version !== newest.properties.version && one.enabled !== false && taken(one))
    .toSorted((one, next) => (next.createdOn?.getTime() ?? 0) - (one.createdOn?.getTime() ?? 0));
  for (const { version } of others) {
    if (version === undefined) continue;
    const other = {
      ...(await client.getCertificateVersion(certificate, version)),
      ...(newest.policy && { policy: newest.policy }),
    };
    if (fits(other)) return other;
    best ??= other;
  }
  if (best === undefined) throw gone;
  return best;
}

const thumbprintOf = ({ x509ThumbprintString }: CertificateProperties): string[] =>
  x509ThumbprintString === undefined ? [] : [x509ThumbprintString.toUpperCase()];

/** An order that failed leaves a certificate without content behind, which the next order fills. */
async function inProgress(client: CertificateClient, certificate: string): Promise<true> {
  const poller = await client.getCertificateOperation(certificate, { resumeFrom: RUNNING }).catch((cause: unknown) => {
    if (isRefusal(cause)) throw gone;
    throw cause;
  });
  const { status } = poller.getOperationState().certificateOperation ?? {};
  if (status === "inProgress" || status === "completed") return true;
  if (status === "failed" || status === "cancelled") throw gone;
  throw new ControlPlaneError("VaultReplyMalformed", `the vault says nothing of the order of ${certificate}`, 502, true);
}
/** Read as what isn't there. */
const gone = Object.assign(new Error("the order has ended without a certificate"), { statusCode: 404 });

function issued(
  { vaultUrl }: CertificatePlace,
  { cer, policy, properties, secretId = "" }: KeyVaultCertificateWithPolicy,
  now: number,
): Omit<IssuedCertificate, "earlier"> {
  const certificate = new X509Certificate(Buffer.from(cer ?? []));
  const [version = "", name = ""] = secretId.split("/").reverse();
  if (properties.enabled === false || name === "")
    throw new ControlPlaneError("CertificateDisabled", "the newest version of the certificate is switched off in the vault", 409);
  const usages = certificate.keyUsage as string[] | undefined;
  return {
    secret: { vaultUrl, name, version },
    thumbprint: certificate.fingerprint.replaceAll(":", ""),
    names: namesOf(certificate),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    validity: validityOf(certificate, now),
    selfSigned: certificate.issuer === certificate.subject && certificate.verify(certificate.publicKey),
    forClients: usages === undefined || usages.includes(CLIENT_AUTHENTICATION),
    issuer: policy?.issuerName ?? "Unknown",
    contentType: policy?.contentType ?? "",
    exportable: policy?.exportable !== false,
  };
}

const namesOf = ({ subjectAltName }: X509Certificate): string[] =>
  (subjectAltName ?? "").split(", ").flatMap((one) => (one.startsWith("DNS:") ? [one.slice(4).toLowerCase()] : []));

function validityOf({ validFromDate, validToDate }: X509Certificate, now: number): IssuedCertificate["validity"] {
  if (validFromDate.getTime() > now) return "not yet";
  const left = validToDate.getTime() - now;
  if (left <= 0) return "expired";
  return left < LEAST_DAYS_LEFT * DAY_IN_MILLISECONDS ? "expiring" : "valid";
}

const failed = (message: string): Polled => ({ status: "failed", error: { code: "CertificateRefused", message } });
const refusalOf = ({ message }: Error): ControlPlaneError =>
  new ControlPlaneError("CertificateRefused", `the issuer refused the certificate: ${message}`, 409);

/** The SDK's pollers make an error of their own of what the issuer says; what a request met is a RestError. */
const isRefusal = (cause: unknown): cause is Error =>
  cause instanceof Error && cause.name === "Error" && statusOf(cause) === undefined && !("code" in cause);
/** One order at a time: whoever comes second waits for the first one. */
const isUnderWay = (cause: unknown): boolean =>
  statusOf(cause) === 409 && cause instanceof Error && cause.message.includes("pending key vault certificate");
const statusOf = (cause: unknown): number | undefined => (cause as { statusCode?: number } | undefined)?.statusCode;
const secondsFrom = (header: string | undefined): number => {
  const seconds = Number(header ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds : DEFAULT_RETRY_AFTER_IN_SECONDS;
};

async function createCertificateClient(
  vaultUrl: string,
  credential: TokenCredential,
  environment: CloudEnvironment,
): Promise<CertificateClient> {
  const { CertificateClient } = await import("@azure/keyvault-certificates");
  return new CertificateClient(vaultUrl, credential, {
    disableChallengeResourceVerification: !environment.vault.verifyChallenge,
    retryOptions: { maxRetries: 0 },
  });
}

/** Secrets in Key Vault: written once, read at the moment of use, and everywhere else a reference or a fingerprint. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { PipelinePolicy } from "@azure/core-rest-pipeline";
import type { SecretClient } from "@azure/keyvault-secrets";
import type { TokenCredential } from "@azure/identity";
import { armFailureOf } from "../azure/errors.ts";
import { noteRequest } from "../cloud-requests.ts";
import type { Credentials } from "../entra/credentials.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import type { SecretReference } from "./reference.ts";

/** Stands for a secret that is not the one we know: 8 hex digits, salted by the name of the secret it was compared with. */
export interface Fingerprint {
  fingerprint: string;
}

export type Sealed = SecretReference | Fingerprint;

export interface SecretVersion {
  reference: SecretReference;
  tags: Record<string, string>;
  createdOn: Date | undefined;
  expiresOn: Date | undefined;
}

export interface Vaults {
  /** Base URL of a vault by its name. */
  urlOf(vaultName: string): string;
  /** `entraTenantId` is the tenant of the vault's subscription; without one it is the platform's own vault, read as the function app itself. */
  read(reference: SecretReference, entraTenantId?: string): Promise<string>;
  /** The oldest version that has a value: what several writers that met have in common. Undefined while there is none. */
  first(vaultUrl: string, name: string, entraTenantId?: string): Promise<SecretReference | undefined>;
  /** The newest version that has a value: what somebody who keeps a secret there himself wants to be read. Undefined while there is none. */
  newest(vaultUrl: string, name: string, entraTenantId?: string): Promise<SecretReference | undefined>;
  /** Switches a version off: nobody reads it any more. Key Vault removes no single version. */
  disable(reference: SecretReference, entraTenantId?: string): Promise<void>;
  /** Adds a version. A repeated call adds another one: ask for `first` before where that matters. */
  write(secret: {
    vaultUrl: string;
    name: string;
    value: string;
    entraTenantId?: string | undefined;
    tags?: Record<string, string> | undefined;
    /** From it on the vault tells of the coming expiry (SecretNearExpiry, 30 days before). */
    expiresOn?: Date | undefined;
  }): Promise<SecretReference>;
  /** All versions with their tags; those without a value any more are left out. */
  versions(vaultUrl: string, name: string, entraTenantId?: string): Promise<SecretVersion[]>;
  /** The reference whose value an observed secret has, else its fingerprint: what may leave an observation. */
  seal(value: string, references: readonly SecretReference[], entraTenantId?: string): Promise<Sealed>;
}

export function createVaults({ environment, credentials }: { environment: CloudEnvironment; credentials: Credentials }): Vaults {
  const clientsOf = new WeakMap<TokenCredential, Map<string, Promise<SecretClient>>>();

  const clientOf = (vaultUrl: string, entraTenantId: string | undefined): Promise<SecretClient> => {
    requireVaultOf(environment, vaultUrl);
    const credential = entraTenantId === undefined ? credentials.own : credentials.inTenant(entraTenantId);
    const known = clientsOf.get(credential) ?? new Map<string, Promise<SecretClient>>();
    clientsOf.set(credential, known);
    const found = known.get(vaultUrl) ?? createSecretClient(vaultUrl, credential, environment);
    known.set(vaultUrl, found);
    return found;
  };

  const call = async <T>(
    action: string,
    vaultUrl: string,
    entraTenantId: string | undefined,
    send: (client: SecretClient) => Promise<T>,
  ): Promise<T> => {
    const client = await clientOf(vaultUrl, entraTenantId);
    try {
      return await send(client);
    } catch (cause) {
      throw vaultError(action, cause);
    }
  };

  const read: Vaults["read"] = async ({ vaultUrl, name, version }, entraTenantId) => {
    const { value } = await call(`reading the secret ${name}`, vaultUrl, entraTenantId, (client) =>
      client.getSecret(name, { version }),
    );
    if (value === undefined) throw new ControlPlaneError("SecretMissing", `the secret ${name} has no value`, 502);
    return value;
  };

  const write: Vaults["write"] = async ({ vaultUrl, name, value, entraTenantId, tags, expiresOn }) => {
    const { properties } = await call(`writing the secret ${name}`, vaultUrl, entraTenantId, (client) =>
      client.setSecret(name, value, {
        ...(tags === undefined ? {} : { tags }),
        ...(expiresOn === undefined ? {} : { expiresOn }),
      }),
    );
    return referenceOf(vaultUrl, name, properties.version);
  };

  const versions: Vaults["versions"] = async (vaultUrl, name, entraTenantId) => {
    try {
      return await call(`listing the versions of the secret ${name}`, vaultUrl, entraTenantId, async (client) => {
        const found: SecretVersion[] = [];
        for await (const { version, enabled, tags = {}, createdOn, expiresOn } of client.listPropertiesOfSecretVersions(name))
          if (enabled !== false) found.push({ reference: referenceOf(vaultUrl, name, version), tags, createdOn, expiresOn });
        return found;
      });
    } catch (error) {
      return unlessMissing(error, []);
    }
  };

  return {
    urlOf: (vaultName) => environment.vault.url.replace("{name}", vaultName),
    read,
    write,
    versions,
    first: async (vaultUrl, name, entraTenantId) => oldestFirst(await versions(vaultUrl, name, entraTenantId))[0]?.reference,
    newest: async (vaultUrl, name, entraTenantId) => oldestFirst(await versions(vaultUrl, name, entraTenantId)).at(-1)?.reference,
    disable: ({ vaultUrl, name, version }, entraTenantId) =>
      call(`switching off a version of the secret ${name}`, vaultUrl, entraTenantId, async (client) => {
        await client.updateSecretProperties(name, version, { enabled: false });
      }),
    async seal(value, references, entraTenantId) {
      for (const reference of references) if (sameSecret(await read(reference, entraTenantId), value)) return reference;
      return fingerprint(value, references[0]?.name ?? "");
    },
  };
}

/** The vault counts whole seconds: of one second's versions the name decides, for everybody alike. */
export function oldestFirst(versions: SecretVersion[]): SecretVersion[] {
  const age = ({ createdOn }: SecretVersion): number => createdOn?.getTime() ?? 0;
  return versions.toSorted((one, other) => age(one) - age(other) || one.reference.version.localeCompare(other.reference.version));
}

function unlessMissing<None>(error: unknown, none: None): None {
  if (error instanceof ControlPlaneError && error.code === "SecretMissing") return none;
  throw error;
}

/** Eight hex digits tell two values apart and tell nobody a value: 32 bits of a salted hash fit countless secrets. */
export const fingerprint = (value: string, salt: string): Fingerprint => ({
  fingerprint: createHash("sha256").update(`${salt}\n${value}`).digest("hex").slice(0, 8),
});

function sameSecret(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function referenceOf(vaultUrl: string, name: string, version: string | undefined): SecretReference {
  if (version === undefined)
    throw new ControlPlaneError("VaultReplyMalformed", `the vault named no version of the secret ${name}`, 502, true);
  return { vaultUrl, name, version };
}

/** References come from storage, and a vault's URL is where our token goes: only to vaults of this cloud environment. */
export function requireVaultOf(environment: CloudEnvironment, vaultUrl: string): void {
  const [before = "", after = ""] = environment.vault.url.split("{name}");
  const name = vaultUrl.slice(before.length, vaultUrl.length - after.length);
  if (vaultUrl.startsWith(before) && vaultUrl.endsWith(after) && /^[A-Za-z0-9-]{3,24}$/.test(name)) return;
  throw new ControlPlaneError("VaultForeign", "the secret's vault is not one of this cloud environment", 400);
}

async function createSecretClient(
  vaultUrl: string,
  credential: TokenCredential,
  environment: CloudEnvironment,
): Promise<SecretClient> {
  const { SecretClient } = await import("@azure/keyvault-secrets");
  return new SecretClient(vaultUrl, credential, {
    disableChallengeResourceVerification: !environment.vault.verifyChallenge,
    additionalPolicies: [{ policy: requestIds, position: "perRetry" }],
    // Waiting belongs to durable timers; the SDK would sleep on a Retry-After inside the activity.
    retryOptions: { maxRetries: 0 },
  });
}

const requestIds: PipelinePolicy = {
  name: "requestIds",
  async sendRequest(request, next) {
    const response = await next(request);
    if (request.method !== "GET" && response.status < 300) noteRequest("vault", response.headers.get("x-ms-request-id"));
    return response;
  },
};

/** A role assignment takes minutes to reach a vault, and a new vault's name takes a while to resolve: both are worth another try. */
export function vaultError(action: string, cause: unknown): ControlPlaneError {
  const { status, code, message, retryAfterInSeconds, accessMissing } = armFailureOf(cause);
  const innerCode =
    /ForbiddenByRbac/.exec(`${message} ${JSON.stringify((cause as { details?: unknown }).details ?? "")}`)?.[0] ?? code;
  const phrase = `${action}: ${innerCode}: ${message}`;
  const options = { cause, retryAfterInSeconds };
  if (status === 404) return new ControlPlaneError("SecretMissing", phrase, 404, false, options);
  if (status === 403) return new ControlPlaneError("VaultAccessSettling", phrase, 503, true, options);
  if (accessMissing || status === 401) return new ControlPlaneError("VaultAccessMissing", phrase, 403, false, options);
  if (status === 429) return new ControlPlaneError("VaultBusy", phrase, 503, true, options);
  if (status === undefined || status === 408 || status >= 500)
    return new ControlPlaneError("VaultUnavailable", phrase, 503, true, options);
  return new ControlPlaneError("VaultRefused", phrase, 502, status === 409, options);
}

/**
 * Simulated Key Vault, under `/vaults/{name}`: challenge, RBAC, and the data plane of secrets: versions, soft delete.
 *
 * Collection `vault.secrets`, keyed `${vault}/${secret}`, both lower case; a document has all versions and, while deleted, when.
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { redacted } from "../redaction.ts";
import { createSettling } from "../settling.ts";
import type { Platform, SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import { type Call, idBase, page, type Vault } from "./call.ts";
import { createCertificateStore } from "./certificates.ts";
import { forbidden, forbiddenByRole, managedByCertificate, refused, secretNotFound, unauthorized } from "./errors.ts";
import { readPem } from "./pkcs12.ts";

interface Version {
  id: string;
  value: string;
  contentType?: string;
  /** Made by a certificate of this name, whose life it shares. */
  managed?: boolean;
  tags?: Record<string, string>;
  enabled: boolean;
  /** Seconds since 1970, like all times here. */
  created: number;
  updated: number;
  notBefore?: number;
  expires?: number;
}

interface Secret {
  name: string;
  /** Oldest first. */
  versions: Version[];
  deletedAt?: number;
}

const secretsOfficer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7";
const secretsUser = "4633458b-17de-408a-b874-0445c86b69e6";
const certificatesOfficer = "a4417e6f-fecd-4de8-b567-7b0420556985";
const reader = "21090545-7ca7-4776-b22c-e363652d74d2";

/** Who may do what: the built-in roles' data actions ("Azure role-based access control for Key Vault", built-in roles). */
function rolesFor(action: string): string[] {
  if (action.startsWith("certificate")) return action.endsWith("/read") ? [reader, certificatesOfficer] : [certificatesOfficer];
  if (action === "secrets/getSecret") return [secretsUser, secretsOfficer];
  return action === "secrets/readMetadata" ? [reader, secretsUser, secretsOfficer] : [secretsOfficer];
}

const recoverableDays = 90;
const maximumSize = 25 * 1024;

const attributes = z.object({
  enabled: z.boolean().optional(),
  nbf: z.number().int().optional(),
  exp: z.number().int().optional(),
});
const changeSchema = z.object({
  contentType: z.string().max(255).optional(),
  attributes: attributes.optional(),
  tags: z.record(z.string(), z.string()).optional(),
});
const newSecretSchema = changeSchema.extend({ value: z.string() });

/** The vault of Gatehouse itself; it is not in any customer's subscription, so ARM doesn't know it. */
export const platformVaultName = "gatehouse";

export function createVault(platform: Platform): Simulator {
  const secrets = platform.collection<Secret>("vault.secrets");
  for (const { versions } of secrets.values()) for (const { value } of versions) platform.secrets.add(value);
  const settling = createSettling(platform);
  const seconds = (): number => Math.floor(platform.now() / 1000);

  function findVault(name: string): Vault | undefined {
    if (name === platformVaultName) {
      const { homeTenantId, managedIdentity } = platform.identity;
      return {
        name,
        id: `/subscriptions/${homeTenantId}/resourcegroups/gatehouse/providers/microsoft.keyvault/vaults/${name}`,
        tenantId: homeTenantId,
        holds: (principalId, role) =>
          principalId === managedIdentity.principalId && (role === secretsOfficer || role === certificatesOfficer),
      };
    }
    const known = platform.peers.vaultNamed?.(name);
    return (
      known && {
        ...known,
        name,
        holds: (principalId, role) => platform.peers.holdsRole?.(principalId, role, known.id.toLowerCase()) ?? false,
      }
    );
  }

  /** Every answer names itself. */
  async function handle(request: SimulatedRequest): Promise<SimulatedResponse> {
    const answer = await answered(request);
    return { ...answer, headers: { "x-ms-request-id": randomUUID(), ...answer.headers } };
  }

  async function answered(request: SimulatedRequest): Promise<SimulatedResponse> {
    const [, vaults, vaultName = "", ...path] = request.url.pathname.split("/").map(decodeURIComponent);
    const vault = vaults === "vaults" ? findVault(vaultName.toLowerCase()) : undefined;
    // In the cloud the name of a vault that isn't there doesn't resolve.
    if (!vault) return refused(404, "VaultNotFound", `There is no vault ${vaultName}.`);
    const { authorityHost, vault: where } = platform.environment;
    const challenge = `Bearer authorization="${authorityHost}/${vault.tenantId}", resource="${where.audience}"`;
    const claims = await platform.verify(request, where.audience);
    if (!claims) return unauthorized(challenge, request.headers["authorization"] === undefined ? "missing" : "invalid");
    if (claims.tid !== vault.tenantId) return unauthorized(challenge, "issuer");
    if (!/^(\d+\.\d+|\d{4}-\d\d-\d\d)/.test(request.url.searchParams.get("api-version") ?? ""))
      return refused(400, "BadParameter", "api-version must be specified");
    const call = { vault, request, claims, audience: where.audience };
    return path[0]?.endsWith("certificates") ? certificates.route(call, path) : route(call, path);
  }

  function route(call: Call, [collection = "", rawName, rest, extra]: string[]): SimulatedResponse {
    const { method } = call.request;
    const name = rawName ?? "";
    if (extra !== undefined || (name !== "" && !/^[0-9a-zA-Z-]{1,127}$/.test(name))) {
      return refused(400, "BadParameter", `The request URI contains an invalid name: ${name}`);
    }
    switch (
      `${method} ${collection}${name === "" ? "" : "/name"}${rest === undefined ? "" : rest === "versions" || rest === "recover" ? `/${rest}` : "/version"}`
    ) {
      case "PUT secrets/name":
        return allowed(call, "setSecret", name) ?? setSecret(call, name);
      case "GET secrets/name":
      case "GET secrets/name/version":
        return allowed(call, "getSecret", name) ?? getSecret(call, name, rest);
      case "PATCH secrets/name":
      case "PATCH secrets/name/version":
        return allowed(call, "update", name) ?? updateSecret(call, name, rest);
      case "GET secrets/name/versions":
        return allowed(call, "readMetadata", name) ?? listVersions(call, name);
      case "GET secrets":
        return allowed(call, "readMetadata") ?? listSecrets(call, false);
      case "DELETE secrets/name":
        return allowed(call, "delete", name) ?? deleteSecret(call, name);
      case "GET deletedsecrets":
        return allowed(call, "readMetadata") ?? listSecrets(call, true);
      case "GET deletedsecrets/name":
        return allowed(call, "readMetadata", name) ?? getDeleted(call, name);
      case "POST deletedsecrets/name/recover":
        return allowed(call, "recover", name) ?? recover(call, name);
      case "DELETE deletedsecrets/name":
        return allowed(call, "purge", name) ?? purge(call, name);
      default:
        return refused(405, "MethodNotAllowed", `${method} is not part of the simulated vault's ${collection}.`);
    }
  }

  const allowed = (call: Call, action: string, name?: string): SimulatedResponse | undefined =>
    permitted(call, `secrets/${action}`, name);

  /** A role may be held on the vault, above it, or on the one object. `action` is the data action below `Microsoft.KeyVault/vaults`. */
  function permitted({ vault, claims }: Call, action: string, name?: string): SimulatedResponse | undefined {
    const [collection = ""] = action.split("/");
    const object = name === undefined ? undefined : `${vault.id}/${collection}/${name}`.toLowerCase();
    const held = rolesFor(action).find((role) => vault.holds(claims.oid, role) || holdsOn(vault, claims.oid, role, object));
    // A role assignment takes its time from Azure Resource Manager to the vault ("Azure role-based access control for Key Vault").
    const effective = vault.name === platformVaultName || !settling.unseenAtFirst(`vault role/${vault.id}/${claims.oid}/${held}`);
    if (held !== undefined && effective) return undefined;
    return forbiddenByRole({ claims, resource: object ?? vault.id.toLowerCase(), vault: vault.name, action: dataAction(action) });
  }
  const holdsOn = (vault: Vault, principalId: string, role: string, object: string | undefined): boolean =>
    object !== undefined && vault.name !== platformVaultName && platform.peers.holdsRole?.(principalId, role, object) === true;

  const key = ({ vault }: Call, name: string): string => `${vault.name}/${name.toLowerCase()}`;
  const present = (call: Call, name: string): Secret | undefined => {
    const secret = secrets.get(key(call, name));
    return secret?.deletedAt === undefined ? secret : undefined;
  };
  const deleted = (call: Call, name: string): (Secret & { deletedAt: number }) | undefined => {
    const secret = secrets.get(key(call, name));
    return secret?.deletedAt === undefined ? undefined : { ...secret, deletedAt: secret.deletedAt };
  };

  function setSecret(call: Call, name: string): SimulatedResponse {
    const parsed = newSecretSchema.safeParse(call.request.body);
    if (!parsed.success)
      return refused(400, "BadParameter", `The secret's bundle is malformed: ${z.prettifyError(parsed.error)}`);
    const { value, contentType, tags, attributes: { enabled = true, nbf, exp } = {} } = parsed.data;
    // Known before anything can fail, so that no record shows it.
    platform.secrets.add(value);
    if (Buffer.byteLength(value) > maximumSize) return refused(400, "BadParameter", "The length of the value is over 25 kB.");
    if (deleted(call, name)) {
      return refused(
        409,
        "Conflict",
        `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.`,
        "ObjectIsDeletedButRecoverable",
      );
    }
    if (present(call, name)?.versions.at(-1)?.managed) return managedByCertificate(name);
    const version: Version = {
      id: randomUUID().replaceAll("-", ""),
      value,
      ...(contentType === undefined ? {} : { contentType }),
      ...(tags === undefined ? {} : { tags }),
      enabled,
      created: seconds(),
      updated: seconds(),
      ...(nbf === undefined ? {} : { notBefore: nbf }),
      ...(exp === undefined ? {} : { expires: exp }),
    };
    const secret = present(call, name) ?? { name, versions: [] };
    secrets.set(key(call, name), { ...secret, versions: [...secret.versions, version] });
    return { status: 200, body: bundle(call, secret.name, version), effect: "write" };
  }

  function getSecret(call: Call, name: string, versionId: string | undefined): SimulatedResponse {
    const secret = present(call, name);
    const version = secret && findVersion(secret, versionId);
    if (!version) return secretNotFound(name);
    if (!version.enabled) return forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret.");
    return { status: 200, body: bundle(call, secret.name, version) };
  }

  function updateSecret(call: Call, name: string, versionId: string | undefined): SimulatedResponse {
    const parsed = changeSchema.safeParse(call.request.body ?? {});
    if (!parsed.success) return refused(400, "BadParameter", `The change is malformed: ${z.prettifyError(parsed.error)}`);
    const secret = present(call, name);
    const version = secret && findVersion(secret, versionId);
    if (!version) return secretNotFound(name);
    const { contentType, tags, attributes: { enabled, nbf, exp } = {} } = parsed.data;
    const changed: Version = {
      ...version,
      ...(contentType === undefined ? {} : { contentType }),
      ...(tags === undefined ? {} : { tags }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(nbf === undefined ? {} : { notBefore: nbf }),
      ...(exp === undefined ? {} : { expires: exp }),
      updated: seconds(),
    };
    secrets.set(key(call, name), { ...secret, versions: secret.versions.map((one) => (one.id === version.id ? changed : one)) });
    return { status: 200, body: describe(call, secret.name, changed), effect: "write" };
  }

  function listVersions(call: Call, name: string): SimulatedResponse {
    const secret = present(call, name);
    if (!secret) return secretNotFound(name);
    return page(
      call,
      secret.versions.map((version) => describe(call, secret.name, version)),
    );
  }

  function listSecrets(call: Call, inBin: boolean): SimulatedResponse {
    const prefix = `${call.vault.name}/`;
    const all = secrets.entries().filter(([id, secret]) => id.startsWith(prefix) && (secret.deletedAt !== undefined) === inBin);
    const items = all
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([, secret]) => {
        const version = findVersion(secret, undefined);
        if (!version) return [];
        const item = { ...describe(call, secret.name, version), id: `${idBase(call)}/secrets/${secret.name}` };
        return secret.deletedAt === undefined ? [item] : [{ ...item, ...bin(call, secret.name, secret.deletedAt) }];
      });
    return page(call, items);
  }

  function deleteSecret(call: Call, name: string): SimulatedResponse {
    const secret = present(call, name);
    const version = secret && findVersion(secret, undefined);
    if (!version) return secretNotFound(name);
    if (version.managed) return managedByCertificate(name);
    const deletedAt = seconds();
    secrets.set(key(call, name), { ...secret, deletedAt });
    return {
      status: 200,
      body: { ...describe(call, secret.name, version), ...bin(call, secret.name, deletedAt) },
      effect: "write",
    };
  }

  function getDeleted(call: Call, name: string): SimulatedResponse {
    const secret = deleted(call, name);
    const version = secret && findVersion(secret, undefined);
    if (!version) return secretNotFound(name);
    return {
      status: 200,
      body: { ...describe(call, secret.name, version), ...bin(call, secret.name, secret.deletedAt) },
    };
  }

  function recover(call: Call, name: string): SimulatedResponse {
    const secret = deleted(call, name);
    const version = secret && findVersion(secret, undefined);
    if (!version) return secretNotFound(name);
    secrets.set(key(call, name), { name: secret.name, versions: secret.versions });
    return { status: 200, body: describe(call, secret.name, version), effect: "write" };
  }

  function purge(call: Call, name: string): SimulatedResponse {
    if (!deleted(call, name)) return secretNotFound(name);
    if (call.vault.purgeProtection)
      return forbidden("ForbiddenByPolicy", "Operation purge is not allowed because purge protection is enabled for this vault.");
    secrets.delete(key(call, name));
    return { status: 204, effect: "write" };
  }

  const certificates = createCertificateStore({
    platform,
    permitted,
    knows: (name) => findVault(name) !== undefined,
    putSecret: (vault, { name, id, value, contentType, notBefore, expires }) => {
      const known = secrets.get(`${vault}/${name.toLowerCase()}`);
      const times = { created: seconds(), updated: seconds(), notBefore, expires };
      const version: Version = { id, value, contentType, enabled: true, managed: true, ...times };
      secrets.set(`${vault}/${name.toLowerCase()}`, { name, versions: [...(known?.versions ?? []), version] });
    },
    deleteSecret: (vault, name, deletedAt) => {
      const known = secrets.get(`${vault}/${name.toLowerCase()}`);
      if (!known) return;
      const { deletedAt: _before, ...rest } = known;
      secrets.set(`${vault}/${name.toLowerCase()}`, { ...rest, ...(deletedAt === undefined ? {} : { deletedAt }) });
    },
  });
  platform.peers.importCertificate = (vault, name, pem) => {
    const contents = readPem(pem);
    return contents && certificates.importByHand(vault.toLowerCase(), name, contents);
  };

  platform.peers.bringNearExpiry = (vaultName, name, expires) => {
    const vault = findVault(vaultName.toLowerCase());
    const id = `${vaultName.toLowerCase()}/${name.toLowerCase()}`;
    const secret = secrets.get(id);
    const newest = secret && findVersion(secret, undefined);
    if (!vault || !newest || secret.deletedAt !== undefined) return undefined;
    const changed: Version = { ...newest, expires, updated: seconds() };
    secrets.set(id, { ...secret, versions: secret.versions.map((one) => (one.id === newest.id ? changed : one)) });
    const host = `${vault.name}.${new URL(platform.environment.vault.audience).hostname}`;
    return {
      vault: vault.name,
      resourceId: vault.id,
      tenantId: vault.tenantId,
      secretId: `https://${host}/secrets/${secret.name}/${newest.id}`,
      name: secret.name,
      version: newest.id,
      ...(newest.notBefore === undefined ? {} : { notBefore: newest.notBefore }),
      expires,
    };
  };

  return {
    name: "vault",
    handle,
    state: () =>
      Object.fromEntries(
        secrets
          .entries()
          .map(([id, { versions, ...secret }]) => [
            id,
            { ...secret, versions: versions.map((version) => ({ ...version, value: redacted })) },
          ]),
      ),
  };
}

/** Without a version the newest one, disabled or not. */
const findVersion = ({ versions }: Secret, id: string | undefined): Version | undefined =>
  id === undefined || id === "" ? versions.at(-1) : versions.find((version) => version.id === id);

/** A secret with its value; everywhere else it is described only. */
const bundle = (call: Call, name: string, version: Version): object => ({
  value: version.value,
  ...describe(call, name, version),
});

const describe = (call: Call, name: string, version: Version): object => {
  const { id, contentType, tags, enabled, created, updated, notBefore, expires, managed } = version;
  return {
    ...(managed ? { managed, kid: `${idBase(call)}/keys/${name}/${id}` } : {}),
    ...(contentType === undefined ? {} : { contentType }),
    id: `${idBase(call)}/secrets/${name}/${id}`,
    attributes: {
      enabled,
      ...(notBefore === undefined ? {} : { nbf: notBefore }),
      ...(expires === undefined ? {} : { exp: expires }),
      created,
      updated,
      recoveryLevel: call.vault.purgeProtection ? "Recoverable" : "Recoverable+Purgeable",
      recoverableDays,
    },
    ...(tags === undefined ? {} : { tags }),
  };
};

const bin = (call: Call, name: string, deletedAt: number): object => ({
  recoveryId: `${idBase(call)}/deletedsecrets/${name}`,
  deletedDate: deletedAt,
  scheduledPurgeDate: deletedAt + recoverableDays * 24 * 60 * 60,
});

/** Deleting, reading and writing are no `/action` (Azure permissions for Security, Microsoft.KeyVault). */
const dataAction = (action: string): string =>
  `Microsoft.KeyVault/vaults/${action}${/\/(delete|read|write)$/.test(action) ? "" : "/action"}`;

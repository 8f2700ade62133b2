/** What a rotation does beside the guest: each activity may run again, and a late one that woke up after its time harms nothing. */
import type { Failure } from "../../shared/durable/steps.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { type MailRoute, mailRouteOf, type MailRouteQuestion } from "../../shared/desired/mail-route.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import {
  type CredentialKey,
  type CredentialRecord,
  type CredentialVersion,
  guestGenerationOf,
  isClientSecret,
  isPassword,
  keptCertificateOf,
  mayBegin,
  secretsInUse,
  writingDocument,
} from "../../shared/stores/credentials.ts";
import { type ClientSecretName, type CredentialName, secretNames } from "../../shared/vault/credential-names.ts";
import { oldestFirst } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { RotationWorld } from "./world.ts";

export type RotationActivities = ReturnType<typeof createRotationActivities>;

/** Begins the display name of every client secret that we make, so that others' are told from ours. */
export const OURS = "gatehouse-";
const nameOf = (operationId: string): string => `${OURS}${operationId}`;

/** Each has its own: one that was rotated says nothing of one that could not be. */
const conditionOf: Record<CredentialName, string> = {
  clientSecret: "CredentialsFresh",
  exchangeWebServicesSecret: "MailboxCredentialFresh",
  loopGuid: "LoopGuidFresh",
  administratorPassword: "AdministratorPasswordFresh",
  sqlAdministratorPassword: "SqlAdministratorPasswordFresh",
  smtpCertificate: "SmtpCertificateFresh",
};

/** What the condition says when it is true. */
function freshness(name: CredentialName, current: CredentialVersion | undefined, oldUntil: string | undefined): string {
  if (isClientSecret(name)) return `the client secret is good until ${current?.expiresAt}`;
  if (isPassword(name)) return "the gateways were seen to take the new password";
  const [said, kept] =
    name === "loopGuid"
      ? ["the loop GUID was replaced", "rules accept the one before"]
      : [`the certificate is good until ${current?.expiresAt}`, "machines keep the one before"];
  return oldUntil === undefined ? said : `${said}; ${kept} until ${oldUntil}`;
}

/** What the guest's document holds of the tenant's other credentials: how often they were rotated, and their references. */
export interface Beside extends Partial<Record<ClientSecretName, SecretReference>> {
  rotations: number;
  keptCertificate?: string;
}

export interface Claim {
  claimed: boolean;
  flipped?: CredentialVersion;
  beside?: Beside;
  /** What another rotation has changed of the ground since this one was begun. */
  ground?: Pick<Ground, "loopGuid" | "certificate">;
  /** Of a password: what accounts have until this one is given to them. */
  old?: SecretReference;
}

const besideOf = (others: CredentialRecord[]): Beside => ({
  rotations: guestGenerationOf(others) - 1,
  ...secretsInUse(others),
  ...keptCertificateOf(others),
});

interface Wanted {
  generation: number;
  emergency?: boolean | undefined;
}

interface Step {
  work: Work;
  key: CredentialKey;
}

export const createRotationActivities = (world: RotationWorld) => {
  const { vaults, passwords, checkClientSecret, clock, stores } = world;
  const { operations, credentials, tenants } = stores;
  const recorded = recordingSteps(world.stores);
  const progress = ({ partnerId, operationId }: Work, change: Parameters<typeof operations.recordProgress>[2]) =>
    operations.recordProgress(partnerId, operationId, change);

  async function credentialOf(key: CredentialKey) {
    const found = await credentials.find(key);
    if (!found) throw new ControlPlaneError("CredentialNotFound", `there is no credential ${key.name} of ${key.tenantId}`, 404);
    return found;
  }

  return {
    /**
     * One rotation a credential: whoever writes the row first goes on, everybody else is told that there is nothing to do. `flipped` is
     * the secret of an earlier try that came as far as that: only the old one is left to revoke. `beside` is what the guest's document
     * holds beside this credential.
     */
    claimRotation: async ({ work, key, generation, emergency }: Step & Wanted): Promise<Claim> => {
      const { operationId } = work;
      const { rotation, current, ...credential } = await credentials.change(key, (known) =>
        mayBegin(known, generation, emergency) ? { rotation: { operationId, generation } } : undefined,
      );
      const claimed = rotation?.operationId === operationId;
      if (!claimed) {
        await progress(work, { status: "Canceled" });
        return { claimed };
      }
      const others = (await credentials.list(key.partnerId, key.tenantId)).filter(
        ({ name }) => name !== key.name && !isPassword(name),
      );
      const flipped = current && credential.generation === generation ? current : undefined;
      if (!flipped && !isPassword(key.name)) await waitFor(others, work, key);
      await progress(work, { status: "Running" });
      return {
        claimed,
        ...(flipped && { flipped }),
        ...(others.length > 0 && { beside: besideOf(others) }),
        ...(others.some(({ name }) => !isClientSecret(name)) && { ground: await groundOf(key) }),
        ...(isPassword(key.name) && current && { old: current.reference }),
      };
    },

    /**
     * Makes a secret and stores it at once: its text is shown this one time. The first version that this generation stored is used again,
     * however the last try ended, and by whoever made another one meanwhile: a machine that is told late of this generation is told the same. A secret whose text was lost between the two is nobody's; it goes with the old one, never here.
     */
    createClientSecret: ({
      work,
      key,
      generation,
      spec,
      lifetimeInSeconds,
    }: Step & { generation: number; spec: TenantSpec; lifetimeInSeconds: number }): Promise<CredentialVersion> =>
      recorded(work, "createSecret", async (begin) => {
        const { vaultUrl, objectId } = await credentialOf(key);
        const organization = spec.microsoft365.tenantId;
        const entraTenantId = spec.azure.tenantId;
        const name = secretNames[key.name];
        const live = new Set((await passwords.list(organization, objectId)).map(({ keyId }) => keyId));
        // One that was stored long ago by a try that failed would be due again as soon as it is used.
        const freshEnough = clock.now() + (lifetimeInSeconds / 2) * 1000;
        const stored = async (): Promise<CredentialVersion | undefined> => {
          for (const { reference, tags, createdOn, expiresOn } of oldestFirst(
            await vaults.versions(vaultUrl, name, entraTenantId),
          )) {
            const { "gatehouse-generation": madeFor, "gatehouse-key": keyId } = tags;
            if (madeFor !== String(generation) || keyId === undefined || !live.has(keyId)) continue;
            if (expiresOn !== undefined && expiresOn.getTime() >= freshEnough)
              return {
                reference,
                keyId,
                ...(createdOn && { madeAt: createdOn.toISOString() }),
                expiresAt: expiresOn.toISOString(),
              };
          }
          return undefined;
        };
        const known = await stored();
        if (known) return { result: known, change: "unchanged" };
        const expiresOn = new Date(Math.floor(clock.now() / 1000 + lifetimeInSeconds) * 1000);
        await begin({ action: "create", target: { kind: "clientSecret", name } });
        const made = await passwords.add(organization, objectId, {
          displayName: nameOf(work.operationId),
          endDateTime: expiresOn.toISOString(),
        });
        const tags = {
          "gatehouse-generation": String(generation),
          "gatehouse-key": made.keyId,
          "gatehouse-partner": key.partnerId,
          "gatehouse-tenant": key.tenantId,
        };
        const reference = await vaults.write({ vaultUrl, name, value: made.secretText, entraTenantId, tags, expiresOn });
        live.add(made.keyId);
        const madeAt = new Date(clock.now()).toISOString();
        const own = { reference, keyId: made.keyId, madeAt, expiresAt: expiresOn.toISOString() };
        return { result: (await stored()) ?? own, change: "created" };
      }),

    /** A new secret takes seconds to minutes until every part of Entra knows it: refused is worth another try. */
    testClientSecret: ({
      work,
      step,
      key,
      spec,
      version,
    }: Step & { step: string; spec: TenantSpec; version: CredentialVersion }): Promise<void> =>
      recorded(work, step, async () => {
        if (!(await accepted(key, spec, version)))
          throw new ControlPlaneError("SecretSettling", "Entra does not take the new client secret yet", 503, true);
        return { result: undefined };
      }),

    readMailRoute: (wanted: MailRouteQuestion): Promise<MailRoute> => mailRouteOf(world, wanted),

    /** From here on the new one is what everybody is given; the old one is still valid. */
    flipClientSecret: ({ work, key, generation, made }: Step & { generation: number; made: CredentialVersion }): Promise<void> =>
      recorded(work, "flip", async (begin) => {
        const { reference } = made;
        const changes = [{ path: "current", from: undefined, to: reference }];
        await begin({ action: "update", target: { kind: "credential", name: key.name }, changes });
        await credentials.change(key, (credential) =>
          credential.rotation?.operationId !== work.operationId || credential.generation >= generation
            ? undefined
            : { generation, current: made, previous: credential.current ?? null, rotatedAt: new Date(clock.now()).toISOString() },
        );
        return { result: undefined, change: "updated" };
      }),

    beginOverlap: async ({ work }: { work: Work }): Promise<void> => {
      await progress(work, { waitingFor: { kind: "cloud", message: "both client secrets are valid until the overlap is over" } });
    },

    /**
     * Every secret of ours but the current one goes, those whose text was lost included; then the old one is seen to be dead. They are
     * listed before the row is read: while this rotation holds the row no later one has made any, so that a late worker, who wakes up
     * during the next rotation, can't take away what that one has made.
     */
    revokeClientSecrets: ({ work, key, spec, current }: Step & { spec: TenantSpec; current: CredentialVersion }): Promise<void> =>
      recorded(work, "revoke", async (begin) => {
        const organization = spec.microsoft365.tenantId;
        const { objectId } = await credentialOf(key);
        const listed = await passwords.list(organization, objectId);
        const { previous, rotation, current: now } = await credentialOf(key);
        if (rotation?.operationId !== work.operationId || now?.keyId !== current.keyId)
          return { result: undefined, change: "unchanged" }; // a newer rotation answers for the rest
        const surplus = listed.filter(({ keyId, displayName }) => keyId !== current.keyId && displayName?.startsWith(OURS));
        const changes = surplus.map(({ keyId }) => ({ path: "keyId", from: keyId, to: undefined }));
        if (surplus.length > 0) await begin({ action: "remove", target: { kind: "clientSecret", name: key.name }, changes });
        for (const { keyId } of surplus) await passwords.remove(organization, objectId, keyId);
        if (previous && (await accepted(key, spec, previous)))
          throw new ControlPlaneError("SecretStillAccepted", "Entra still takes the client secret that was revoked", 503, true);
        return { result: undefined, change: surplus.length > 0 ? "updated" : "unchanged" };
      }),

    /**
     * The row last: whoever is stopped before it is found by the next sweep, or tried again. `oldStays`: the one before is left to a later
     * rotation of the same generation.
     */
    finishRotation: async ({
      work,
      key,
      generation,
      oldStays = false,
    }: Step & { generation: number; oldStays?: boolean }): Promise<void> => {
      const { current, keptUntil } = await credentialOf(key);
      await tenants.setConditions(key.partnerId, key.tenantId, [
        {
          type: conditionOf[key.name],
          status: "True",
          reason: "Rotated",
          message: freshness(key.name, current, oldStays ? keptUntil : undefined),
        },
      ]);
      await credentials.change(key, ({ rotation }) =>
        rotation?.operationId === work.operationId ? { rotation: null, ...(!oldStays && { previous: null }) } : undefined,
      );
      await progress(work, { status: "Succeeded", waitingFor: null, result: { generation, expiresAt: current?.expiresAt } });
    },

    /** Nothing is taken back: both secrets are valid, and the next sweep finds what was stored, or what is left to revoke. */
    failRotation: async ({ work, key, failure }: Step & { failure: Failure }): Promise<void> => {
      await credentials.change(key, ({ rotation }) =>
        rotation?.operationId === work.operationId ? { rotation: null } : undefined,
      );
      await tenants.setConditions(key.partnerId, key.tenantId, [
        { type: conditionOf[key.name], status: "False", reason: failure.code, message: failure.message },
      ]);
      await progress(work, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };

  /**
   * Both have written their claim before they look at the other's, so that never both go on. Of two that meet, the one whose name comes
   * later gives way; whoever waits is tried again.
   */
  async function waitFor(others: CredentialRecord[], { operationId }: Work, key: CredentialKey): Promise<void> {
    const busy = others.find(writingDocument);
    if (!busy) return;
    if (busy.name < key.name)
      await credentials.change(key, ({ rotation }) => (rotation?.operationId === operationId ? { rotation: null } : undefined));
    const message = `operation ${busy.rotation?.operationId} is giving the gateway its next ${busy.name}`;
    throw new ControlPlaneError("RotationUnderWay", message, 503, true);
  }

  async function groundOf({ partnerId, tenantId }: CredentialKey): Promise<Pick<Ground, "loopGuid" | "certificate">> {
    const { loopGuid, certificate } = (await tenants.get(partnerId, tenantId)).facts["ground"] as Ground;
    return { loopGuid, ...(certificate && { certificate }) };
  }

  async function accepted(key: CredentialKey, spec: TenantSpec, { reference }: CredentialVersion): Promise<boolean> {
    const { clientId } = await credentialOf(key);
    const clientSecret = await vaults.read(reference, spec.azure.tenantId);
    return checkClientSecret({ entraTenantId: spec.microsoft365.tenantId, clientId, clientSecret });
  }
};

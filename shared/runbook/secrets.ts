/** Secrets that a tenant has from its onboarding on: their names in its vault, and how one is made. */
import { randomBytes, randomUUID } from "node:crypto";
import type { TenantRecord } from "../stores/tenants.ts";
import type { SecretReference } from "../vault/reference.ts";

/** Azure wants three of four character classes in 12 to 123 characters of an administrator's password; the suffix has them all. */
export const tenantSecrets = {
  loopGuid: { name: "loop-guid", generate: (): string => randomUUID() },
  adminPassword: { name: "gateway-admin-password", generate: (): string => `${randomBytes(30).toString("base64url")}!aA1` },
};

/** The version of each that counts, kept in the tenant's facts. */
export const chosenSecrets = ({
  facts,
}: Pick<TenantRecord, "facts">): Partial<Record<keyof typeof tenantSecrets, SecretReference>> =>
  (facts["secrets"] as Partial<Record<keyof typeof tenantSecrets, SecretReference>> | undefined) ?? {};

/** Secrets that a tenant has from its onboarding on: their names in its vault, and how one is made. */
import { randomBytes, randomUUID } from "node:crypto";

/** Azure wants three of four character classes in 12 to 123 characters of an administrator's password; the suffix has them all. */
export const tenantSecrets = {
  loopGuid: { name: "loop-guid", generate: (): string => randomUUID() },
  adminPassword: { name: "gateway-admin-password", generate: (): string => `${randomBytes(30).toString("base64url")}!aA1` },
};

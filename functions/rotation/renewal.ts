/**
 * When a credential is replaced, and when somebody has to be told that it was not: both follow from its life, and say the same wherever
 * and whenever they are asked.
 */
import { createHash } from "node:crypto";
import type { CredentialKey, CredentialRecord } from "../../shared/stores/credentials.ts";

/** In milliseconds since 1970. */
export interface Life {
  madeAt: number;
  expiresAt: number;
}

const DAY_IN_MILLISECONDS = 24 * 3600 * 1000;
const LONGEST_ALARM_IN_MILLISECONDS = 45 * DAY_IN_MILLISECONDS;

/** Of the row; undefined where nothing was made yet, and of what never expires. */
export function lifeOf({ current, rotatedAt }: Pick<CredentialRecord, "current" | "rotatedAt">): Life | undefined {
  const madeAt = Date.parse(current?.madeAt ?? rotatedAt ?? "");
  const expiresAt = Date.parse(current?.expiresAt ?? "");
  return Number.isNaN(madeAt) || Number.isNaN(expiresAt) ? undefined : { madeAt, expiresAt };
}

/**
 * Two thirds of its life, and up to a fifteenth of it earlier: each credential has its own day, so that those that were made together are
 * not replaced together.
 */
export const renewalAt = (key: CredentialKey, { madeAt, expiresAt }: Life): number =>
  Math.floor(expiresAt - (expiresAt - madeAt) * (1 / 3 + shareOf(key) / 15));

/**
 * With so much left somebody has to know: 45 days, and of a life shorter than 180 days a quarter of it. That is after its renewal, with time
 * for several tries in between.
 */
export const alarmAt = ({ madeAt, expiresAt }: Life): number =>
  Math.ceil(expiresAt - Math.min(LONGEST_ALARM_IN_MILLISECONDS, (expiresAt - madeAt) / 4));

/** At least 0 and less than 1, the same for the same credential for ever. */
const shareOf = ({ partnerId, tenantId, name }: CredentialKey): number =>
  createHash("sha256").update([partnerId, tenantId, name].join("/")).digest().readUInt32BE(0) / 2 ** 32;

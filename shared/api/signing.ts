/** Signed tokens of our own making: paging links and the state of a consent. Signed, not encrypted: they hold no secret. */
import { createHmac } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import type { Clock } from "../clock.ts";

/** What a token says; plain JSON. */
export type SignedPayload = Record<string, unknown>;

export interface Signer {
  /** A token for one purpose (such as `consent`), good for so many seconds. URL-safe. */
  sign(payload: SignedPayload, purpose: string, lifetimeInSeconds: number): Promise<string>;
  /** What was signed; `undefined` when the token is forged, expired or meant for another purpose. */
  verify(token: string, purpose: string): Promise<SignedPayload | undefined>;
  /** What only we can derive from it, always the same: 32 bytes. */
  digest(payload: SignedPayload, purpose: string): Promise<Uint8Array>;
}

const ALGORITHM = "HS256";

/** `key` gives at least 32 bytes; it is asked at first use and again only if that failed. */
export function createSigner(key: () => Promise<Uint8Array>, clock: Clock): Signer {
  let known: Promise<Uint8Array> | undefined;
  const signingKey = (): Promise<Uint8Array> => {
    known ??= key().catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  };
  return {
    sign: async (payload, purpose, lifetimeInSeconds) =>
      new SignJWT({ payload })
        .setProtectedHeader({ alg: ALGORITHM })
        .setAudience(purpose)
        .setExpirationTime(Math.floor(clock.now() / 1000) + lifetimeInSeconds)
        .sign(await signingKey()),
    verify: async (token, purpose) => {
      const options = { algorithms: [ALGORITHM], audience: purpose, requiredClaims: ["exp"], currentDate: new Date(clock.now()) };
      const secret = await signingKey();
      const verified = await jwtVerify<{ payload: SignedPayload }>(token, secret, options).catch(() => undefined);
      return verified?.payload.payload;
    },
    // The first line keeps it apart from what `sign` signs, which begins with a header in base64url.
    digest: async (payload, purpose) =>
      createHmac("sha256", await signingKey())
        .update(`digest\n${JSON.stringify([purpose, payload])}`)
        .digest(),
  };
}

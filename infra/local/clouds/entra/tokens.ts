/** Access tokens: signed with a key that survives a restart, verified by whoever has Entra's key set. */
import { randomUUID } from "node:crypto";
import { decodeJwt, exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Claims, Collection } from "../simulator.ts";

export interface NewToken {
  tenantId: string;
  audience: string;
  /** Object id of the service principal or managed identity in that tenant. */
  objectId: string;
  /** Client id of the application or managed identity. */
  clientId: string;
  /** How the client proved itself: 1 by secret, 2 by certificate, assertion or as a managed identity. */
  authenticationClass: "1" | "2";
  roles: string[];
  lifetimeInSeconds: number;
  /** Further claims, such as the managed identity's resource id. */
  claims?: Record<string, unknown>;
}

export interface Tokens {
  issue(token: NewToken): Promise<{ token: string; expiresAt: number; issuedAt: number }>;
  /** The claims, when the signature is ours, the time right and the audience the expected one. */
  verify(token: string, audience: string): Promise<Claims | undefined>;
  /** Checks the signature alone: assertions are judged claim by claim. */
  signed(token: string): Promise<boolean>;
  /** What `discovery/v2.0/keys` shows. */
  keySet(): { keys: JWK[] };
  issuer(tenantId: string): string;
}

export async function createTokens(keys: Collection<JWK>, authorityHost: string, now: () => number): Promise<Tokens> {
  const jwk = keys.get("signing") ?? (await makeKey(keys));
  const { n = "", e = "", kid = "" } = jwk;
  const publicJwk: JWK = { kty: "RSA", use: "sig", alg: "RS256", kid, n, e };
  const [privateKey, publicKey] = await Promise.all([importJWK(jwk, "RS256"), importJWK(publicJwk, "RS256")]);
  const issuer = (tenantId: string): string => `${authorityHost}/${tenantId}/v2.0`;
  const seconds = (): number => Math.floor(now() / 1000);

  return {
    issuer,
    keySet: () => ({ keys: [publicJwk] }),
    issue: async ({ tenantId, audience, objectId, clientId, authenticationClass, roles, lifetimeInSeconds, claims = {} }) => {
      const issuedAt = seconds();
      const expiresAt = issuedAt + lifetimeInSeconds;
      const payload: JWTPayload = {
        aud: audience,
        iss: issuer(tenantId),
        iat: issuedAt,
        // Entra dates tokens back by five minutes, for clocks that are behind.
        nbf: issuedAt - 300,
        exp: expiresAt,
        appid: clientId,
        azp: clientId,
        azpacr: authenticationClass,
        idtyp: "app",
        oid: objectId,
        sub: objectId,
        tid: tenantId,
        ...(roles.length > 0 ? { roles } : {}),
        ...claims,
        uti: randomUUID(),
        ver: "2.0",
      };
      const token = await new SignJWT(payload).setProtectedHeader({ typ: "JWT", alg: "RS256", kid }).sign(privateKey);
      return { token, expiresAt, issuedAt };
    },
    verify: async (token, audience) => {
      try {
        const { payload } = await jwtVerify<Claims>(token, publicKey, {
          algorithms: ["RS256"],
          audience,
          currentDate: new Date(now()),
        });
        return payload.iss === issuer(payload.tid) ? payload : undefined;
      } catch {
        return undefined;
      }
    },
    signed: async (token) => {
      try {
        // The time is looked at by the caller, which has an error of its own for it.
        const { nbf = 0 } = decodeJwt(token);
        await jwtVerify(token, publicKey, { algorithms: ["RS256"], currentDate: new Date(nbf * 1000) });
        return true;
      } catch {
        return false;
      }
    },
  };
}

async function makeKey(keys: Collection<JWK>): Promise<JWK> {
  const { privateKey } = await generateKeyPair("RS256", { modulusLength: 2048, extractable: true });
  const jwk: JWK = { ...(await exportJWK(privateKey)), kid: randomUUID().replaceAll("-", "") };
  keys.set("signing", jwk);
  return jwk;
}

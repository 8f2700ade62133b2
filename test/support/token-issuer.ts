/** A little Entra for tests: a key set over HTTP, and tokens that say whatever a test wants said. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, importJWK, type JWTHeaderParameters, SignJWT } from "jose";

export interface SignOptions {
  header?: Partial<JWTHeaderParameters>;
  key?: CryptoKey | Uint8Array;
}

export interface TokenIssuer {
  authorityHost: string;
  applicationId: string;
  homeTenantId: string;
  /** A good token of a partner's application, unless the claims say otherwise; an `undefined` claim is left out. */
  token(claims: Record<string, unknown>, options?: SignOptions): Promise<string>;
  /** The same private key for another algorithm of its family, such as RS512. */
  keyFor(algorithm: string): Promise<CryptoKey | Uint8Array>;
  /** The public key as PEM, for those who would use it as an HMAC secret. */
  publicKeyPem(): Promise<string>;
  /** More properties for the published key, such as Entra's `issuer`. */
  publish(properties: Record<string, unknown>): void;
  stop(): Promise<void>;
}

export async function startTokenIssuer(): Promise<TokenIssuer> {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const kid = randomUUID();
  let published: Record<string, unknown> = {};
  const jwk = { ...(await exportJWK(publicKey)), kid, use: "sig" };
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys: [{ ...jwk, ...published }] }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const authorityHost = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  const applicationId = randomUUID();
  return {
    authorityHost,
    applicationId,
    homeTenantId: randomUUID(),
    token: (claims, { header, key = privateKey } = {}) => {
      const now = Math.floor(Date.now() / 1000);
      const good = {
        iss: `${authorityHost}/${String(claims.tid)}/v2.0`,
        aud: applicationId,
        nbf: now,
        exp: now + 3600,
        idtyp: "app",
        roles: ["Partner"],
      };
      return new SignJWT({ ...good, ...claims }).setProtectedHeader({ alg: "RS256", kid, ...header }).sign(key);
    },
    keyFor: async (algorithm) => importJWK({ ...(await exportJWK(privateKey)), alg: algorithm }, algorithm),
    publicKeyPem: () => exportSPKI(publicKey),
    publish: (properties) => {
      published = properties;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

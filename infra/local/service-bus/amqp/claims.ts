/** `$cbs`: a connection proves with shared access signatures what it may do. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { AuthorizationRule, Right } from "../options.ts";
import { Refusal } from "../refusal.ts";
import type { Connection, Request } from "./rhea.ts";

/** A key, its rights, and the entity that it is for; "" is the whole namespace. */
export interface AccessKey extends AuthorizationRule {
  path: string;
}

export interface Claims {
  /** @throws Refusal if the token is not one of ours, is over, or is meant for something else */
  put(connection: Connection, request: Request): void;
  /** @throws Refusal if the connection has shown no token that gives one of these rights for this path */
  require(connection: Connection, path: string, ...rights: Right[]): void;
}

interface Claim {
  rights: Right[];
  /** Milliseconds since 1970. */
  until: number;
}

export function createClaims(keys: AccessKey[], clock: { now(): number }): Claims {
  /** Of each connection: what it may do where, until when. */
  const granted = new WeakMap<Connection, Map<string, Claim>>();

  return {
    put(connection, { application_properties: properties = {}, body }) {
      if (properties["operation"] !== "put-token")
        throw new Refusal("amqp:not-implemented", `Unknown operation '${String(properties["operation"])}'.`);
      const path = pathOf(String(properties["name"]));
      const token = parseToken(String(body));
      const audience = pathOf(token.audience);
      const key = keys.find(
        (one) => one.name === token.keyName && covers(one.path.toLowerCase(), audience) && signedWith(one.primaryKey, token),
      );
      if (!key) throw unauthorized("InvalidSignature: The token has an invalid signature.");
      const until = Number(token.expiry) * 1000;
      if (!(until > clock.now())) throw unauthorized("ExpiredToken: The token is expired.");
      if (!covers(audience, path)) throw unauthorized("InvalidAudience: The token does not cover the audience.");
      const claims = granted.get(connection) ?? new Map<string, Claim>();
      granted.set(connection, claims.set(path, { rights: key.rights, until }));
    },
    require(connection, path, ...rights) {
      for (const [covering, claim] of granted.get(connection) ?? [])
        if (
          claim.until > clock.now() &&
          covers(covering, path.toLowerCase()) &&
          rights.some((right) => claim.rights.includes(right))
        )
          return;
      const wanted = rights.map((right) => `'${right}'`).join(" or ");
      throw unauthorized(`Unauthorized access. ${wanted} claim(s) are required to perform this operation. Resource: '${path}'.`);
    },
  };
}

interface Token {
  audience: string;
  /** Seconds since 1970, as it is written there. */
  expiry: string;
  keyName: string;
  signature: Buffer;
  signedAudience: string;
}

/** `SharedAccessSignature sr={audience}&sig={signature}&se={expiry}&skn={name}`; signed is the audience as it is written there. */
function parseToken(token: string): Token {
  const fields = new URLSearchParams(token.replace(/^SharedAccessSignature /, ""));
  return {
    audience: fields.get("sr") ?? "",
    expiry: fields.get("se") ?? "",
    keyName: fields.get("skn") ?? "",
    signature: Buffer.from(fields.get("sig") ?? "", "base64"),
    signedAudience: /(?:^|[& ])sr=([^&]*)/.exec(token)?.[1] ?? "",
  };
}

function signedWith(key: string, { signature, signedAudience, expiry }: Token): boolean {
  const expected = createHmac("sha256", key).update(`${signedAudience}\n${expiry}`).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

const unauthorized = (message: string): Refusal => new Refusal("amqp:unauthorized-access", message);

/** A claim on a namespace covers its entities, a claim on an entity what lies below it: a topic's its subscriptions. */
const covers = (covering: string, path: string): boolean =>
  covering === "" || path === covering || path.startsWith(`${covering}/`);

/** An audience is `sb://host/path`; `$management` of an entity is the entity. */
const pathOf = (audience: string): string =>
  audience
    .replace(/^[a-z]+:\/\/[^/]*\/?/i, "")
    .replace(/\/(?:\$management)?$/i, "")
    .toLowerCase();

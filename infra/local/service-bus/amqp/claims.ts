/** `$cbs`: a connection proves with shared access signatures what it may do. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { Refusal } from "../refusal.ts";
import type { Connection, Request } from "./rhea.ts";

export interface AccessKey {
  name: string;
  key: string;
}

export interface Claims {
  /** @throws Refusal if the token is not one of ours, is over, or is meant for something else */
  put(connection: Connection, request: Request): void;
  /** @throws Refusal if the connection has shown no token for this path */
  require(connection: Connection, path: string): void;
}

/** One key, with the rights to send, to listen and to manage, as `RootManageSharedAccessKey` has them. */
export function createClaims({ name, key }: AccessKey, clock: { now(): number }): Claims {
  /** Of each connection: until when which paths are open to it. */
  const granted = new WeakMap<Connection, Map<string, number>>();

  return {
    put(connection, { application_properties: properties = {}, body }) {
      if (properties["operation"] !== "put-token")
        throw new Refusal("amqp:not-implemented", `Unknown operation '${String(properties["operation"])}'.`);
      const path = pathOf(String(properties["name"]));
      const { audience, expiry, keyName, signature, signedAudience } = parseToken(String(body));
      const expected = createHmac("sha256", key).update(`${signedAudience}\n${expiry}`).digest();
      if (keyName !== name || signature.length !== expected.length || !timingSafeEqual(signature, expected))
        throw unauthorized("InvalidSignature: The token has an invalid signature.");
      const until = Number(expiry) * 1000;
      if (!(until > clock.now())) throw unauthorized("ExpiredToken: The token is expired.");
      if (!covers(pathOf(audience), path)) throw unauthorized("InvalidAudience: The token does not cover the audience.");
      const paths = granted.get(connection) ?? new Map<string, number>();
      granted.set(connection, paths.set(path, until));
    },
    require(connection, path) {
      for (const [covering, until] of granted.get(connection) ?? [])
        if (until > clock.now() && covers(covering, path.toLowerCase())) return;
      throw unauthorized(`Unauthorized access. Claims are required to perform this operation. Resource: '${path}'.`);
    },
  };
}

/** `SharedAccessSignature sr={audience}&sig={signature}&se={expiry}&skn={name}`; signed is the audience as it is written there. */
function parseToken(token: string) {
  const fields = new URLSearchParams(token.replace(/^SharedAccessSignature /, ""));
  return {
    audience: fields.get("sr") ?? "",
    expiry: fields.get("se") ?? "",
    keyName: fields.get("skn") ?? "",
    signature: Buffer.from(fields.get("sig") ?? "", "base64"),
    signedAudience: /(?:^|[& ])sr=([^&]*)/.exec(token)?.[1] ?? "",
  };
}

const unauthorized = (message: string): Refusal => new Refusal("amqp:unauthorized-access", message);

/** A claim on a namespace covers its queues, a claim on a queue what lies below it. */
const covers = (covering: string, path: string): boolean =>
  covering === "" || path === covering || path.startsWith(`${covering}/`);

/** An audience is `sb://host/path`; `$management` of a queue is the queue. */
const pathOf = (audience: string): string =>
  audience
    .replace(/^[a-z]+:\/\/[^/]*\/?/i, "")
    .replace(/\/(?:\$management)?$/i, "")
    .toLowerCase();

/** Everybody's door to the service itself: no token, no secrets. */
import { createHash } from "node:crypto";
import type { Answer, Handler } from "../../shared/api/endpoint.ts";
import { openapiDocument } from "../../shared/api/openapi.ts";
import type { ApiWorld } from "../../shared/api/world.ts";

/** GET /healthz: answering at all is the answer. */
export const getHealth: Handler<"getHealth"> = () => ({ body: { status: "alive" } });

/** GET /readyz: state can be read, links can be signed. */
export const getReadiness =
  ({ stores, signer, log }: ApiWorld): Handler<"getReadiness"> =>
  async () => {
    const checks = { storage: () => stores.check(), signingKey: () => signer.sign({}, "readiness", 1) };
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => {
        try {
          await check();
          return [name, "ready"] as const;
        } catch (error) {
          log.error(`dependency ${name} is not ready`, { error });
          return [name, "notReady"] as const;
        }
      }),
    );
    const ready = results.every(([, state]) => state === "ready");
    return {
      status: ready ? 200 : 503,
      body: { status: ready ? "ready" : "notReady", dependencies: Object.fromEntries(results) },
    };
  };

/** GET /api/openapi.json: made once, at the first request. */
export const getOpenapi = ({ settings }: ApiWorld): Handler<"getOpenapi"> => {
  let answer: Answer<"getOpenapi"> | undefined;
  return () => {
    if (answer === undefined) {
      const document = JSON.stringify(openapiDocument(settings));
      answer = { body: JSON.parse(document), etag: createHash("sha256").update(document).digest("hex") };
    }
    return answer;
  };
};

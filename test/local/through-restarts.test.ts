/** Calls of the partner's player outlast a restart of the app, and of a cloud that the app needs for its answer. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { throughRestarts } from "../../infra/local/through-restarts.ts";
import { createClient } from "../../shared/api/client.ts";

/** An API that answers its calls in turn; `undefined` hangs up. */
async function apiAnswering(...answers: ({ status: number; code: string } | undefined)[]) {
  const server = createServer((request, response) => {
    const answer = answers.shift();
    if (!answer) {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { "content-type": "application/json", "retry-after": "1" });
    response.end(JSON.stringify({ error: { code: answer.code, message: "no" } }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return throughRestarts(createClient({ baseUrl: `http://127.0.0.1:${port}` }));
}

test("what got no answer, or the answer to come later, is asked again; any other answer is the answer", async () => {
  const refused = { status: 404, code: "TenantNotFound" };
  const api = await apiAnswering(undefined, { status: 503, code: "ServiceUnavailable" }, undefined, refused);
  await expect(api.getTenant({ tenantId: "contoso" })).rejects.toMatchObject({ status: 404, code: "TenantNotFound" });
});

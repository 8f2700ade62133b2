/** The broker's own door for people and for tests, plain HTTP on loopback; the application never knocks here. */
import { type HttpServer, jsonReply, listen } from "../functions-host/http-server.ts";
import type { NamespaceState } from "./state.ts";

const ROUTES = "GET /queues, GET /queues/{name}/deadletters";

/** @param port 0 picks a free one */
export const openControl = (port: number, state: () => NamespaceState): Promise<HttpServer> =>
  listen(port, "127.0.0.1", async (request, response) => {
    const { status, body } = answer(request.method ?? "", new URL(request.url ?? "/", "http://127.0.0.1").pathname, state());
    jsonReply(response, status, body);
  });

function answer(method: string, path: string, { queues }: NamespaceState): { status: number; body: unknown } {
  const [, first, name, last, ...rest] = path.split("/");
  if (method !== "GET" || first !== "queues" || rest.length > 0) return problem("NotFound", ROUTES);
  if (name === undefined)
    return { status: 200, body: { value: queues.map((queue) => ({ ...queue, deadLetters: queue.deadLetters.length })) } };
  if (last !== "deadletters") return problem("NotFound", ROUTES);
  const wanted = decodeURIComponent(name).toLowerCase();
  const queue = queues.find((one) => one.name.toLowerCase() === wanted);
  if (!queue) return problem("NotFound", `no such queue; there are ${queues.map((one) => one.name).join(", ")}`);
  return { status: 200, body: { value: queue.deadLetters } };
}

const problem = (code: string, message: string): { status: number; body: unknown } => ({
  status: 404,
  body: { error: { code, message } },
});

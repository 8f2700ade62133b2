/** The broker's own door for people and for tests, plain HTTP on loopback; the application never knocks here. */
import { type HttpServer, jsonReply, listen } from "../functions-host/http-server.ts";
import type { NamespaceState, QueueState } from "./state.ts";

const ROUTES = "GET /queues, /queues/{name}/deadletters, /topics, /topics/{name}/subscriptions/{name}/deadletters";

/** @param port 0 picks a free one */
export const openControl = (port: number, state: () => NamespaceState): Promise<HttpServer> =>
  listen(port, "127.0.0.1", async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    const { status, body } = answer(request.method ?? "", pathname.split("/").slice(1).map(decodeURIComponent), state());
    jsonReply(response, status, body);
  });

interface Answer {
  status: number;
  body: unknown;
}

function answer(method: string, path: string[], { queues, topics }: NamespaceState): Answer {
  if (method !== "GET") return notFound(ROUTES);
  const [kind, name = "", ...rest] = path;
  if (path.length === 1 && kind === "queues") return { status: 200, body: { value: queues.map(counted) } };
  if (path.length === 1 && kind === "topics")
    return {
      status: 200,
      body: { value: topics.map((topic) => ({ ...topic, subscriptions: topic.subscriptions.map(counted) })) },
    };
  if (kind === "queues") return deadLettersOf(queues, [name, ...rest]);
  if (kind !== "topics" || rest[0] !== "subscriptions") return notFound(ROUTES);
  const topic = named(topics, name);
  return topic ? deadLettersOf(topic.subscriptions, rest.slice(1)) : notFound(noneOf(topics));
}

function deadLettersOf(queues: QueueState[], [name = "", last, ...rest]: string[]): Answer {
  if (last !== "deadletters" || rest.length > 0) return notFound(ROUTES);
  const queue = named(queues, name);
  return queue ? { status: 200, body: { value: queue.deadLetters } } : notFound(noneOf(queues));
}

const counted = (queue: QueueState): object => ({ ...queue, deadLetters: queue.deadLetters.length });

const named = <T extends { name: string }>(all: T[], wanted: string): T | undefined =>
  all.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());

const noneOf = (all: { name: string }[]): string => `nothing of that name; there are ${all.map(({ name }) => name).join(", ")}`;

const notFound = (message: string): Answer => ({ status: 404, body: { error: { code: "NotFound", message } } });

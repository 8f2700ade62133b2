/** An HTTP server that knows what it still has to answer, for the app's functions and for the durable API. */

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HttpServer {
  port: number;
  /** Takes no more requests; resolves when the running ones are answered. */
  stop(): Promise<void>;
  /** Drops what is left. */
  close(): void;
}

export type Respond = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** @param port 0 picks a free one */
export async function listen(port: number, hostname: string, respond: Respond): Promise<HttpServer> {
  const running = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const answering = respond(request, response)
      .catch((error: unknown) => {
        // The response itself is broken, for example because the other side has gone.
        response.destroy(error instanceof Error ? error : undefined);
      })
      .finally(() => running.delete(answering));
    running.add(answering);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close();
      server.closeIdleConnections();
      await Promise.all(running);
    },
    close: () => server.closeAllConnections(),
  };
}

export function reply(
  response: ServerResponse,
  status: number,
  body: Buffer | string = "",
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
  response.end(body);
}

export const jsonReply = (
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void =>
  value === undefined
    ? reply(response, status, "", headers)
    : reply(response, status, JSON.stringify(value), { "content-type": "application/json; charset=utf-8", ...headers });

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * The only way out to the mail internet: an HTTP CONNECT proxy on loopback that knows each party by its proxy credentials, and so its
 * modelled public address. What it dialled learns that address from a PROXY protocol line, as behind a real load balancer.
 */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import { type AddressInfo, connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Party } from "../simulator.ts";

const LOOPBACK = "127.0.0.1";

export interface EgressProxy {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** The password for a party; asked twice it is the same. */
  readonly admit: (party: Party, password?: string) => string;
  /** A connection of that party to a public address; rejects with `DialError`. */
  dial(party: Party, address: string, port: number): Promise<Socket>;
  close(): Promise<void>;
}

/** Why no connection came about, as a sending server writes it into its queue. */
export class DialError extends Error {
  readonly reply: string;

  constructor(reply: string) {
    super(reply);
    this.name = "DialError";
    this.reply = reply;
  }
}

/** Finds the loopback port behind a public address; undefined refuses the connection. */
export type FindListener = (address: string, port: number, source: string) => Promise<number | undefined>;

/** `port`: where it listens, any free one by default. */
export async function createEgressProxy(findListener: FindListener, listenAt = 0): Promise<EgressProxy> {
  const parties = new Map<string, { address: string; password: string }>();
  const open = new Set<Duplex>();
  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
    track(open, client);
    connectThrough(request, client, head).catch(() => client.destroy());
  });

  async function connectThrough(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const source = addressOf(request.headers["proxy-authorization"]);
    if (source === undefined)
      return refuse(client, '407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="mail internet"');
    const [, address = "", port = ""] = /^(.*):(\d+)$/.exec(request.url ?? "") ?? [];
    const listener = await findListener(address, Number(port), source);
    if (listener === undefined) return refuse(client, "502 Connection refused");
    const upstream = connectTcp(listener, LOOPBACK);
    track(open, upstream);
    upstream.once("error", () => client.destroy());
    client.once("error", () => upstream.destroy());
    upstream.once("connect", () => {
      upstream.write(`PROXY TCP4 ${source} ${address} 49152 ${port}\r\n`);
      if (head.length > 0) upstream.write(head);
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client);
      client.pipe(upstream);
    });
  }

  function addressOf(authorization: string | undefined): string | undefined {
    const [, encoded = ""] = /^Basic (.+)$/i.exec(authorization ?? "") ?? [];
    const [, name = "", password = ""] = /^(.*):([^:]*)$/.exec(Buffer.from(encoded, "base64").toString()) ?? [];
    const party = parties.get(name);
    return party !== undefined && party.password === password ? party.address : undefined;
  }

  await new Promise<void>((resolve) => server.listen(listenAt, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;

  function admit({ name, address }: Party, chosen?: string): string {
    const known = parties.get(name);
    if (known) {
      known.address = address;
      return known.password;
    }
    const password = chosen ?? randomBytes(16).toString("hex");
    parties.set(name, { address, password });
    return password;
  }

  return {
    url: `http://${LOOPBACK}:${port}`,
    admit,
    dial: async (party, address, toPort) => {
      // Two parties of one name with different addresses (a gateway whose address changed) must not share a credential.
      const name = `${party.name}@${party.address}`;
      return dialThrough(port, `${name}:${admit({ name, address: party.address })}`, `${address}:${toPort}`);
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const dialThrough = async (port: number, credentials: string, target: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const request = httpRequest({
      host: LOOPBACK,
      port,
      method: "CONNECT",
      path: target,
      agent: false,
      headers: { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` },
    });
    request.once("connect", (response, socket) => {
      if (response.statusCode === 200) resolve(socket);
      else {
        socket.destroy();
        // Exchange Online's own words for it; 10061 is Windows Sockets' WSAECONNREFUSED.
        reject(new DialError("450 4.4.316 Connection refused [Message=Socket error code 10061]"));
      }
    });
    request.once("error", (error) => reject(new DialError(`450 4.4.315 Connection timed out [Message=${error.message}]`)));
    request.end();
  });

function refuse(client: Duplex, status: string): void {
  client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
}

function track(open: Set<Duplex>, socket: Duplex): void {
  open.add(socket);
  socket.once("close", () => open.delete(socket));
  socket.on("error", () => socket.destroy());
}

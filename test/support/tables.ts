/** Azurite's table service in this process, with snapshots, and with a fault at any request. */
import type { IncomingMessage, RequestListener, ServerResponse, Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { inject } from "vitest";

export interface OwnTables {
  /** The test run's Azurite, with these tables. */
  connectionString: string;
  snapshot(): string;
  restore(snapshot: string): void;
  /** What was asked since the last `watch`: method and path. */
  readonly asked: string[];
  /** Counts from one again; the request of that number meets the fault. */
  watch(fault?: { at: number; kind: TableFault }): void;
  /** From now on nobody gets an answer, or everybody again. */
  down(isDown: boolean): void;
  stop(): Promise<void>;
}

/** `refuse` answers 403, as after a role was taken away; `cut-after-effect` does it and closes the connection instead of answering. */
export type TableFault = "refuse" | "cut-before-effect" | "cut-after-effect";

/** What is used of Azurite's own modules, which have no published types. */
interface TableServer {
  readonly httpServer: Server;
  readonly metadataStore: { readonly db: { serialize(): string; loadJSON(text: string): void } };
  start(): Promise<void>;
  close(): Promise<void>;
}
const load = createRequire(import.meta.url);

export async function startTables(): Promise<OwnTables> {
  const { default: Configuration } = load("azurite/dist/src/table/TableConfiguration") as {
    default: new (...settings: unknown[]) => object;
  };
  const { default: Tables } = load("azurite/dist/src/table/TableServer") as {
    default: new (configuration: object) => TableServer;
  };
  const nothing = undefined;
  const inMemory = true;
  const server = new Tables(
    new Configuration("127.0.0.1", 0, 120, "", false, false, nothing, nothing, false, true, "", "", "", nothing, false, inMemory),
  );
  await server.start();
  const { port } = server.httpServer.address() as AddressInfo;

  let asked: string[] = [];
  let isDown = false;
  let planned: { at: number; kind: TableFault } | undefined;
  const [answer] = server.httpServer.listeners("request") as [RequestListener];
  server.httpServer.removeAllListeners("request");
  server.httpServer.on("request", (request: IncomingMessage, response: ServerResponse & { req: IncomingMessage }) => {
    const path = decodeURIComponent((request.url ?? "").replace(/\?.*/, "")).replace("/devstoreaccount1", "");
    asked.push(`${request.method} ${path}`);
    if (isDown) return void request.socket.destroy();
    const kind = planned?.at === asked.length ? planned.kind : undefined;
    if (kind === "refuse") return refuse(response);
    if (kind === "cut-before-effect") return void request.socket.destroy();
    if (kind === "cut-after-effect") response.end = () => response.destroy();
    answer(request, response);
  });

  return {
    connectionString: inject("azurite").replace(/TableEndpoint=[^;]*/, `TableEndpoint=http://127.0.0.1:${port}/devstoreaccount1`),
    snapshot: () => server.metadataStore.db.serialize(),
    restore: (snapshot) => server.metadataStore.db.loadJSON(snapshot),
    get asked() {
      return asked;
    },
    watch: (fault) => {
      asked = [];
      planned = fault;
    },
    down: (now) => {
      isDown = now;
    },
    stop: () => server.close(),
  };
}

/** As Table Storage says it (its documentation, "Table service error codes"). */
function refuse(response: ServerResponse): void {
  response.writeHead(403, { "content-type": "application/json;odata=minimalmetadata" });
  const message = { lang: "en-US", value: "This request is not authorized to perform this operation using this permission." };
  response.end(JSON.stringify({ "odata.error": { code: "AuthorizationPermissionMismatch", message } }));
}

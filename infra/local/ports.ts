/** Ports that are kept from start to start: from below the range that systems give to outgoing connections, which would take them in between. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Linux gives away ports from 32768, macOS and Windows from 49152. */
const [FIRST, AFTER_LAST] = [20_000, 32_000];

/** A port that was free a moment ago, for one program after another to come back to. */
export async function keepablePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, AFTER_LAST);
    if (await portIsFree(port)) return port;
  }
}

/** Whether nobody listens on this port of 127.0.0.1. */
export const portIsFree = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const server = createServer();
    server.once("error", () => answer(false));
    server.listen(port, "127.0.0.1", () => server.close(() => answer(true)));
  });

/** Load on a server from a process of its own: so many connections, each asking again as soon as it is answered. */
import { connect } from "node:net";

export interface Load {
  port: number;
  /** The whole request as it goes over the wire. */
  request: string;
  connections: number;
  requests: number;
}

process.on("message", (load: Load) => {
  void run(load).then((answered) => process.send?.(answered));
});

/** Answers a second. */
async function run({ port, request, connections, requests }: Load): Promise<number> {
  const began = performance.now();
  await Promise.all(Array.from({ length: connections }, () => ask(port, request, Math.ceil(requests / connections))));
  return (requests / (performance.now() - began)) * 1000;
}

const ask = (port: number, request: string, times: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(request));
    socket.setNoDelay(true).on("error", reject);
    let [left, received] = [times, ""];
    socket.setEncoding("latin1").on("data", (part: string) => {
      received += part;
      const end = received.indexOf("\r\n\r\n");
      const length = /\r\ncontent-length: (\d+)/i.exec(received)?.[1];
      if (end < 0) return;
      if (length === undefined || !received.startsWith("HTTP/1.1 2")) {
        reject(new Error(`unexpected answer: ${received.slice(0, 200)}`));
        return;
      }
      if (received.length < end + 4 + Number(length)) return;
      received = "";
      left -= 1;
      if (left > 0) socket.write(request);
      else socket.end(resolve);
    });
  });

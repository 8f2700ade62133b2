/** Looks at a mail server from outside, as any sender would: which certificate does it show after STARTTLS? Nothing is sent. */
import { once } from "node:events";
import { request } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { ControlPlaneError } from "../errors.ts";

export interface ShownCertificate {
  /** SHA-1 in upper-case hex, as Windows names it. */
  thumbprint: string;
  /** Why nobody would trust it, in OpenSSL's words; undefined where it is a public authority's, valid and for the name. */
  distrust?: string | undefined;
}

export interface StartTls {
  /** `name` is what the certificate has to be for. */
  certificateAt(server: { address: string; name: string }): Promise<ShownCertificate>;
}

const PORT = 25;
const TIMEOUT_IN_MILLISECONDS = 20_000;
const LONGEST_REPLY = 8192;

/** `proxy`: an HTTP proxy that may dial port 25, since Azure's own functions may not. */
export const createStartTls = ({ proxy }: { proxy?: string | undefined } = {}): StartTls => ({
  async certificateAt({ address, name }) {
    let socket: Socket | undefined;
    try {
      socket = await dial(address, proxy);
      socket.setTimeout(TIMEOUT_IN_MILLISECONDS, () => socket?.destroy(new Error("it does not answer in time")));
      await reply(socket, "220");
      await say(socket, "EHLO gatehouse.invalid", "250");
      await say(socket, "STARTTLS", "220");
      return await shown(socket, name);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : "it failed";
      throw new ControlPlaneError(
        "GatewayUnreachable",
        `looking at the certificate of ${name} at ${address}: ${why}`,
        502,
        true,
        {
          cause,
        },
      );
    } finally {
      socket?.destroy();
    }
  },
});

async function shown(socket: Socket, name: string): Promise<ShownCertificate> {
  const secure: TLSSocket = connectTls({ socket, servername: name, rejectUnauthorized: false });
  try {
    await once(secure, "secureConnect");
    const certificate = secure.getPeerX509Certificate();
    if (certificate === undefined) throw new Error("it shows no certificate");
    const { authorized, authorizationError } = secure;
    return {
      thumbprint: certificate.fingerprint.replaceAll(":", ""),
      ...(authorized ? {} : { distrust: wordsOf(authorizationError) }),
    };
  } finally {
    secure.destroy();
  }
}

/** A string at run time, or an error where the name is the matter. */
const wordsOf = (why: unknown): string => (why instanceof Error ? ((why as { code?: string }).code ?? why.message) : String(why));

async function say(socket: Socket, command: string, expected: string): Promise<void> {
  socket.write(`${command}\r\n`);
  await reply(socket, expected);
}

/** A reply is one line or several; its last one has a blank after the code (RFC 5321, chapter 4.2.1). */
async function reply(socket: Socket, expected: string): Promise<void> {
  let text = "";
  while (!/^\d{3} .*\r\n$/m.test(text)) {
    if (text.length > LONGEST_REPLY) throw new Error("it answers without end");
    const [chunk] = (await Promise.race([once(socket, "data"), ended(socket)])) as [Buffer];
    text += chunk.toString("latin1");
  }
  if (!text.startsWith(expected)) throw new Error(`it answers ${text.split("\r\n")[0]}`);
}

async function ended(socket: Socket): Promise<never> {
  await once(socket, "close");
  throw new Error("it hangs up");
}

async function dial(address: string, proxy: string | undefined): Promise<Socket> {
  if (proxy !== undefined) return dialThrough(address, new URL(proxy));
  const socket = connectTcp({ host: address, port: PORT, timeout: TIMEOUT_IN_MILLISECONDS });
  socket.once("timeout", () => socket.destroy(new Error("it does not answer in time")));
  await once(socket, "connect");
  return socket;
}

const dialThrough = (address: string, { hostname, port, username, password }: URL): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const asking = request({
      host: hostname,
      port,
      method: "CONNECT",
      path: `${address}:${PORT}`,
      agent: false,
      timeout: TIMEOUT_IN_MILLISECONDS,
      headers: username === "" ? {} : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` },
    });
    asking.once("connect", (response, socket: Socket) => {
      if (response.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`the proxy answers ${response.statusCode}: nobody listens there, or lets us in`));
    });
    asking.once("timeout", () => asking.destroy(new Error("the proxy does not answer in time")));
    asking.once("error", reject);
    asking.end();
  });

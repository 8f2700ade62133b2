/** The certificate in a PKCS #12 file, as Windows' store would show it. */
import { once } from "node:events";
import { Duplex, duplexPair } from "node:stream";
import { connect, TLSSocket } from "node:tls";
import type { MachineCertificate } from "./state.ts";

/**
 * Node opens PKCS #12 only for TLS, so a server with that file shows its certificate to a client in the same process. Undefined where it
 * can't be opened.
 */
export async function certificateIn(base64: string, store: string): Promise<MachineCertificate | undefined> {
  const [near, far]: [Duplex, Duplex] = duplexPair();
  try {
    const server = new TLSSocket(far, { isServer: true, pfx: Buffer.from(base64, "base64"), passphrase: "" });
    server.on("error", () => undefined);
    const client = connect({ socket: near, rejectUnauthorized: false });
    client.on("error", () => undefined);
    await once(client, "secureConnect");
    const shown = client.getPeerX509Certificate();
    return shown === undefined
      ? undefined
      : {
          store,
          pkcs12: base64,
          thumbprint: shown.fingerprint.replaceAll(":", ""),
          names: (shown.subjectAltName ?? "").split(", ").map((name) => name.replace(/^DNS:/, "")),
          notBefore: Date.parse(shown.validFrom),
          notAfter: Date.parse(shown.validTo),
          selfSigned: shown.issuer === shown.subject && shown.verify(shown.publicKey),
        };
  } catch {
    return undefined;
  } finally {
    near.destroy();
    far.destroy();
  }
}

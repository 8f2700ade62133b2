/** Pebble, the ACME server that Let's Encrypt is tested with: it asks the simulated DNS, and its doors have certificates of the simulated clouds. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { freePorts } from "../../infra/local/azurite.ts";
import type { Clouds } from "../../infra/local/clouds/clouds.ts";

const PROGRAM = "/usr/bin/pebble";

/** Why a test that needs it is skipped; Debian and Ubuntu have it as a package. */
export const noPebble = existsSync(PROGRAM) ? false : `${PROGRAM} is not installed (apt-get install pebble)`;

export interface Pebble {
  directoryUrl: string;
  /** Everything that it said, a line each. */
  said: string[];
  /** This process trusts what it signs from now on. */
  trust(): Promise<void>;
  stop(): Promise<void>;
}

export interface PebbleOptions {
  /** One that is free, where it has to be known before. */
  port?: number;
  /** How long its certificates live. */
  days?: number;
  /** HMAC keys by key id, base64url; without an account of theirs nobody is let in. */
  externalAccounts?: Record<string, string>;
  /** How many nonces of a hundred are refused. */
  badNonces?: number;
}

export const directoryAt = (port: number): string => `https://127.0.0.1:${port}/dir`;
const DAY_IN_SECONDS = 24 * 3600;

export async function startPebble(
  { platform, dns }: Pick<Clouds, "platform" | "dns">,
  { port: wanted, days = 90, externalAccounts, badNonces = 0 }: PebbleOptions = {},
): Promise<Pebble> {
  const [free = 0, managementPort = 0, nobody = 0] = await freePorts(3);
  const port = wanted ?? free;
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-pebble-"));
  const { certificate, key } = await platform.certificates.issue("localhost", "127.0.0.1");
  const files = {
    certificate: join(folder, "certificate.pem"),
    privateKey: join(folder, "key.pem"),
    config: join(folder, "config.json"),
  };
  writeFileSync(files.certificate, certificate);
  writeFileSync(files.privateKey, key, { mode: 0o600 });
  const config = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: files.certificate,
    privateKey: files.privateKey,
    httpPort: nobody,
    tlsPort: nobody,
    ocspResponderURL: "",
    externalAccountBindingRequired: externalAccounts !== undefined,
    ...(externalAccounts && { externalAccountMACKeys: externalAccounts }),
    certificateValidityPeriod: days * DAY_IN_SECONDS,
  };
  writeFileSync(files.config, JSON.stringify({ pebble: config }));
  const child = spawn(PROGRAM, ["-config", files.config, "-dnsserver", dns, "-strict"], {
    // It sleeps up to 15 seconds before it validates, unless it is told not to.
    env: { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: String(badNonces), PEBBLE_AUTHZREUSE: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => said.push(...text.split("\n").filter((line) => line !== "")));
  const directoryUrl = directoryAt(port);
  await untilAnswering(directoryUrl, child, said);
  return {
    directoryUrl,
    said,
    trust: async () => {
      const root = await (await fetch(`https://127.0.0.1:${managementPort}/roots/0`)).text();
      setDefaultCACertificates([...getCACertificates("default"), root]);
    },
    stop: async () => {
      const ended = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilAnswering(url: string, child: ChildProcess, said: string[]): Promise<void> {
  while (child.exitCode === null) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    await pause(20);
  }
  throw new Error(`Pebble has ended: ${said.join("\n")}`);
}

/** A platform that runs on this machine, found by its folder: where it is and who may talk to it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import type { ApiCredentials } from "./platform.ts";
import { connectionLost } from "./through-restarts.ts";
import { tokenSource } from "./tokens.ts";

export interface RunningPlatform {
  api: string;
  control: string;
  clients: ApiCredentials[];
}

/** From now on this process trusts the platform's clouds. Throws an error for the person at the terminal when nothing runs there. */
export function runningPlatform(data: string): RunningPlatform {
  let text: string;
  try {
    text = readFileSync(join(data, "endpoints.json"), "utf8");
  } catch (error) {
    throw notRunning(data, error);
  }
  const { ca, ...platform } = JSON.parse(text) as RunningPlatform & { ca: string };
  setDefaultCACertificates([...getCACertificates("default"), readFileSync(ca, "utf8")]);
  return platform;
}

/** A source of access tokens that has given one: the file stays when a platform has ended. */
export async function signIn(
  { clients }: RunningPlatform,
  role: ApiCredentials["role"],
  data: string,
): Promise<{ token: () => Promise<string>; credentials: ApiCredentials }> {
  const credentials = clients.find((one) => one.role === role);
  if (!credentials) throw new Error(`the platform on ${data} has no ${role}`);
  const token = tokenSource(credentials);
  await token().catch((error: unknown) => Promise.reject(connectionLost(error) ? notRunning(data, error) : error));
  return { token, credentials };
}

const notRunning = (data: string, cause: unknown): Error =>
  new Error(`no platform is running on ${data}: start one with npm start, or name its folder with --data DIR`, { cause });

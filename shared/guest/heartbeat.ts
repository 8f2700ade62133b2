/** The second static script, which tells us every ten minutes how a machine is: its files and its task in a guest document. Pure. */
import type { GuestDocument } from "./document.ts";

export interface HeartbeatSettings {
  /** Where it is posted to: the route's whole URL. */
  url: string;
  /** Client id of our application: the audience of the token that the machine asks for. */
  audience: string;
  identityClientId: string;
  /** Name that its certificate has and with which it greets. */
  fqdn: string;
  /** The tenant's own Microsoft 365 endpoint, and a recipient there; the probe ends before any message. */
  probe?: { host: string; recipient: string } | undefined;
  /** Windows services whose state is told. */
  services: string[];
}

/** Only administrators may write here: what SYSTEM runs must be nobody else's to change, as it would be under ProgramData. */
const FOLDER = "C:\\Program Files\\Gatehouse";
export const HEARTBEAT_SCRIPT = `${FOLDER}\\heartbeat.ps1`;
export const HEARTBEAT_SETTINGS = `${FOLDER}\\heartbeat.json`;
export const HEARTBEAT_EVERY_MINUTES = 10;

export const heartbeatFiles = (settings: HeartbeatSettings): NonNullable<GuestDocument["files"]> => [
  { path: HEARTBEAT_SCRIPT, script: "heartbeat" },
  { path: HEARTBEAT_SETTINGS, content: `${JSON.stringify(settings)}\n` },
];

export const heartbeatTask: NonNullable<GuestDocument["tasks"]>[number] = {
  name: "Heartbeat",
  execute: "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
  // Nothing of a tenant's stands in a command line; the settings are a file beside the script.
  arguments: `-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "${HEARTBEAT_SCRIPT}"`,
  everyInMinutes: HEARTBEAT_EVERY_MINUTES,
};

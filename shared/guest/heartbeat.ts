/** The second static script, which tells us every ten minutes how a machine is: its files and its task in a guest document. Pure. */
import { agentFiles, type AgentSettings, agentTask } from "./agent.ts";
import type { GuestDocument } from "./document.ts";

export interface HeartbeatSettings extends AgentSettings {
  /** Name that its certificate has and with which it greets. */
  fqdn: string;
  /** The tenant's own Microsoft 365 endpoint, and a recipient there; the probe ends before any message. */
  probe?: { host: string; recipient: string } | undefined;
  /** Windows services whose state is told. */
  services: string[];
  /** The directory's document, where the machine has one: which one is told. */
  directoryFile?: string | undefined;
}

export const HEARTBEAT_EVERY_MINUTES = 10;

export const heartbeatFiles = (settings: HeartbeatSettings): NonNullable<GuestDocument["files"]> =>
  agentFiles("heartbeat", settings);

export const heartbeatTask = agentTask("Heartbeat", "heartbeat", HEARTBEAT_EVERY_MINUTES);

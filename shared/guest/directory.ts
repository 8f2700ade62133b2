/** The third static script, which fetches the tenant's directory (mission D5): its files and its task in a guest document. Pure. */
import { agentFiles, type AgentSettings, agentTask } from "./agent.ts";
import type { GuestDocument } from "./document.ts";

export interface DirectorySettings extends AgentSettings {
  /** Where the document goes. */
  file: string;
}

export const DIRECTORY_EVERY_MINUTES = 30;

export const directoryFiles = (settings: DirectorySettings): NonNullable<GuestDocument["files"]> =>
  agentFiles("directory", settings);

export const directoryTask = agentTask("Directory", "directory", DIRECTORY_EVERY_MINUTES);

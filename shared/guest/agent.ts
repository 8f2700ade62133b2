/** What our static scripts on a machine have in common: where they and their settings are, and the task that runs them. Pure. */
import type { GuestDocument } from "./document.ts";

type Files = NonNullable<GuestDocument["files"]>;
type Script = NonNullable<Files[number]["script"]>;

export interface AgentSettings {
  /** The route's whole URL. */
  url: string;
  /** Client id of our application: the audience of the token that the machine asks for. */
  audience: string;
  identityClientId: string;
}

/** Only administrators may write here: what SYSTEM runs must be nobody else's to change, as it would be under ProgramData. */
const FOLDER = "C:\\Program Files\\Gatehouse";

export const agentFiles = (script: Script, settings: AgentSettings): Files => [
  { path: `${FOLDER}\\${script}.ps1`, script },
  { path: `${FOLDER}\\${script}.json`, content: `${JSON.stringify(settings)}\n` },
];

export const agentTask = (name: string, script: Script, everyInMinutes: number): NonNullable<GuestDocument["tasks"]>[number] => ({
  name,
  execute: "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
  // Nothing of a tenant's stands in a command line; the settings are a file beside the script.
  arguments: `-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "${FOLDER}\\${script}.ps1"`,
  everyInMinutes,
});

/** The engine's text, read once: what Run Command sends to a gateway, the same for every tenant and document. */
import { readFileSync } from "node:fs";
import * as z from "zod";

export const engineScript = readFileSync(new URL("./engine.ps1", import.meta.url), "utf8");

export type GuestMode = "test" | "set";

/** The one JSON line that the engine prints. Differences name properties (`smtp/smartHost`), never values of secrets. */
const engineOutputSchema = z.object({
  inDesiredState: z.boolean(),
  generation: z.number().int(),
  differences: z.array(z.string()),
  changed: z.array(z.string()).default([]),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export type EngineOutput = z.output<typeof engineOutputSchema>;

/** Output may be cut to its last 4 kB and preceded by what Windows printed: the last line that is ours counts. */
export function parseEngineOutput(output: string): EngineOutput | undefined {
  for (const line of output.split(/\r?\n/).reverse()) {
    if (!line.trim().startsWith("{")) continue;
    try {
      const parsed = engineOutputSchema.safeParse(JSON.parse(line));
      if (parsed.success) return parsed.data;
    } catch {
      // another program's line that only begins like JSON
    }
  }
  return undefined;
}

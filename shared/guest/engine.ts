/** The engine's text, read once: what Run Command sends to a machine, the same for every tenant and document; and what it prints. */
import { readFileSync } from "node:fs";
import * as z from "zod";

export const engineScript = readFileSync(new URL("./engine.ps1", import.meta.url), "utf8");

export type GuestMode = "test" | "set";

/** What may go wrong, and the engine's exit code: 1 it failed, 2 the document is refused, 3 the same run may succeed later. */
export const engineCodes = {
  AccountUnknown: 1,
  CertificateMismatch: 1,
  DocumentMalformed: 2,
  DocumentUnsupported: 2,
  EngineBusy: 3,
  EvidenceMissing: 3,
  FeatureFailed: 1,
  FeatureUnknown: 1,
  GenerationOutdated: 2,
  GuestFailed: 1,
  LcmBusy: 3,
  PartMissing: 2,
  PasswordUnknown: 1,
  RelayListMissing: 1,
  RestartNeeded: 3,
  RightsFailed: 1,
  SecretUnreadable: 3,
  ServiceMissing: 1,
  SqlForbidden: 1,
  SqlUnavailable: 3,
  XmlMalformed: 1,
  XmlMissing: 1,
  XmlNodeAmbiguous: 1,
  XmlNodeComplex: 1,
  XmlNodeMissing: 1,
} as const;

/** The one JSON line that the engine prints. Differences name properties (`smtp/smartHost`), never values of secrets. */
const engineOutputSchema = z.object({
  inDesiredState: z.boolean(),
  generation: z.number().int(),
  /** Run Command keeps 4 kB: with more to tell, the rest is on further pages, each a run in test mode of its own. */
  page: z.number().int().default(1),
  pages: z.number().int().default(1),
  differences: z.array(z.string()),
  changed: z.array(z.string()).default([]),
  /** `<property>=<fingerprint>` of what stands there, salted with the secret's name. */
  secrets: z.array(z.string()).default([]),
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

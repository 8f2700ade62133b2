/**
 * Plays the guest engine on a simulated Windows. Scripts are not interpreted: the engine (shared/guest/engine.ps1) is recognised by its
 * first line, its document read and applied kind by kind with the same results, errors and fences; any other script fails as PowerShell would.
 *
 * Sources: the engine's own text; cmd.exe between Run Command and the script (Azure/azure-powershell#29880); fixtures in test/guest.
 */
import { gunzipSync } from "node:zlib";
import type { SecretReference } from "../../../../shared/vault/reference.ts";
import { certificateIn } from "./certificates.ts";
import { documentSchema, EngineFailure, type MachineDocument } from "./document.ts";
import { kinds, type Means, registryPlace, requireEvidence, restart } from "./kinds.ts";
import { productStarted, setUpBy } from "./product.ts";
import { derived, type GuestState, type MachineCertificate } from "./state.ts";
import { fingerprintOf, knownValues, rememberedValues, secretId, secretsIn } from "./values.ts";

export interface Parameter {
  name: string;
  value: string;
}

export interface ScriptResult {
  exitCode: number;
  output: string;
  error: string;
  /** The machine afterwards; left out when nothing changed. */
  guest?: GuestState;
}

export interface Engine {
  /** As it came; the engine itself says whether it can read it. */
  document: string;
  mode: "test" | "set";
  identityClientId: string;
  page: number;
}

const ENGINE = /^\uFEFF?# gatehouse-guest-engine 2\b/;
const MOST_CHARACTERS = 6 * 1024;
const PARAMETERS = ["document", "mode", "identityclientid", "page"];

/** What Run Command would start: our engine with its arguments, or the error that Windows answers with instead. */
export function readScript(script: string, parameters: Parameter[]): Engine | { error: string } {
  if (!ENGINE.test(script))
    return { error: "The simulated Windows plays only Gatehouse's guest engine; this script cannot be run here." };
  if (parameters.some(({ value }) => value.length > MOST_CHARACTERS)) return { error: "The command line is too long." };
  const mangled = parameters.find(({ name, value }) => /[\s^&%<>|"]/.test(name + value));
  if (mangled !== undefined) return { error: `A positional parameter cannot be found that accepts argument '${mangled.name}'.` };
  const given = new Map(parameters.map(({ name, value }) => [name.toLowerCase(), value]));
  const unknown = parameters.find(({ name }) => !PARAMETERS.includes(name.toLowerCase()));
  if (unknown !== undefined) return { error: `A parameter cannot be found that matches parameter name '${unknown.name}'.` };
  const document = given.get("document");
  const mode = given.get("mode");
  const identityClientId = given.get("identityclientid");
  const page = Number(given.get("page") ?? 1);
  const missing = Object.entries({ Document: document, Mode: mode, IdentityClientId: identityClientId }).find(
    ([, value]) => value === undefined,
  );
  if (missing !== undefined || document === undefined || identityClientId === undefined)
    return { error: `Cannot process command because of one or more missing mandatory parameters: ${missing?.[0]}.` };
  if (mode !== "test" && mode !== "set")
    return {
      error: `Cannot validate argument on parameter 'Mode'. The argument "${mode}" does not belong to the set "test,set".`,
    };
  const unfit = (name: string) => ({
    error: `Cannot validate argument on parameter '${name}'. The argument does not match the pattern.`,
  });
  if (!/^[A-Za-z0-9_-]+$/.test(document)) return unfit("Document");
  if (!/^[0-9a-f-]{36}$/i.test(identityClientId)) return unfit("IdentityClientId");
  if (!Number.isInteger(page) || page < 1 || page > 99) return unfit("Page");
  return { document, mode, identityClientId, page };
}

function readDocument(encoded: string): MachineDocument {
  try {
    const json: unknown = JSON.parse(
      gunzipSync(Buffer.from(encoded, "base64url"), { maxOutputLength: 1024 * 1024 }).toString("utf8"),
    );
    const document = documentSchema.parse(json);
    if (document.schema === 2) return document;
  } catch {
    throw new EngineFailure("DocumentMalformed", "the guest document could not be read");
  }
  throw new EngineFailure("DocumentUnsupported", "this engine reads documents of schema 2");
}

export type ReadSecret = (reference: SecretReference, identityClientId: string) => Promise<string>;

/** Plays the engine on a machine: test compares, set changes what differs and compares again. */
export async function runEngine(
  before: GuestState,
  engine: Engine,
  { readSecret, now }: { readSecret: ReadSecret; now: number },
): Promise<ScriptResult> {
  const { mode, identityClientId, page } = engine;
  let generation = 0;
  let guest = setUpBy(now, before);
  try {
    const document = readDocument(engine.document);
    ({ generation } = document);
    const part = document.part?.number ?? 1;
    const last = document.part === undefined || part === document.part.of;
    const afterParts = last && document.part !== undefined && numberOf(guest, "RestartDue", document) !== 0;
    guest = fenced(guest, document, part, mode);
    if (mode === "set") requireEvidence(guest, document);
    const means = await meansFor(guest, document, { now, readSecret: (reference) => readSecret(reference, identityClientId) });
    const found = differences(guest, document, means);
    let left = found;
    if (mode === "set") {
      if (found.length > 0 || afterParts) {
        if (!last) guest = withNumber(guest, "RestartDue", 1, document);
        const untouched = guest;
        for (const kind of Object.values(kinds)) guest = derived(kind.set(guest, document, means));
        guest = derived(productStarted(untouched, restart(guest, document, found, afterParts)));
        left = differences(guest, document, means);
      }
      if (left.length === 0) guest = applied(guest, document, part);
      if (left.length === 0 && afterParts) guest = withNumber(guest, "RestartDue", 0, document);
    }
    const changed = found.filter((difference) => !left.includes(difference));
    const secrets = fingerprints(guest, document);
    return told(guest, mode, 0, {
      page,
      generation,
      inDesiredState: left.length === 0,
      differences: left,
      changed: mode === "set" ? changed : [],
      secrets,
    });
  } catch (error) {
    if (!(error instanceof EngineFailure)) throw error;
    const { code, message } = error;
    const nothing = { page, generation, inDesiredState: false, differences: [], changed: [], secrets: [] };
    return told(guest, mode, exitCodes[code] ?? 1, { ...nothing, error: { code, message } });
  }
}

/** The contract with whoever reads an exit code: 1 it failed, 2 the document is refused, 3 the same run may succeed later. */
const exitCodes: Record<string, number> = {
  DocumentMalformed: 2,
  DocumentUnsupported: 2,
  GenerationOutdated: 2,
  PartMissing: 2,
  EvidenceMissing: 3,
  LcmBusy: 3,
  RestartNeeded: 3,
  SecretUnreadable: 3,
  SqlUnavailable: 3,
};

const differences = (guest: GuestState, document: MachineDocument, means: Means): string[] =>
  Object.values(kinds).flatMap((kind) => kind.differences(guest, document, means));

/** Whether a run in set mode waits for an image's own set-up to end. */
export function waitsForSetUp({ setUp }: GuestState, { document: encoded, mode }: Engine): boolean {
  if (mode === "test" || setUp === undefined) return false;
  try {
    return readDocument(encoded).evidence.length > 0;
  } catch (error) {
    if (error instanceof EngineFailure) return false;
    throw error;
  }
}

/** Whether a run in set mode would change the machine, told without the vault: a secret of a known version is known by its hash. */
export function wouldChange(guest: GuestState, { document: encoded, mode }: Engine, now: number): boolean {
  if (mode === "test") return false;
  try {
    const document = readDocument(encoded);
    const { generation } = document;
    const part = document.part?.number ?? 1;
    if (generation < numberOf(guest, "Generation", document) || part > appliedPart(guest, document) + 1) return false;
    if (part > appliedPart(guest, document)) return true;
    if (part === document.part?.of && numberOf(guest, "RestartDue", document) !== 0) return true;
    return differences(guest, document, { now, values: rememberedValues(guest), certificates: new Map() }).length > 0;
  } catch (error) {
    if (error instanceof EngineFailure) return false;
    throw error;
  }
}

async function meansFor(
  guest: GuestState,
  document: MachineDocument,
  { now, readSecret }: { now: number; readSecret: (reference: SecretReference) => Promise<string> },
): Promise<Means> {
  // Features are asked for before any secret is.
  kinds["features"]?.differences(guest, document, { now, values: rememberedValues(guest), certificates: new Map() });
  const secrets = new Map<string, string>();
  for (const reference of secretsIn(document)) {
    const value = await readSecret(reference).catch((cause: unknown) => {
      throw new EngineFailure("SecretUnreadable", cause instanceof Error ? cause.message : "failed");
    });
    secrets.set(secretId(reference), value);
  }
  const certificates = new Map<string, MachineCertificate | undefined>();
  for (const { secret, store, thumbprint } of document.certificates) {
    if (secret === undefined) continue;
    const found = await certificateIn(secrets.get(secretId(secret)) ?? "", store);
    certificates.set(`${store}/${thumbprint}`, found?.thumbprint === thumbprint ? found : undefined);
  }
  return { now, values: knownValues(secrets), certificates };
}

/** Of what is there, not of what should be. */
function fingerprints(guest: GuestState, { registry }: MachineDocument): string[] {
  return registry.flatMap((entry) => {
    const data = guest.registry[entry.path.toLowerCase()]?.[entry.name]?.data;
    if (entry.secret === undefined || typeof data !== "string") return [];
    const { prefix = "" } = entry;
    const value = data.startsWith(prefix) ? data.slice(prefix.length) : data;
    return [`${registryPlace(entry)}=${fingerprintOf(entry.secret.name, value)}`];
  });
}

const STATE_KEY = "hklm\\software\\gatehouse\\guest";

/** A document beside the machine's own has numbers of its own. */
const keyOf = ({ beside }: Beside): string => (beside === undefined ? STATE_KEY : `${STATE_KEY}\\${beside}`);
type Beside = Pick<MachineDocument, "beside">;

const numberOf = ({ registry }: GuestState, name: string, document: Beside): number =>
  Number(registry[keyOf(document)]?.[name]?.data ?? 0);
const withNumber = (guest: GuestState, name: string, data: number, document: Beside): GuestState => ({
  ...guest,
  registry: {
    ...guest.registry,
    [keyOf(document)]: { ...guest.registry[keyOf(document)], [name]: { type: "DWord", data } },
  },
});
const appliedPart = (guest: GuestState, document: Beside & Pick<MachineDocument, "generation">): number =>
  numberOf(guest, "AppliedGeneration", document) === document.generation ? numberOf(guest, "AppliedPart", document) : 0;

function fenced(guest: GuestState, document: MachineDocument, part: number, mode: "test" | "set"): GuestState {
  const { generation } = document;
  const seen = numberOf(guest, "Generation", document);
  if (generation < seen)
    throw new EngineFailure("GenerationOutdated", `the machine has generation ${seen}, the document is ${generation}`);
  if (mode === "test") return guest;
  if (part > appliedPart(guest, document) + 1)
    throw new EngineFailure("PartMissing", `part ${part} of generation ${generation} came before the one that it follows`);
  return generation > seen ? withNumber(guest, "Generation", generation, document) : guest;
}

const applied = (guest: GuestState, document: MachineDocument, part: number): GuestState =>
  part <= appliedPart(guest, document)
    ? guest
    : withNumber(withNumber(guest, "AppliedPart", part, document), "AppliedGeneration", document.generation, document);

/** What the heartbeat tells of it. */
export const appliedOf = (guest: GuestState): { generation: number; part: number } => ({
  generation: numberOf(guest, "AppliedGeneration", {}),
  part: numberOf(guest, "AppliedPart", {}),
});

interface Told {
  page: number;
  generation: number;
  inDesiredState: boolean;
  differences: string[];
  changed: string[];
  secrets: string[];
  error?: { code: string; message: string };
}

const PAGE_LENGTH = 3000;
const LISTS = ["differences", "changed", "secrets"] as const;
type Page = Pick<Told, (typeof LISTS)[number]>;

/** One line of ASCII; lists are dealt out on pages, since Run Command keeps the last 4 kB. */
function told(guest: GuestState, mode: "test" | "set", exitCode: number, result: Told): ScriptResult {
  const { page, generation, inDesiredState, error } = result;
  const pages: Page[] = [{ differences: [], changed: [], secrets: [] }];
  let length = 0;
  for (const list of LISTS)
    for (const item of result[list]) {
      const cost = ascii(JSON.stringify(item)).length + 1;
      if (length + cost > PAGE_LENGTH && length > 0) {
        pages.push({ differences: [], changed: [], secrets: [] });
        length = 0;
      }
      pages.at(-1)?.[list].push(item);
      length += cost;
    }
  const shown = pages[page - 1] ?? { differences: [], changed: [], secrets: [] };
  const line = { inDesiredState, generation, page, pages: pages.length, ...shown, ...(error === undefined ? {} : { error }) };
  return {
    exitCode,
    output: `${ascii(JSON.stringify(line))}\r\n`,
    error: "",
    ...(mode === "set" ? { guest } : {}),
  };
}

const ascii = (json: string): string =>
  json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

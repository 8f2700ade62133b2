/** A guest document on its way to a machine: gzip in base64url, and in several parts where one argument can't hold it. */
import { readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { ControlPlaneError } from "../errors.ts";
import { type GuestDocument, guestDocumentSchema, guestKinds } from "./document.ts";

/** Static scripts that a document installs, by the name that it has for them. */
const scripts = {
  heartbeat: withoutComments(readFileSync(new URL("./heartbeat.ps1", import.meta.url), "utf8")),
  directory: withoutComments(readFileSync(new URL("./directory.ps1", import.meta.url), "utf8")),
};

/** What its readers have here takes room on the way. The first line stays: it says which script it is. */
export function withoutComments(script: string): string {
  const [name, ...lines] = script.replace(/^<#[^]*?^#>\n/m, "").split("\n");
  return [name, ...lines.filter((line) => /^\s*[^\s#]/.test(line)), ""].join("\n");
}

/** As it is sent: what the document only names is in it. */
const complete = (document: GuestDocument): GuestDocument => {
  const { files, ...rest } = guestDocumentSchema.parse(document);
  if (files === undefined) return rest;
  return {
    ...rest,
    files: files.map(({ script, ...file }) => (script === undefined ? file : { ...file, content: scripts[script] })),
  };
};

/** cmd.exe stands between Run Command and the script and takes 8191 characters a line, the script's own path included. */
export const MOST_CHARACTERS = 6 * 1024;

/**
 * Gzip in base64url: an alphabet that cmd.exe leaves alone, where `^ & % < > | "` would be interpreted.
 * Source: reports on Run Command's parameters, Azure/azure-powershell 29880 and 19087.
 */
export function encodeDocument(document: GuestDocument): string {
  const encoded = textOf(document);
  if (encoded.length > MOST_CHARACTERS)
    throw new ControlPlaneError(
      "GuestDocumentTooLarge",
      `the guest document takes ${encoded.length} of ${MOST_CHARACTERS} characters; split it into several parts`,
      400,
    );
  return encoded;
}

const textOf = (document: GuestDocument): string =>
  gzipSync(JSON.stringify(complete(document)), { level: 9 }).toString("base64url");

export function decodeDocument(encoded: string): GuestDocument {
  try {
    return guestDocumentSchema.parse(
      JSON.parse(gunzipSync(Buffer.from(encoded, "base64url"), { maxOutputLength: 1024 * 1024 }).toString("utf8")),
    );
  } catch (cause) {
    throw new ControlPlaneError("GuestDocumentMalformed", "decoding a guest document", 400, false, { cause });
  }
}

/**
 * The parts of a document, each of which fits into one run: one part when it fits as it is, else cut between entries in the order in
 * which the engine sets kinds. Services stay in the last part, because they start or restart what the others configured; the evidence is
 * asked for in every part, since each changes something.
 */
export function partsOf(document: GuestDocument): GuestDocument[] {
  const whole = complete(document);
  if (textOf(whole).length <= MOST_CHARACTERS) return [whole];
  const { schema, generation, beside, evidence, services, firewall } = whole;
  const frame: GuestDocument = {
    schema,
    generation,
    ...(beside === undefined ? {} : { beside }),
    ...(evidence === undefined ? {} : { evidence }),
    ...(firewall === undefined ? {} : { firewallNames: firewall.map(({ name }) => name) }),
  };
  const parts: GuestDocument[] = [];
  let part: GuestDocument | undefined;
  for (const piece of piecesOf(whole)) {
    const grown = merged(part ?? frame, piece);
    if (part !== undefined && !fits(grown)) {
      parts.push(part);
      part = merged(frame, piece);
    } else part = grown;
  }
  if (part !== undefined) parts.push(part);
  if (services !== undefined) {
    const last = parts.pop() ?? frame;
    const started = { ...last, services };
    parts.push(...(fits(started) ? [started] : [last, { ...frame, services }]));
  }
  // One entry alone is more than a run can carry: whoever encodes it is told so.
  if (parts.length < 2) return [whole];
  return parts.map((one, index) => ({ ...one, part: { number: index + 1, of: parts.length } }));
}

/** With room for the part's own number. */
const fits = (document: GuestDocument): boolean =>
  textOf({ ...document, part: { number: 99, of: 99 } }).length <= MOST_CHARACTERS;

type Piece = Partial<GuestDocument>;

/** The smallest pieces that a document can be cut into, in the engine's order. */
function piecesOf(document: GuestDocument): Piece[] {
  return guestKinds.flatMap((kind): Piece[] => {
    if (kind === "evidence" || kind === "services") return [];
    const section = document[kind];
    if (section === undefined) return [];
    return Array.isArray(section) && section.length > 0 ? section.map((entry) => ({ [kind]: [entry] })) : [{ [kind]: section }];
  });
}

const merged = (document: GuestDocument, piece: Piece): GuestDocument => {
  const [[kind, section] = []] = Object.entries(piece);
  if (kind === undefined) return document;
  const there = document[kind as keyof GuestDocument];
  return { ...document, [kind]: Array.isArray(there) && Array.isArray(section) ? [...there, ...section] : section };
};

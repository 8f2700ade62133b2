/** LDAP Data Interchange Format, version 1, written and read (RFC 2849). */
import { ControlPlaneError } from "../errors.ts";

export interface LdifEntry {
  dn: string;
  /** In the order in which they are written; a name may come again. */
  attributes: [name: string, value: string][];
}

export const LDIF_HEADER = "version: 1\n";

/** Readers need not take longer lines; what is longer goes on after a space. */
const WIDTH = 76;

/** An entry with the empty line that goes before it. */
export const ldifEntry = ({ dn, attributes }: LdifEntry): string =>
  `\n${line("dn", dn)}${attributes.map(([name, value]) => line(name, value)).join("")}`;

function line(name: string, value: string): string {
  const text = safe(value) ? `${name}: ${value}` : `${name}:: ${Buffer.from(value, "utf8").toString("base64")}`;
  return text.length <= WIDTH ? `${text}\n` : folded(text);
}

function folded(text: string): string {
  let lines = `${text.slice(0, WIDTH)}\n`;
  for (let at = WIDTH; at < text.length; at += WIDTH - 1) lines += ` ${text.slice(at, at + WIDTH - 1)}\n`;
  return lines;
}

/** SAFE-STRING, and no space at its end, where it would be lost to the eye (RFC 2849, notes 4 and 8). */
function safe(value: string): boolean {
  if (/^[ :<]/.test(value) || value.endsWith(" ")) return false;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code === 0 || code === LINE_FEED || code === CARRIAGE_RETURN || code > LAST_OF_ASCII) return false;
  }
  return true;
}

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const LAST_OF_ASCII = 127;

/** Throws LdifMalformed, with the number of the line. */
export function parseLdif(text: string): LdifEntry[] {
  const entries: LdifEntry[] = [];
  let entry: LdifEntry | undefined;
  for (const { number, content } of unfolded(text)) {
    if (content.startsWith("#")) continue;
    if (content === "") {
      entry = undefined;
      continue;
    }
    const [, name, colon, rest = ""] = /^([A-Za-z0-9][A-Za-z0-9.;-]*):(:?) *(.*)$/s.exec(content) ?? [];
    if (name === undefined || (colon === "" && rest.startsWith("<")))
      throw new ControlPlaneError("LdifMalformed", `line ${number} is no line of LDIF`, 502);
    const value = colon === ":" ? Buffer.from(rest, "base64").toString("utf8") : rest;
    if (name === "version" && entry === undefined && entries.length === 0) continue;
    if (entry === undefined) {
      if (name !== "dn") throw new ControlPlaneError("LdifMalformed", `line ${number} begins an entry without its name`, 502);
      entries.push((entry = { dn: value, attributes: [] }));
    } else entry.attributes.push([name, value]);
  }
  return entries;
}

function* unfolded(text: string): Generator<{ number: number; content: string }> {
  let current: { number: number; content: string } | undefined;
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    if (content.startsWith(" ") && current !== undefined) current.content += content.slice(1);
    else {
      if (current) yield current;
      current = { number: index + 1, content };
    }
  }
  if (current) yield current;
}

/** The chain of the audit log: each entry has the hash of the one before it, so that one that is changed, missing or moved shows. Pure. */
import { createHash } from "node:crypto";
import { type AuditEntry, OPERATORS } from "../api/audit.ts";

/** A partner's tenant, or the partner itself: each has a chain of its own, so that tenants don't wait for each other. */
export interface ChainOwner {
  partnerId: string;
  tenantId?: string | undefined;
}

/** Ids have no underscore, so no two owners make the same key. */
export const chainKey = ({ partnerId, tenantId }: ChainOwner): string =>
  tenantId === undefined ? partnerId : `${partnerId}_${tenantId}`;

/** What `chainKey` has made. */
export function ownerOf(key: string): ChainOwner {
  if (key === OPERATORS) return { partnerId: OPERATORS };
  const [partnerId = "", tenantId] = key.split("_");
  return { partnerId, tenantId };
}

/** An entry as it is stored: the hash is that of the very text. */
export interface Link {
  sequence: number;
  text: string;
  hash: string;
}

/** What an entry says, without its place in the chain. */
export type Draft = Omit<AuditEntry, "sequence" | "at" | "hash" | "previousHash" | "tenantId">;

/** A change that has begun and whose end nobody has written yet. */
export interface OpenChange {
  /** Whose end ends it: an operation's step, or a request. */
  key: string;
  /** Stands for what is changed: the same said again, while it is open, is one entry. */
  id: string;
  sequence: number;
  /** Said again where it ends. */
  about: Pick<Draft, "actor" | "operationId" | "step" | "action" | "target">;
}

export interface Head {
  sequence: number;
  hash: string;
  /** When the last entry was written; empty where that isn't known. */
  at: string;
  open: OpenChange[];
}

export const BEGINNING: Head = { sequence: 0, hash: "0".repeat(64), at: "", open: [] };

export const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

export function linked({ sequence, hash: previousHash }: Head, owner: ChainOwner, at: string, draft: Draft): Link {
  const text = JSON.stringify({ ...owner, sequence: sequence + 1, at, ...draft, previousHash });
  return { sequence: sequence + 1, text, hash: hashOf(text) };
}

/** What is kept of a chain in one month. */
export interface Segment {
  month: string;
  /** The last entry as the head knows it; none where nothing was written, or where the month was dropped. */
  head?: Pick<Head, "sequence" | "hash">;
  /** By their place in the table. */
  links: Link[];
}

export interface Verified {
  entries: number;
  /** The first and the last entry that are kept; to be noted elsewhere, since a chain can't tell that its newest entries were cut off with its head. */
  first?: number;
  last?: Pick<Link, "sequence" | "hash">;
  /** Where the chain breaks; none when it is whole. */
  problems: string[];
}

/** `segments` from the oldest month. A month that was dropped whole at the beginning is no break. */
export function verified(owner: ChainOwner, segments: Segment[]): Verified {
  const problems: string[] = [];
  const beginning = segments.findIndex(({ head, links }) => head !== undefined || links.length > 0);
  const kept = beginning < 0 ? [] : segments.slice(beginning);
  let last: Pick<Link, "sequence" | "hash"> = { sequence: BEGINNING.sequence, hash: BEGINNING.hash };
  let anywhere = beginning > 0;
  let first: number | undefined;
  let entries = 0;
  for (const { month, head, links } of kept) {
    for (const link of links) {
      entries += 1;
      first ??= link.sequence;
      problems.push(...linkProblems(link, owner, anywhere ? undefined : last));
      last = { sequence: link.sequence, hash: hashOf(link.text) };
      anywhere = false;
    }
    if (head === undefined) problems.push(`month ${month} has no head`);
    else if (head.sequence > last.sequence && !anywhere)
      problems.push(`entries ${last.sequence + 1} to ${head.sequence} are missing at the end of ${month}`);
    else if (!anywhere && (head.sequence !== last.sequence || head.hash !== last.hash))
      problems.push(`the head of ${month} does not name entry ${last.sequence} as the last one`);
  }
  return { entries, ...(first === undefined ? {} : { first, last }), problems };
}

function linkProblems({ sequence, text, hash }: Link, owner: ChainOwner, last?: Pick<Link, "sequence" | "hash">): string[] {
  if (hashOf(text) !== hash) return [`entry ${sequence} was changed: its text is not what was hashed`];
  const said = JSON.parse(text) as ChainOwner & { sequence: number; previousHash: string };
  if (said.sequence !== sequence || chainKey(said) !== chainKey(owner))
    return [`entry ${sequence} is out of place: it was written as entry ${said.sequence} of ${chainKey(said)}`];
  if (last === undefined) return [];
  if (sequence === last.sequence + 2) return [`entry ${sequence - 1} is missing`];
  if (sequence > last.sequence + 2) return [`entries ${last.sequence + 1} to ${sequence - 1} are missing`];
  return said.previousHash === last.hash ? [] : [`entry ${sequence} does not follow entry ${last.sequence}`];
}

/** Where a chain ended when it was looked at. */
export interface ChainHead {
  chain: string;
  sequence: number;
  hash: string;
}

/** What was written of chains where nobody can change it. */
export interface Anchor {
  name: string;
  at: string;
  heads: ChainHead[];
}

export interface AgainstAnchors {
  /** The last entry that an anchor has. */
  anchored?: { sequence: number; at: string };
  /** The first anchor that disagrees, and how many do. */
  problems: string[];
}

/** Months before this may have been dropped. */
const KEPT_FOR_MILLISECONDS = 13 * 31 * 24 * 3600 * 1000;

/** A chain that was written anew or cut off is whole in itself: only its anchors tell. `anchors` from the oldest. */
export function againstAnchors(owner: ChainOwner, segments: Segment[], anchors: Anchor[], now: number): AgainstAnchors {
  const chain = chainKey(owner);
  const kept = new Map(segments.flatMap(({ links }) => links).map(({ sequence, text }) => [sequence, hashOf(text)]));
  const last = Math.max(0, ...kept.keys());
  let anchored: AgainstAnchors["anchored"];
  const problems: string[] = [];
  for (const { name, at, heads } of anchors)
    for (const { sequence, hash } of heads.filter((head) => head.chain === chain)) {
      anchored = { sequence, at };
      const found = kept.get(sequence);
      if (found === hash) continue;
      if (found !== undefined) problems.push(`anchor ${name} says of entry ${sequence} another hash: the chain was written anew`);
      else if (sequence > last && last > 0)
        problems.push(`anchor ${name} has entry ${sequence}, and the chain ends with entry ${last}: its end was cut off`);
      else if (Date.parse(at) > now - KEPT_FOR_MILLISECONDS)
        problems.push(
          `anchor ${name} has entry ${sequence}, and ${last > 0 ? "that is not kept" : "nothing is kept of the chain"}`,
        );
    }
  const [first] = problems;
  const more = problems.length > 1 ? ` (${problems.length} anchors disagree)` : "";
  return { ...(anchored && { anchored }), problems: first === undefined ? [] : [`${first}${more}`] };
}

/**
 * `/users/delta` and `/groups/delta` (Graph v1.0, "Use delta query to track changes in Microsoft Graph data"): pages in no order, links with
 * tokens, `@removed`, `members@delta` in parts, and 410 for a token that is too old.
 */
import { createHash } from "node:crypto";
import type { Collection, Platform } from "../simulator.ts";
import { badRequest, GraphFailure } from "./answers.ts";
import type { GraphRequest, Route } from "./route.ts";

interface Told {
  id: string;
  /** When it last changed, by the tenant's own count. */
  changed: number;
  removed?: "changed" | "deleted" | undefined;
  properties: Record<string, unknown>;
}

interface StoredMember {
  group: string;
  id: string;
  type: "user" | "group" | "device";
  changed: number;
  removed?: true | undefined;
}

/** A hand in a customer's directory, for those who play its people. */
export interface DirectoryHand {
  put(kind: "users" | "groups", id: string, properties: Record<string, unknown>): void;
  /** Soft-deleted, as people do it, or gone for good. */
  remove(kind: "users" | "groups", id: string, reason?: "changed" | "deleted"): void;
  join(group: string, id: string, type: "user" | "group" | "device"): void;
  leave(group: string, id: string): void;
  /** Every token that was given until now is too old. */
  forget(): void;
}

interface State {
  count: number;
  /** Tokens of before are gone. */
  oldest: number;
}

const documents = ({ collection }: Pick<Platform, "collection">) => ({
  users: collection<Told>("graph.users"),
  groups: collection<Told>("graph.groups"),
  members: collection<StoredMember>("graph.members"),
  states: collection<State>("graph.delta"),
});

const ofTenant = <Item>(all: Collection<Item>, tenantId: string): Item[] =>
  all.entries().flatMap(([key, item]) => (key.startsWith(`${tenantId}/`) ? [item] : []));

export function directoryHand(platform: Pick<Platform, "collection">, tenantId: string): DirectoryHand {
  const { users, groups, members, states } = documents(platform);
  const kinds = { users, groups };
  const next = (): number => {
    const { count, oldest } = states.get(tenantId) ?? { count: 0, oldest: 0 };
    states.set(tenantId, { count: count + 1, oldest });
    return count + 1;
  };
  return {
    put: (kind, id, properties) => {
      const known = kinds[kind].get(`${tenantId}/${id}`);
      kinds[kind].set(`${tenantId}/${id}`, { id, changed: next(), properties: { ...known?.properties, ...properties } });
    },
    remove: (kind, id, reason = "changed") => {
      const known = kinds[kind].get(`${tenantId}/${id}`);
      if (known) kinds[kind].set(`${tenantId}/${id}`, { ...known, changed: next(), removed: reason });
    },
    join: (group, id, type) => members.set(`${tenantId}/${group}/${id}`, { group, id, type, changed: next() }),
    leave: (group, id) => {
      const known = members.get(`${tenantId}/${group}/${id}`);
      if (known) members.set(`${tenantId}/${group}/${id}`, { ...known, changed: next(), removed: true });
    },
    forget: () => {
      const count = next();
      states.set(tenantId, { count, oldest: count });
    },
  };
}

const PAGE_SIZE = 100;
/** Members of a group that come at once; the group comes again with the others. */
const MEMBERS_AT_ONCE = 40;

type Kind = "users" | "groups";

export const deltaRoutes: Route[] = (
  [
    ["users", ["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"]],
    [
      "groups",
      ["GroupMember.Read.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    ],
  ] as [Kind, string[]][]
).map(([kind, permissions]) => ({
  method: "GET",
  pattern: new RegExp(`^/${kind}/delta$`),
  permissions,
  run: (graph) => ({ status: 200, body: deltaOf(graph, kind) }),
}));

/** What a token stands for. */
interface Token {
  select: string[];
  /** What changed after it is told. */
  since: number;
  /** As it was when the round began: what changes meanwhile is for the next one. */
  until: number;
  /** How much of it has been told. */
  skip: number;
}

function deltaOf(graph: GraphRequest, kind: Kind): Record<string, unknown> {
  const { platform, tenantId, request } = graph;
  const { states } = documents(platform);
  const { count, oldest } = states.get(tenantId) ?? { count: 0, oldest: 0 };
  const query = request.url.searchParams;
  for (const option of ["$top", "$expand", "$orderby", "$search"])
    if (query.has(option)) throw badRequest(`The query option '${option}' is not supported for this delta query.`);
  const given = query.get("$skiptoken") ?? query.get("$deltatoken");
  const token = given === null ? firstToken(query, count) : readToken(given);
  if (token.since < oldest && given !== null)
    throw new GraphFailure(410, "syncStateNotFound", "The sync state generation is not found. Restart the synchronization.");
  const round = query.has("$deltatoken") ? { ...token, until: count, skip: 0 } : token;
  const all = toldSince(platform, tenantId, kind, round);
  const link = (name: string, next: Token): string => {
    const { origin, pathname } = new URL(platform.environment.graph.endpoint);
    return `${origin}${pathname.replace(/\/$/, "")}/v1.0/${kind}/delta?${name}=${encodeURIComponent(writeToken(next))}`;
  };
  const end = round.skip + PAGE_SIZE;
  return {
    "@odata.context": graph.context(kind),
    ...(end < all.length
      ? { "@odata.nextLink": link("$skiptoken", { ...round, skip: end }) }
      : { "@odata.deltaLink": link("$deltatoken", { select: round.select, since: round.until, until: round.until, skip: 0 }) }),
    value: all.slice(round.skip, end),
  };
}

/** In the order of a hash: nobody may count on one. */
function toldSince(platform: Platform, tenantId: string, kind: Kind, { select, since, until }: Token): Record<string, unknown>[] {
  const { members, ...kinds } = documents(platform);
  const within = ({ changed }: { changed: number }): boolean => changed > since && changed <= until;
  const joined = kind === "groups" && select.includes("members") ? ofTenant(members, tenantId).filter(within) : [];
  const byGroup = Map.groupBy(joined, ({ group }) => group);
  return ofTenant(kinds[kind], tenantId)
    .filter((object) => within(object) || byGroup.has(object.id))
    .filter(({ removed }) => removed === undefined || since > 0)
    .toSorted((one, other) => (hashOf(one.id) < hashOf(other.id) ? -1 : 1))
    .flatMap(({ id, removed, properties }): Record<string, unknown>[] => {
      if (removed) return [{ id, "@removed": { reason: removed } }];
      const shown = Object.fromEntries(
        select.filter((name) => name !== "members").map((name) => [name, properties[name] ?? null]),
      );
      const told = (byGroup.get(id) ?? [])
        .filter((member) => since > 0 || member.removed !== true)
        .map((member) => ({
          "@odata.type": `#microsoft.graph.${member.type}`,
          id: member.id,
          ...(member.removed ? { "@removed": { reason: "deleted" } } : {}),
        }));
      const parts = Array.from({ length: Math.max(1, Math.ceil(told.length / MEMBERS_AT_ONCE)) }, (_, part) =>
        told.slice(part * MEMBERS_AT_ONCE, (part + 1) * MEMBERS_AT_ONCE),
      );
      return parts.map((part) => ({ ...shown, id, ...(part.length > 0 ? { "members@delta": part } : {}) }));
    });
}

const firstToken = (query: URLSearchParams, count: number): Token => ({
  select: (query.get("$select") ?? "id,displayName").split(",").map((name) => name.trim()),
  since: 0,
  until: count,
  skip: 0,
});
const writeToken = (token: Token): string => Buffer.from(JSON.stringify(token)).toString("base64url");
function readToken(text: string): Token {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString()) as Token;
  } catch {
    throw badRequest("Badly formed token.", "BadRequest");
  }
}
const hashOf = (id: string): string => createHash("sha256").update(id).digest("hex");

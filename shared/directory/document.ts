/**
 * Mission D5: a directory as one LDIF document. Names derive from object ids, so that nothing that a person may rename is in them; `member`
 * has direct members, `memberOf` all groups up to the depth, for readers that don't follow groups into groups.
 */
import { LDIF_HEADER, ldifEntry, type LdifEntry, parseLdif } from "./ldif.ts";
import { membershipOf } from "./membership.ts";
import type { Group, User } from "./records.ts";

export interface DirectoryDocument {
  /** The main domain, whose labels are the base of all names. */
  domain: string;
  depth: number;
}

/** Users come one at a time; groups, of which there are far fewer, are held while it is written. */
export async function* directoryDocument(
  users: AsyncIterable<User>,
  groups: Group[],
  { domain, depth }: DirectoryDocument,
): AsyncGenerator<string> {
  const membership = membershipOf(groups, depth);
  const names = namesIn(domain);
  const groupNames = groups.map(({ id }) => names.group(id));
  const there = new Set<string>();
  const known = new Set(groups.map(({ id }) => id));
  const memberOf = (indexes: number[]): LdifEntry["attributes"] => indexes.map((index) => ["memberOf", groupNames[index] ?? ""]);
  yield LDIF_HEADER;
  for await (const user of users) {
    there.add(user.id);
    yield ldifEntry({
      dn: names.user(user.id),
      attributes: [
        ["objectClass", "inetOrgPerson"],
        ["uid", user.id],
        ["externalid", user.id],
        // Every person has to have these two (RFC 4519).
        ["cn", user.displayName ?? user.id],
        ["sn", user.surname ?? user.displayName ?? user.id],
        ...optional("displayName", user.displayName),
        ...optional("surname", user.surname),
        ...optional("givenName", user.givenName),
        ...optional("userPrincipalName", user.userPrincipalName),
        ...optional("mail", user.mail),
        ...optional("department", user.department),
        ...all("proxyAddresses", user.proxyAddresses),
        ...memberOf(membership.ofUser(user.id)),
      ],
    });
  }
  for (const [index, group] of groups.entries()) {
    // Graph may tell of a member's end before it tells of the end of its membership.
    const members = [
      ...group.users.filter((id) => there.has(id)).map(names.user),
      ...group.groups.filter((id) => known.has(id)).map(names.group),
    ];
    yield ldifEntry({
      dn: names.group(group.id),
      attributes: [
        ["objectClass", "groupOfNames"],
        ["externalid", group.id],
        ["cn", group.displayName ?? group.id],
        ...optional("displayName", group.displayName),
        ...optional("mail", group.mail),
        ...all("proxyAddresses", group.proxyAddresses),
        ...all("member", members),
        ...memberOf(membership.ofGroup(index)),
      ],
    });
  }
}

export interface Directory {
  users: (User & { memberOf: string[] })[];
  groups: (Group & { memberOf: string[] })[];
}

/** The directory that a document tells of; members are ids again. */
export function parseDirectory(document: string): Directory {
  const directory: Directory = { users: [], groups: [] };
  for (const { attributes } of parseLdif(document)) {
    const values = (name: string): string[] => attributes.filter(([one]) => one === name).map(([, value]) => value);
    const [id = ""] = values("externalid");
    const one = (name: string): object => {
      const [value] = values(name);
      return value === undefined ? {} : { [name]: value };
    };
    const addresses = values("proxyAddresses");
    const common = {
      id,
      ...one("displayName"),
      ...one("mail"),
      ...(addresses.length > 0 ? { proxyAddresses: addresses } : {}),
      memberOf: values("memberOf").map(idOf),
    };
    if (values("objectClass").includes("groupOfNames")) {
      const members = values("member");
      const of = (kind: string): string[] => members.filter((name) => name.includes(`,ou=${kind},`)).map(idOf);
      directory.groups.push({ ...common, users: of("users"), groups: of("groups") });
    } else
      directory.users.push({
        ...common,
        ...one("userPrincipalName"),
        ...one("givenName"),
        ...one("surname"),
        ...one("department"),
      });
  }
  return directory;
}

function namesIn(domain: string): { user(id: string): string; group(id: string): string } {
  const base = domain
    .split(".")
    .map((label) => `dc=${label}`)
    .join(",");
  return { user: (id) => `uid=${id},ou=users,${base}`, group: (id) => `cn=${id},ou=groups,${base}` };
}

const idOf = (name: string): string => name.slice(name.indexOf("=") + 1, name.indexOf(","));
const optional = (name: string, value: string | undefined): LdifEntry["attributes"] =>
  value === undefined ? [] : [[name, value]];
const all = (name: string, values: string[] = []): LdifEntry["attributes"] => values.map((value) => [name, value]);

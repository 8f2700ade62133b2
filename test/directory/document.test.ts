/** The LDIF document: what is written is read back, whatever people call themselves, and changes come to the same as the whole. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { directoryDocument, parseDirectory } from "../../shared/directory/document.ts";
import { LDIF_HEADER, ldifEntry, parseLdif } from "../../shared/directory/ldif.ts";
import { membershipOf } from "../../shared/directory/membership.ts";
import { merged, sortedById } from "../../shared/directory/merge.ts";
import {
  changedGroup,
  changedUser,
  type Group,
  type GroupChange,
  type User,
  type UserChange,
} from "../../shared/directory/records.ts";

const text = fc.string({ unit: "binary", maxLength: 120 });
const some = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });

async function* streamed<Item>(items: Item[]): AsyncGenerator<Item> {
  for (const item of items) yield await Promise.resolve(item);
}
const collected = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
};
const written = async (users: User[], groups: Group[], depth: number): Promise<string> =>
  (await collected(directoryDocument(streamed(users), groups, { domain: "contoso.example", depth }))).join("");

describe("LDIF (RFC 2849)", () => {
  test("what is safe is text, what isn't is base64, what is long is folded", () => {
    const long = "x".repeat(100);
    expect(
      ldifEntry({
        dn: "uid=1,dc=contoso",
        attributes: [
          ["cn", "Jané"],
          ["sn", " Doe"],
          ["mail", ":j"],
          ["description", long],
        ],
      }),
    ).toBe(
      `\ndn: uid=1,dc=contoso\ncn:: SmFuw6k=\nsn:: IERvZQ==\nmail:: Omo=\ndescription: ${"x".repeat(63)}\n ${"x".repeat(37)}\n`,
    );
  });

  test.each([
    ["an entry without a name", "version: 1\n\ncn: Jane\n"],
    ["a value to be fetched", "dn: uid=1\ncn:< file:///etc/passwd\n"],
    ["a line without a colon", "dn: uid=1\nJane\n"],
  ])("what is no LDIF is refused: %s", (_, document) => {
    expect(() => parseLdif(document)).toThrow(expect.objectContaining({ code: "LdifMalformed" }));
  });

  test("others' files are read: comments, CR LF, values that go on", () => {
    expect(parseLdif("version: 1\r\n# made by hand\r\n\r\ndn: uid=1,\r\n dc=contoso\r\ncn:Jane\r\n")).toEqual([
      { dn: "uid=1,dc=contoso", attributes: [["cn", "Jane"]] },
    ]);
  });

  test("any value comes back, and no line is longer than 76 bytes", () =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ dn: some, attributes: fc.array(fc.tuple(fc.constantFrom("cn", "mail", "a-b;lang-de"), text)) })),
        (entries) => {
          const document = LDIF_HEADER + entries.map(ldifEntry).join("");
          expect(parseLdif(document)).toEqual(entries);
          expect(document.split("\n").every((line) => Buffer.byteLength(line) <= 76)).toBe(true);
        },
      ),
    ));
});

const idOf = (kind: string) => fc.integer({ min: 0, max: 12 }).map((number) => `${kind}${String(number).padStart(3, "0")}`);
const maybe = fc.option(some, { nil: null });
const userChange = fc.record(
  {
    id: idOf("u"),
    "@removed": fc.constant({ reason: "deleted" }),
    displayName: maybe,
    userPrincipalName: maybe,
    mail: maybe,
    givenName: maybe,
    surname: maybe,
    department: maybe,
    proxyAddresses: fc.option(fc.uniqueArray(some, { maxLength: 3 }), { nil: null }),
  },
  { requiredKeys: ["id"] },
) as fc.Arbitrary<UserChange>;
const member = fc.oneof(
  idOf("u").map((id) => ({ id, "@odata.type": "#microsoft.graph.user" })),
  idOf("g").map((id) => ({ id, "@odata.type": "#microsoft.graph.group" })),
  fc.oneof(idOf("u"), idOf("g")).map((id) => ({ id, "@removed": { reason: "deleted" } })),
  idOf("d").map((id) => ({ id, "@odata.type": "#microsoft.graph.device" })),
);
const groupChange = fc.record(
  {
    id: idOf("g"),
    "@removed": fc.constant({ reason: "changed" }),
    displayName: maybe,
    mail: maybe,
    "members@delta": fc.array(member),
  },
  { requiredKeys: ["id"] },
) as fc.Arbitrary<GroupChange>;
const userPages = fc.array(fc.array(userChange, { maxLength: 8 }), { maxLength: 5 });
const groupPages = fc.array(fc.array(groupChange, { maxLength: 6 }), { maxLength: 5 });

/** As a reader would do it that has room for everything. */
function plainly<Record extends { id: string }, Change extends { id: string }>(
  pages: Change[][],
  changed: (before: Record | undefined, change: Change) => Record | undefined,
): Record[] {
  const all = new Map<string, Record>();
  for (const change of pages.flat()) {
    const after = changed(all.get(change.id), change);
    if (after) all.set(change.id, after);
    else all.delete(change.id);
  }
  return [...all.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
}
const folded = <Record extends { id: string }, Change extends { id: string }>(
  before: Record[],
  pages: Change[][],
  changed: (before: Record | undefined, change: Change) => Record | undefined,
): Promise<Record[]> =>
  collected(
    merged(
      streamed(before),
      pages.map((page) => streamed(sortedById(page))),
      changed,
    ),
  );

describe("for any directory and any tellings of it", () => {
  test("pages merged in streams come to the same as pages applied one after another, in one run or in several", () =>
    fc.assert(
      fc.asyncProperty(userPages, groupPages, fc.nat(5), async (users, groups, cut) => {
        const [wholeUsers, wholeGroups] = [plainly(users, changedUser), plainly(groups, changedGroup)];
        expect(await folded([], users, changedUser)).toEqual(wholeUsers);
        const first = await folded([], groups.slice(0, cut), changedGroup);
        expect(await folded(first, groups.slice(cut), changedGroup)).toEqual(wholeGroups);
      }),
    ));

  test("the document parses back to the same directory, and memberOf is who reaches whom within the depth", () =>
    fc.assert(
      fc.asyncProperty(userPages, groupPages, fc.integer({ min: 1, max: 4 }), async (userChanges, groupChanges, depth) => {
        const users = plainly(userChanges, changedUser);
        const groups = plainly(groupChanges, changedGroup);
        const { users: readUsers, groups: readGroups } = parseDirectory(await written(users, groups, depth));
        expect(readUsers.map(({ memberOf: _memberOf, ...user }) => user)).toEqual(users);
        const there = new Set([...users, ...groups].map(({ id }) => id));
        expect(readGroups.map(({ memberOf: _memberOf, ...group }) => group)).toEqual(
          groups.map((group) => ({
            ...group,
            users: group.users.filter((id) => there.has(id)),
            groups: group.groups.filter((id) => there.has(id)),
          })),
        );
        /** By going down from each group, instead of up from each member. */
        const below = (id: string, levels: number): string[] => {
          const group = groups.find((one) => one.id === id);
          if (group === undefined || levels === 0) return [];
          return [...group.users, ...group.groups, ...group.groups.flatMap((inner) => below(inner, levels - 1))];
        };
        for (const { id, memberOf } of [...readUsers, ...readGroups])
          expect(memberOf).toEqual(groups.filter((group) => below(group.id, depth).includes(id)).map((group) => group.id));
      }),
      { numRuns: 60 },
    ));
});

test("groups that are in each other end somewhere", () => {
  const circle: Group[] = [
    { id: "a", users: ["u"], groups: ["b"] },
    { id: "b", users: [], groups: ["a"] },
  ];
  expect(membershipOf(circle, 10).ofUser("u")).toEqual([0, 1]);
  expect(membershipOf(circle, 1).ofUser("u")).toEqual([0]);
});

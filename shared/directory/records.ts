/** Users and groups as Microsoft Graph's delta queries tell of them, and what many such tellings come to in the end. */
import * as z from "zod";

const text = z.string().nullish();

/** What a delta query says of one object: the properties that changed, at least. */
export const userChangeSchema = z.object({
  id: z.string(),
  "@removed": z.looseObject({}).optional(),
  displayName: text,
  userPrincipalName: text,
  mail: text,
  givenName: text,
  surname: text,
  department: text,
  proxyAddresses: z.array(z.string()).nullish(),
});
export const groupChangeSchema = z.object({
  id: z.string(),
  "@removed": z.looseObject({}).optional(),
  displayName: text,
  mail: text,
  proxyAddresses: z.array(z.string()).nullish(),
  "members@delta": z
    .array(z.object({ id: z.string(), "@odata.type": z.string().optional(), "@removed": z.looseObject({}).optional() }))
    .optional(),
});
export type UserChange = z.output<typeof userChangeSchema>;
export type GroupChange = z.output<typeof groupChangeSchema>;

export const selected = {
  users: "id,displayName,userPrincipalName,mail,givenName,surname,department,proxyAddresses",
  groups: "id,displayName,mail,proxyAddresses,members",
};

export interface User {
  id: string;
  displayName?: string | undefined;
  userPrincipalName?: string | undefined;
  mail?: string | undefined;
  givenName?: string | undefined;
  surname?: string | undefined;
  department?: string | undefined;
  proxyAddresses?: string[] | undefined;
}

export interface Group {
  id: string;
  displayName?: string | undefined;
  mail?: string | undefined;
  proxyAddresses?: string[] | undefined;
  /** Ids of its direct members of each kind, sorted; devices and service principals are nobody's mail. */
  users: string[];
  groups: string[];
}

/** `undefined`: it is gone. */
export function changedUser(before: User | undefined, { "@removed": removed, ...change }: UserChange): User | undefined {
  return removed ? undefined : (given({ ...before, ...change }) as User);
}

export function changedGroup(
  before: Group | undefined,
  { "@removed": removed, "members@delta": members = [], ...change }: GroupChange,
): Group | undefined {
  if (removed) return undefined;
  const users = new Set(before?.users);
  const groups = new Set(before?.groups);
  for (const { id, "@odata.type": type, "@removed": left } of members) {
    if (left) {
      users.delete(id);
      groups.delete(id);
    } else if (type === "#microsoft.graph.group") groups.add(id);
    else if (type === "#microsoft.graph.user") users.add(id);
  }
  return { ...(given({ ...before, ...change }) as Group), users: [...users].sort(), groups: [...groups].sort() };
}

/** What Graph says to be null or empty isn't there. Always in the same order, so that the same directory is the same text. */
const given = (record: object): object =>
  Object.fromEntries(
    Object.entries(record)
      .filter(([, value]) => value !== null && value !== undefined && (value as string | string[]).length > 0)
      .map(([name, value]): [string, unknown] => [name, Array.isArray(value) ? (value as string[]).toSorted() : value])
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );

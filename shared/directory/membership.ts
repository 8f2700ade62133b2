/** Who is in which group, directly or through other groups, as far up as is asked for. */
import type { Group } from "./records.ts";

export interface Membership {
  /** Numbers of the groups that the user is in, by the order of the groups. */
  ofUser(id: string): number[];
  ofGroup(index: number): number[];
}

/** `depth` 1 is direct membership. Groups that are in each other in a circle are in all of them. */
export function membershipOf(groups: Pick<Group, "id" | "users" | "groups">[], depth: number): Membership {
  const indexes = new Map(groups.map(({ id }, index) => [id, index]));
  const parents: number[][] = groups.map(() => []);
  const direct = new Map<string, number[]>();
  for (const [index, group] of groups.entries()) {
    for (const id of group.groups) {
      const child = indexes.get(id);
      if (child !== undefined) parents[child]?.push(index);
    }
    for (const id of group.users) {
      const known = direct.get(id);
      if (known) known.push(index);
      else direct.set(id, [index]);
    }
  }
  const upwards = (first: number[]): number[] => {
    const found = new Set(first);
    let level = first;
    for (let distance = 1; distance < depth && level.length > 0; distance++) {
      level = level.flatMap((index) => parents[index] ?? []).filter((index) => !found.has(index));
      for (const index of level) found.add(index);
    }
    return [...found].sort((one, other) => one - other);
  };
  return {
    ofUser: (id) => upwards(direct.get(id) ?? []),
    ofGroup: (index) => upwards(parents[index] ?? []),
  };
}

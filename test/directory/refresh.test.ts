/** A directory read by delta queries over the wire and kept as a document: incrementally, from any interruption on, and never emptied by mistake. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type DirectoryHand, directoryHand } from "../../infra/local/clouds/graph/delta.ts";
import { type Directory, parseDirectory } from "../../shared/directory/document.ts";
import { collectChunk, type DirectoryWorld, documentPath, publishRun } from "../../shared/directory/refresh.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph, type Graph } from "../../shared/graph/client.ts";
import { createDirectoryStore, pathOf } from "../../shared/stores/directories.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { permitDirectory } from "../support/directory.ts";
import { ownStorage } from "../support/own-storage.ts";

let clouds: TestClouds;
let graph: Graph;
const directories = createDirectoryStore(ownStorage());
beforeAll(async () => {
  clouds = await startClouds();
  graph = createGraph({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
});
afterAll(() => clouds.stop());

let wanted: Parameters<typeof publishRun>[1];
let hand: DirectoryHand;
let world: DirectoryWorld;
beforeEach(async () => {
  const organization = randomUUID();
  const domain = `d${organization.slice(0, 8)}.example`;
  await clouds.organize({ tenantId: organization, domains: [domain], mailboxes: [] });
  await clouds.consent(organization);
  permitDirectory(clouds, organization);
  hand = directoryHand(clouds.platform, organization);
  wanted = { partnerId: "northwind", tenantId: `t${randomUUID()}`, organization, domain, depth: 3, largestLossInPercent: 10 };
  world = { graph, directories, graphEndpoint: clouds.environment.graph.endpoint, now: () => Date.parse("2027-01-04T08:00:00Z") };
});

let runs = 0;
async function refresh(options: { lossAccepted?: boolean; by?: DirectoryWorld } = {}) {
  const { lossAccepted = false, by = world } = options;
  const run = `run${++runs}`;
  while (!(await collectChunk(by, wanted, run)).complete);
  return publishRun(by, wanted, lossAccepted);
}
const record = () => directories.get(wanted.partnerId, wanted.tenantId);
async function published(): Promise<Directory> {
  const { published: found } = await record();
  let text = "";
  for await (const line of directories.read(documentPath(pathOf(wanted, found?.run ?? "")))) text += `${line}\n`;
  return parseDirectory(text);
}
const user = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
const group = (number: number): string => `11111111-0000-4000-8000-${String(number).padStart(12, "0")}`;
const people = (count: number): void => {
  for (let number = 0; number < count; number++)
    hand.put("users", user(number), { displayName: `Jörg ${number}`, mail: `j${number}@${wanted.domain}` });
};
const requests = async (since: number): Promise<string[]> =>
  (await clouds.requests("graph", since)).map(({ url }) => new URL(url).pathname + new URL(url).search);
const now = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;

test("a directory is read whole once, and afterwards only what changed", async () => {
  people(130);
  hand.put("groups", group(1), { displayName: "Everybody" });
  hand.put("groups", group(2), { displayName: "Sales" });
  for (let number = 0; number < 50; number++) hand.join(group(2), user(number), "user");
  hand.join(group(1), group(2), "group");
  hand.join(group(1), user(9000), "device");
  expect(await refresh()).toEqual({ outcome: "published" });
  const first = await published();
  expect([first.users.length, first.groups.map(({ users, groups }) => [users.length, groups.length])]).toEqual([
    130,
    [
      [0, 1],
      [50, 0],
    ],
  ]);
  expect(first.users[0]).toEqual({
    id: user(0),
    displayName: "Jörg 0",
    mail: `j0@${wanted.domain}`,
    memberOf: [group(1), group(2)],
  });

  const before = await now();
  const known = (await record()).published;
  expect(await refresh()).toEqual({ outcome: "unchanged" });
  expect((await requests(before)).length).toBe(2);
  expect((await record()).published).toEqual(known);

  hand.put("users", user(0), { displayName: "Jörg Null" });
  hand.remove("users", user(1));
  hand.leave(group(2), user(2));
  hand.put("users", user(130), { displayName: "New" });
  expect(await refresh()).toEqual({ outcome: "published" });
  const second = await published();
  expect(second.users.map(({ id }) => id)).toEqual(
    first.users
      .map(({ id }) => id)
      .filter((id) => id !== user(1))
      .concat(user(130)),
  );
  expect(second.users[0]).toEqual({ ...first.users[0], displayName: "Jörg Null" });
  expect(second.groups[1]?.users).toEqual(first.groups[1]?.users.filter((id) => id !== user(1) && id !== user(2)));
});

test("whoever dies on the way is gone on from at the last chunk, and done twice is done once", async () => {
  people(210);
  const dying: DirectoryWorld = {
    ...world,
    graph: {
      get: async (organization, path, schema) => {
        const page = await graph.get(organization, path, schema);
        if (path.includes("skiptoken") && asked++ === 1) throw new Error("killed");
        return page;
      },
    },
  };
  let asked = 0;
  await expect(refresh({ by: dying })).rejects.toThrow("killed");
  await Promise.all([collectChunk(world, wanted, "one"), collectChunk(world, wanted, "two")]);
  const { run } = await record();
  expect(run?.users).toMatchObject({ chunks: 1, changes: 210 });
  const beforeGroups = await now();
  await refresh();
  expect((await requests(beforeGroups)).filter((path) => path.includes("/users/"))).toEqual([]);
  expect((await published()).users.length).toBe(210);
  expect(await publishRun(world, wanted, false)).toEqual({ outcome: "unchanged" });

  hand.put("users", user(210), { displayName: "New" });
  for (let chunk = 0; chunk < 3; chunk++) await collectChunk(world, wanted, "three");
  const closing: DirectoryWorld = {
    ...world,
    directories: { ...directories, change: () => Promise.reject(new Error("killed before the row says so")) },
  };
  const old = (await record()).published;
  await expect(publishRun(closing, wanted, false)).rejects.toThrow("killed");
  expect([(await record()).published, (await published()).users.length]).toEqual([old, 210]);
  expect(await publishRun(world, wanted, false)).toEqual({ outcome: "published" });
  expect((await published()).users.length).toBe(211);
});

test("a token that is too old begins from the beginning, and what is not told again is gone", async () => {
  people(40);
  await refresh();
  hand.remove("users", user(3), "deleted");
  hand.forget();
  expect(await refresh()).toEqual({ outcome: "published" });
  const { users } = await published();
  expect([users.length, users.some(({ id }) => id === user(3))]).toEqual([39, false]);
});

test("a document that lost too much waits for a person; the old one stays", async () => {
  people(50);
  await refresh();
  for (let number = 0; number < 11; number++) hand.remove("users", user(number));
  expect(await refresh()).toEqual({ outcome: "held", lost: 11, of: 50 });
  expect([(await published()).users.length, (await record()).held]).toEqual([
    50,
    { lost: 11, of: 50, at: "2027-01-04T08:00:00.000Z" },
  ]);
  expect(await refresh()).toEqual({ outcome: "held", lost: 11, of: 50 });
  expect(await refresh({ lossAccepted: true })).toEqual({ outcome: "published" });
  expect([(await published()).users.length, (await record()).held]).toEqual([39, undefined]);
});

test("without the permission nothing is taken for an empty directory", async () => {
  people(20);
  await refresh();
  const refused: DirectoryWorld = {
    ...world,
    graph: createGraph({
      environment: clouds.environment,
      credentials: createCredentials(clouds.environment, clouds.application),
    }),
  };
  await clouds.fault("graph", { kind: "refuse" }, { path: "/users/delta" }, 3);
  await expect(refresh({ by: refused })).rejects.toMatchObject({ code: "ConsentRequired" });
  await clouds.clearFaults();
  expect((await published()).users.length).toBe(20);
});

/**
 * A directory kept as a document: changes are read from Microsoft Graph in chunks that are written before the row says so, and then merged
 * over the last snapshot into the next one. Whoever dies on the way is gone on from at the last chunk; whoever does a thing twice does it
 * to the same end.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import type { Graph } from "../graph/client.ts";
import {
  type DirectoryKind,
  type DirectoryRecord,
  type DirectoryRun,
  type DirectoryStore,
  pathOf,
} from "../stores/directories.ts";
import { directoryDocument } from "./document.ts";
import { merged, sortedById } from "./merge.ts";
import {
  changedGroup,
  changedUser,
  type Group,
  type GroupChange,
  groupChangeSchema,
  selected,
  type User,
  type UserChange,
  userChangeSchema,
} from "./records.ts";

export interface DirectoryWorld {
  graph: Pick<Graph, "get">;
  directories: KeptDirectories;
  /** Where Graph's own links must lead: our token goes there. */
  graphEndpoint: string;
  now(): number;
}

type KeptDirectories = Omit<DirectoryStore, "piece" | "forget">;

export interface DirectoryKey {
  partnerId: string;
  tenantId: string;
}

export interface DirectoryWanted extends DirectoryKey {
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  domain: string;
  depth: number;
  largestLossInPercent: number;
}

/** Changes that one chunk holds before it is written: some megabytes of memory, some seconds of work to lose. */
const CHUNK = 5000;
/** Fewer are never too many: three of ten colleagues may leave. */
const SMALL_LOSS = 10;

const pageOf = <Change>(change: z.ZodType<Change>) =>
  z.object({
    value: z.array(change),
    "@odata.nextLink": z.string().optional(),
    "@odata.deltaLink": z.string().optional(),
  });
const pages = { users: pageOf(userChangeSchema), groups: pageOf(groupChangeSchema) };

/** Reads one chunk of changes further, and begins a run where there is none. Answers whether the run has read all. */
export async function collectChunk(
  { graph, directories, graphEndpoint, now }: DirectoryWorld,
  { partnerId, tenantId, organization }: Pick<DirectoryWanted, "partnerId" | "tenantId" | "organization">,
  runId: string,
): Promise<{ complete: boolean }> {
  const { run } = await directories.change(partnerId, tenantId, (known) => (known.run ? undefined : begun(known, runId)));
  if (!run) throw new Error("a run that was begun is there");
  const kind: DirectoryKind | undefined =
    run.users.done === undefined ? "users" : run.groups.done === undefined ? "groups" : undefined;
  if (kind === undefined) return { complete: true };
  const progress = run[kind];

  const changes: (UserChange | GroupChange)[] = [];
  let next: string | undefined = progress.next ?? `/${kind}/delta?$select=${selected[kind]}`;
  let done: string | undefined;
  try {
    while (next !== undefined && changes.length < CHUNK) {
      const page: z.output<(typeof pages)[DirectoryKind]> = await graph.get<z.output<(typeof pages)[DirectoryKind]>>(
        organization,
        next,
        pages[kind],
      );
      changes.push(...page.value);
      next = page["@odata.nextLink"];
      done = page["@odata.deltaLink"];
      for (const link of [next, done])
        if (link !== undefined && new URL(link).origin !== new URL(graphEndpoint).origin)
          throw new ControlPlaneError("GraphAnswerMalformed", `the delta query of ${kind} continues elsewhere`, 502);
    }
  } catch (error) {
    if (!(error instanceof ControlPlaneError) || error.code !== "GraphStateGone") throw error;
    await directories.change(partnerId, tenantId, (known) =>
      known.run?.id === run.id ? fromTheBeginning(known, `${runId}-full`) : undefined,
    );
    return { complete: false };
  }
  if (next === undefined && done === undefined)
    throw new ControlPlaneError("GraphAnswerMalformed", `the delta query of ${kind} neither goes on nor ends`, 502);

  if (changes.length > 0) {
    const file = await directories.open(chunkPath({ partnerId, tenantId }, run.id, kind, progress.chunks));
    await writeLines(file, sortedById<UserChange | GroupChange>(changes));
    await file.close();
  }
  const after = {
    chunks: progress.chunks + (changes.length > 0 ? 1 : 0),
    changes: progress.changes + changes.length,
    next,
    done,
  };
  await directories.change(partnerId, tenantId, (known) =>
    // A late duplicate finds that somebody went on, and leaves it so.
    known.run?.id === run.id && known.run[kind].chunks === progress.chunks && known.run[kind].next === progress.next
      ? { ...known, run: { ...known.run, [kind]: after }, lookedAt: new Date(now()).toISOString() }
      : undefined,
  );
  return { complete: false };
}

export type Outcome = { outcome: "published" | "unchanged" } | { outcome: "held"; lost: number; of: number };

/**
 * Makes the snapshot and the document of a run that has read all, and publishes them by naming the run in the row. A document that lost
 * more than is allowed waits for a person: `lossAccepted`.
 */
export async function publishRun(world: DirectoryWorld, wanted: DirectoryWanted, lossAccepted: boolean): Promise<Outcome> {
  const { directories, now } = world;
  const { partnerId, tenantId } = wanted;
  const record = await directories.get(partnerId, tenantId);
  const { run, published } = record;
  if (run?.users.done === undefined || run.groups.done === undefined) return { outcome: "unchanged" };
  const links = { users: run.users.done, groups: run.groups.done };
  const finish = async (publishedNow: DirectoryRecord["published"]): Promise<void> => {
    await directories.change(partnerId, tenantId, (known) =>
      known.run?.id === run.id ? { partnerId, tenantId, links, published: publishedNow, lookedAt: known.lookedAt } : undefined,
    );
  };
  if (published && !run.full && run.users.changes + run.groups.changes === 0) {
    await finish(published);
    return { outcome: "unchanged" };
  }

  const made = await writeDocument(directories, wanted, record, run);
  const { lost, ...document } = made;
  const of = published ? published.users + published.groups : 0;
  const at = new Date(now()).toISOString();
  if (!lossAccepted && lost > SMALL_LOSS && lost * 100 > of * wanted.largestLossInPercent) {
    await directories.change(partnerId, tenantId, (known) =>
      known.run?.id === run.id ? { ...known, held: { lost, of, at } } : undefined,
    );
    return { outcome: "held", lost, of };
  }
  const same = published?.hash === document.hash;
  await finish({ run: run.id, at: same ? published.at : at, ...document });
  if (published) await directories.discard(pathOf(wanted, published.run));
  for (const kind of ["users", "groups"] as const) await directories.discard(chunksPath(wanted, run.id, kind));
  return { outcome: same ? "unchanged" : "published" };
}

/** Groups first, since the users' entries name them; users stream through. */
async function writeDocument(
  directories: KeptDirectories,
  wanted: DirectoryWanted,
  record: DirectoryRecord,
  run: DirectoryRun,
): Promise<{ hash: string; bytes: number; users: number; groups: number; lost: number }> {
  const before = record.published && pathOf(wanted, record.published.run);
  const here = pathOf(wanted, run.id);
  const counted = { users: 0, groups: 0, lost: 0 };
  const records = <Kept extends { id: string }>(path: string | undefined): AsyncGenerator<Kept> =>
    parsed<Kept>(directories, path);
  const changes = <Change extends { id: string }>(kind: DirectoryKind): AsyncGenerator<Change>[] =>
    Array.from({ length: run[kind].chunks }, (_, chunk) => records<Change>(chunkPath(wanted, run.id, kind, chunk)));
  const following = <Kept extends { id: string }, Change extends { id: string }>(
    kind: DirectoryKind,
    told: AsyncGenerator<Change>[],
    changed: (known: Kept | undefined, change: Change) => Kept | undefined,
  ): AsyncGenerator<Kept> => {
    const last = before && snapshotPath(before, kind);
    const now = merged<Kept, Change>(records<Kept>(run.full ? undefined : last), told, changed);
    return counting(counted, kind, records<Kept>(last), now);
  };

  const groups: Group[] = [];
  const groupsFile = await directories.open(snapshotPath(here, "groups"));
  for await (const group of following("groups", changes<GroupChange>("groups"), changedGroup)) {
    groups.push(group);
    await groupsFile.write(`${JSON.stringify(group)}\n`);
  }
  await groupsFile.close();

  const usersFile = await directories.open(snapshotPath(here, "users"));
  async function* users(): AsyncGenerator<User> {
    for await (const user of following("users", changes<UserChange>("users"), changedUser)) {
      await usersFile.write(`${JSON.stringify(user)}\n`);
      yield user;
    }
  }
  const hash = createHash("sha256");
  let bytes = 0;
  const documentFile = await directories.open(documentPath(here));
  for await (const text of directoryDocument(users(), groups, wanted)) {
    hash.update(text);
    bytes += Buffer.byteLength(text);
    await documentFile.write(text);
  }
  await usersFile.close();
  await documentFile.close();
  return { hash: hash.digest("hex"), bytes, ...counted };
}

/** Both sorted by id: what was there and isn't any more is lost. */
async function* counting<Kept extends { id: string }>(
  counted: { users: number; groups: number; lost: number },
  kind: DirectoryKind,
  before: AsyncGenerator<Kept>,
  after: AsyncGenerator<Kept>,
): AsyncGenerator<Kept> {
  let old = await before.next();
  for await (const record of after) {
    while (old.done !== true && old.value.id < record.id) {
      counted.lost += 1;
      old = await before.next();
    }
    if (old.done !== true && old.value.id === record.id) old = await before.next();
    counted[kind] += 1;
    yield record;
  }
  for (; old.done !== true; old = await before.next()) counted.lost += 1;
}

async function* parsed<Item>(directories: KeptDirectories, path: string | undefined): AsyncGenerator<Item> {
  if (path === undefined) return;
  for await (const line of directories.read(path)) if (line !== "") yield JSON.parse(line) as Item;
}

async function writeLines(file: { write(text: string): Promise<void> }, items: object[]): Promise<void> {
  for (const item of items) await file.write(`${JSON.stringify(item)}\n`);
}

const chunksPath = (key: DirectoryKey, run: string, kind: DirectoryKind): string => `${pathOf(key, run)}/changes-${kind}`;
const chunkPath = (key: DirectoryKey, run: string, kind: DirectoryKind, chunk: number): string =>
  `${chunksPath(key, run, kind)}/${chunk}`;
const snapshotPath = (run: string, kind: DirectoryKind): string => `${run}/snapshot-${kind}`;
export const documentPath = (run: string): string => `${run}/directory.ldif.gz`;

const NOTHING = { chunks: 0, changes: 0 };

function begun(known: DirectoryRecord, id: string): DirectoryRecord {
  const { links } = known;
  if (!links) return fromTheBeginning(known, id);
  return {
    ...known,
    run: { id, full: false, users: { ...NOTHING, next: links.users }, groups: { ...NOTHING, next: links.groups } },
  };
}

/** What is not told again is gone. */
const fromTheBeginning = (known: DirectoryRecord, id: string): DirectoryRecord => ({
  ...known,
  run: { id, full: true, users: NOTHING, groups: NOTHING },
});

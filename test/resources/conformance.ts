/**
 * What every resource keeps to, whatever cloud it is in: the contract of shared/resources/resource.ts as tests. A row says what is special
 * to a kind; where a rule cannot apply to it, the row says why, and the test's name repeats it.
 */
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import type { Begun, Done, Observed, Owner, PropertyChange, Resource } from "../../shared/resources/resource.ts";
import { secrets, type World } from "./ground.ts";

export interface Row<Desired, Actual> {
  /** Makes what has to be there first, once, and gives what is desired. */
  prepare(world: World): Promise<Desired>;
  /** What somebody can change behind our back, and the paths that the difference must name then. */
  drifts: Drift<Desired, Actual>[] | NotApplicable;
  /** Owned properties that don't drift: what else to desire so that a person has to decide, or why it can't differ. */
  fixed: Record<string, ((desired: Desired) => Desired) | string>;
  /** Something of the same object that isn't ours. */
  unowned: Foreign<Desired> | NotApplicable;
  stranger: Stranger<Desired> | NotApplicable;
  /** How many of them the cloud has, asked by hand. */
  count(world: World, desired: Desired): Promise<number>;
  /** Removing leaves it there, and why; `undo` is how a person takes it away. */
  stays?: { because: string; undo(world: World, desired: Desired): Promise<unknown> };
  /** What earlier writes left behind is deleted beside a write, best effort: what stays is deleted by the next one. */
  clearsUp?: true;
  /** Requests in the record that neither we nor a test sent. */
  askedByOthers?(exchange: Exchange): boolean;
}

export interface Drift<Desired, Actual> {
  paths: string[];
  change(world: World, desired: Desired, actual: Actual): Promise<unknown>;
}

export interface NotApplicable {
  notApplicable: string;
}

export interface Foreign<Desired> {
  what: string;
  set(world: World, desired: Desired): Promise<unknown>;
  /** The same before and after whatever we do. */
  read(world: World, desired: Desired): Promise<unknown>;
}

/** An object with our name that isn't ours: in the way (a conflict for a person), or beside ours. */
export type Stranger<Desired> = Foreign<Desired> & {
  /** `conflict`: it holds our name. `beside`: our name is free all the same, and why. */
  meets: "conflict" | { beside: string };
  unset(world: World, desired: Desired): Promise<unknown>;
};

const applies = <Rule extends object>(rule: Rule | NotApplicable): rule is Rule => !("notApplicable" in rule);

/** Faults that leave a read without an answer. Each asks to wait longer than any client waits by itself. */
const unreadable = {
  "503": { kind: "status", status: 503, retryAfterInSeconds: 120 },
  "429": { kind: "throttle", retryAfterInSeconds: 120 },
  "a page of HTML": { kind: "html" },
  "a cut connection": { kind: "cut-before-effect" },
  "403": { kind: "refuse" },
};
/** More than any client tries a request by itself. */
const OFTEN = 5;

const lost = [
  { fault: "cut-before-effect", times: OFTEN },
  { fault: "cut-after-effect", times: OFTEN },
];
/** A client that tries a broken connection once more by itself meets what it has just made. */
const lostOnce = { fault: "cut-after-effect", times: 1 };

/** One request as another run of the same work sends it again; ids that the clouds give are left open. */
interface Sent {
  cloud: CloudName;
  method: string;
  path: string;
  cmdlet: string | undefined;
  /** How many requests like it came before. */
  earlier: number;
}

export function conformance<Desired extends object, Actual extends object>(
  kind: string,
  row: Row<Desired, Actual>,
  startedWorld: () => World,
): void {
  let world: World;
  let resource: Resource<Desired, Actual>;
  let desired: Desired;
  /** Everything that a capability would store, show or log. */
  const seen: unknown[] = [];
  /** By message: those that say the same came about in the same way. */
  const thrown = new Map<string, ControlPlaneError>();
  let began = 0;

  /** What comes out of durable state: nothing but JSON. */
  const travelled = (one: Desired): Desired => JSON.parse(JSON.stringify(one)) as Desired;
  let last = 0;
  const now = async (): Promise<number> => (last = (await since(last)).at(-1)?.seq ?? last);
  const since = (sequence: number): Promise<Exchange[]> => world.clouds.requests(undefined, sequence);
  /** What was sent to change something, whether it did or not. */
  const writesSince = async (sequence: number): Promise<string[]> => (await since(sequence)).filter(isWrite).map(labelOf);
  /** Tokens are the credentials' matter; how far an operation is, the orchestration's. */
  const worthFailing = (exchange: Exchange): boolean =>
    exchange.cloud !== "entra" &&
    exchange.cloud !== "identity" &&
    !/\/operation(s|Results|Statuses)\//i.test(exchange.url) &&
    row.askedByOthers?.(exchange) !== true;

  async function observe(one = desired): Promise<Observed<Actual>> {
    const observed = await resource.observe(travelled(one));
    seen.push(observed);
    return observed;
  }

  const differences = async (): Promise<string[]> => {
    const observed = await observe();
    if (observed.state !== "present") throw new Error(`the ${kind} is ${observed.state}: ${inspect(observed)}`);
    const changes: PropertyChange[] = resource.diff(travelled(desired), observed.actual);
    seen.push(changes);
    return changes.map(({ path }) => path);
  };

  /** As an orchestration does it, without its timers: write what differs, wait for the cloud, look again. */
  async function ensure(one = desired): Promise<Actual> {
    for (let round = 0; round < 4; round++) {
      const ensured = await remembering(
        ensuring(resource, async (image) => void seen.push(JSON.parse(JSON.stringify(image))))(travelled(one)),
      );
      if ("actual" in ensured) return ensured.actual;
      await remembering(world.finish(ensured.begun));
    }
    throw new Error(`the ${kind} does not settle`);
  }

  async function remove(): Promise<void> {
    await world.finish(await remembering(resource.remove(travelled(desired))));
  }

  /** A person or a log sees what was thrown, with all its causes. */
  async function remembering<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof ControlPlaneError) thrown.set(error.message, error);
      throw error;
    }
  }

  /** Tries again as long as trying again can help, as the patience of an orchestration does. */
  async function patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (attempt === 5 || !(error instanceof ControlPlaneError && error.transient)) throw error;
      }
    }
  }

  const absent = async (): Promise<void> => {
    if ((await observe()).state === "absent") return;
    if (row.stays) await row.stays.undo(world, desired);
    else await remove();
  };
  const there = (): Promise<Actual> => ensure();
  const ensured = async (): Promise<void> => void (await ensure());

  /** What `work` asks of the clouds, request by request; asking by hand and for tokens left out. */
  async function requestsOf(work: () => Promise<unknown>): Promise<(Sent & { write: boolean })[]> {
    const before = await now();
    await work();
    const signatures: string[] = [];
    return (await since(before)).filter(worthFailing).map((exchange) => {
      const { cloud, method } = exchange;
      const path = pathOf(exchange);
      const cmdlet = cmdletOf(exchange);
      const signature = [cloud, method, path, cmdlet].join(" ");
      const earlier = signatures.filter((one) => one === signature).length;
      signatures.push(signature);
      return { cloud, method, path, cmdlet, earlier, write: isWrite(exchange) };
    });
  }

  /** The fault meets exactly this request: those like it before are let through. */
  async function failing({ cloud, method, path, cmdlet, earlier }: Sent, fault: unknown, times: number): Promise<void> {
    const match = { method, path, ...(cmdlet === undefined ? {} : { cmdlet }) };
    if (earlier > 0) await world.clouds.fault(cloud, { kind: "delay", milliseconds: 0 }, match, earlier);
    await world.clouds.fault(cloud, fault, match, times);
  }

  /** Runs under a fault and gives what was thrown, if anything. */
  async function under(sent: Sent, fault: unknown, times: number, work: () => Promise<unknown>): Promise<unknown> {
    await failing(sent, fault, times);
    try {
      return await work().then(
        () => undefined,
        (error: unknown) => error,
      );
    } finally {
      await world.clouds.clearFaults();
    }
  }

  const drifts = applies(row.drifts) ? row.drifts : [];
  const drift = async (): Promise<void> => {
    const actual = await there();
    await drifts[0]?.change(world, desired, actual);
  };

  describe(kind, () => {
    beforeAll(async () => {
      world = startedWorld();
      resource = (world.resources as unknown as Record<string, Resource<Desired, Actual>>)[kind] as Resource<Desired, Actual>;
      began = await now();
      desired = await row.prepare(world);
      seen.push(desired);
    });
    afterAll(async () => {
      await world.clouds.clearFaults();
      await absent();
    });

    test("is made from nothing, and a second run writes nothing", async () => {
      await absent();
      expect(await observe()).toEqual({ state: "absent" });
      const actual = await ensure();
      expect(await differences()).toEqual([]);
      expect(await row.count(world, desired)).toBe(1);
      const before = await now();
      expect(await ensure()).toEqual(actual);
      expect(await writesSince(before)).toEqual([]);
    });

    test("desired and actual are the same after JSON", async () => {
      const actual = await there();
      expect(JSON.parse(JSON.stringify(desired))).toStrictEqual(desired);
      expect(JSON.parse(JSON.stringify(actual))).toStrictEqual(actual);
    });

    test("every owned property is among those that drift or are fixed", async () => {
      const actual = await there();
      const owned = Object.entries(actual).flatMap(([name, value]) => {
        const changes = resource.diff(travelled(desired), { ...actual, [name]: another(value) });
        return changes.length > 0 ? [name] : [];
      });
      const named = [...drifts.flatMap(({ paths }) => paths.map((path) => path.split("/")[0] ?? "")), ...Object.keys(row.fixed)];
      expect(owned.filter((name) => !named.includes(name))).toEqual([]);
    });

    if (applies(row.drifts))
      test.each(row.drifts.map(({ paths, change }) => ({ paths, change, what: paths.join(", ") })))(
        "drift is named and brought back: $what",
        async ({ paths, change }) => {
          const actual = await there();
          await change(world, desired, actual);
          expect((await differences()).toSorted()).toEqual(paths.toSorted());
          await ensure();
          expect(await differences()).toEqual([]);
          const before = await now();
          await ensure();
          expect(await writesSince(before)).toEqual([]);
        },
      );
    else test.skip(`no drift: ${row.drifts.notApplicable}`, () => undefined);

    const fixed = Object.entries(row.fixed).flatMap(([property, desire]) =>
      typeof desire === "string" ? [] : [{ property, desire }],
    );
    if (fixed.length > 0)
      test.each(fixed)("what is fixed for life asks for a person: $property", async ({ property, desire }) => {
        await there();
        const before = await now();
        expect(resource.fixed?.(property)).toBe(true);
        await expect(ensure(desire(desired))).rejects.toMatchObject({
          code: "ReplacementNeeded",
          status: 409,
          transient: false,
          message: expect.stringContaining(property),
        });
        expect(await writesSince(before)).toEqual([]);
      });
    for (const [property, reason] of Object.entries(row.fixed))
      if (typeof reason === "string") test.skip(`no drift of ${property}: ${reason}`, () => undefined);

    const { unowned } = row;
    if (applies(unowned))
      test(`what isn't ours is neither reported nor changed: ${unowned.what}`, async () => {
        await absent();
        await there();
        await unowned.set(world, desired);
        const theirs = await unowned.read(world, desired);
        expect(await differences()).toEqual([]);
        const before = await now();
        await ensure();
        expect(await writesSince(before)).toEqual([]);
        for (const { change } of drifts) {
          await change(world, desired, await there());
          await ensure();
          expect(await unowned.read(world, desired)).toEqual(theirs);
        }
      });
    else test.skip(`nothing beside ours: ${unowned.notApplicable}`, () => undefined);

    test("a failed read is unknown, and nothing is written", async () => {
      for (const state of [there, absent]) {
        await state();
        for (const sent of await requestsOf(observe))
          for (const [name, fault] of Object.entries(unreadable)) {
            if (state === absent && name === "a cut connection") continue;
            const before = await now();
            let observed: Observed<Actual> | undefined;
            await under(sent, fault, OFTEN, async () => (observed = await observe()));
            expect({ sent, name, state: observed?.state }).toEqual({ sent, name, state: "unknown" });
            // Whatever made it unknown, `ensure` stops there in the same way: the two that look least alike stand for all.
            if (name === "503" || name === "a page of HTML") {
              const error = await under(sent, fault, OFTEN, ensure);
              expect({ sent, name, error: nature(error) }).toEqual({ sent, name, error: "transient" });
            }
            expect(await writesSince(before)).toEqual([]);
          }
      }
    });

    test("no read that fails on the way is followed by a write", async () => {
      const works = [
        { from: absent, work: ensure },
        ...(drifts.length > 0 ? [{ from: drift, work: ensure }] : []),
        { from: there, work: remove },
      ];
      for (const { from, work } of works) {
        await from();
        const reads = (await requestsOf(work)).filter(({ write }) => !write);
        // The Azure SDKs take a page of HTML for an object; the other clients are ours and parse what they get.
        for (const sent of reads)
          for (const name of sent.cloud === "arm" ? (["503", "a page of HTML"] as const) : (["503"] as const)) {
            await from();
            const before = await now();
            const error = await under(sent, unreadable[name], OFTEN, work);
            const after = (await since(before)).filter(worthFailing);
            const failed = after.findIndex(({ fault }) => fault !== undefined && fault !== "delay");
            const written = after.slice(failed).filter(isWrite);
            expect(failed).not.toBe(-1);
            expect({ sent, name, written: written.map(labelOf) }).toEqual({ sent, name, written: [] });
            expect({ sent, name, error: nature(error) }).toEqual({ sent, name, error: "transient" });
          }
      }
    });

    test("a write whose answer is lost, before or after its effect, is found by the next run and made once", async () => {
      const works = [
        { from: absent, work: ensured, next: ensured, count: 1 },
        ...(drifts.length > 0 ? [{ from: drift, work: ensured, next: ensured, count: 1 }] : []),
        ...(row.stays ? [] : [{ from: there, work: remove, next: remove, count: 0 }]),
      ];
      for (const { from, work, next, count } of works) {
        await from();
        const writes = (await requestsOf(work)).filter(({ write }) => write);
        expect(writes).not.toEqual([]);
        for (const sent of writes)
          for (const { fault, times } of from === absent ? [...lost, lostOnce] : lost) {
            await from();
            const before = await now();
            const error = await under(sent, fault, times, work);
            expect({ sent, fault, error: nature(error) }).toEqual({
              sent,
              fault,
              error: error === undefined && (times === 1 || (row.clearsUp && sent.method === "DELETE")) ? "none" : "transient",
            });
            await patiently(next);
            expect({ sent, fault, twice: twice(await since(before)) }).toEqual({ sent, fault, twice: [] });
            expect({ sent, fault, count: await row.count(world, desired) }).toEqual({ sent, fault, count });
            const settled = await now();
            await next();
            expect(await writesSince(settled)).toEqual([]);
          }
      }
    });

    const { stranger } = row;
    if (!applies(stranger)) test.skip(`no stranger: ${stranger.notApplicable}`, () => undefined);
    else if (stranger.meets === "conflict")
      test(`a stranger's object with our name is for a person, and removing leaves it alone: ${stranger.what}`, async () => {
        await absent();
        await stranger.set(world, desired);
        const theirs = await stranger.read(world, desired);
        const before = await now();
        expect(await observe()).toMatchObject({ state: "unknown", reason: { code: "ForeignObject" } });
        const conflict = { code: "ForeignObject", status: 409, transient: false };
        await expect(ensure()).rejects.toMatchObject(conflict);
        await expect(remove()).rejects.toMatchObject(conflict);
        expect(await writesSince(before)).toEqual([]);
        expect(await stranger.read(world, desired)).toEqual(theirs);
        await stranger.unset(world, desired);
      });
    else
      test(`a stranger's is left alone: ${stranger.what}, beside ours since ${stranger.meets.beside}`, async () => {
        await absent();
        await stranger.set(world, desired);
        const theirs = await stranger.read(world, desired);
        expect(await observe()).toEqual({ state: "absent" });
        await ensure();
        expect(await stranger.read(world, desired)).toEqual(theirs);
        await remove();
        expect(await stranger.read(world, desired)).toEqual(theirs);
        await stranger.unset(world, desired);
      });

    if (row.stays)
      test(`removing leaves it there: ${row.stays.because}`, async () => {
        await there();
        const before = await now();
        expect(await resource.remove(travelled(desired))).toEqual({ state: "done" });
        expect(await writesSince(before)).toEqual([]);
        expect(await row.count(world, desired)).toBe(1);
      });
    else
      test("is removed, and removing it again is nothing", async () => {
        await there();
        await remove();
        expect(await observe()).toEqual({ state: "absent" });
        expect(await row.count(world, desired)).toBe(0);
        const before = await now();
        const again: Done | Begun = await resource.remove(travelled(desired));
        expect(again).toEqual({ state: "done" });
        expect(await writesSince(before)).toEqual([]);
      });

    test("secrets are nowhere in clear", async () => {
      const record = JSON.stringify(await since(began));
      const errors = [...thrown.values()].map((error) => inspect(error, { depth: 12 }) + JSON.stringify(detailOf(error)));
      const shown = JSON.stringify(seen) + errors.join();
      for (const secret of Object.values(secrets))
        for (const form of [secret, Buffer.from(secret).toString("base64"), encodeURIComponent(secret)]) {
          expect(record.includes(form)).toBe(false);
          expect(shown.includes(form)).toBe(false);
        }
    });
  });
}

/** Another owner's, for strangers. */
export const somebodyElse: Owner = { partnerId: "tailspin", tenantId: "fabrikam" };

const nature = (error: unknown): unknown => {
  if (error === undefined) return "none";
  if (!(error instanceof ControlPlaneError)) return inspect(error);
  return error.transient ? "transient" : `${error.code}: ${error.message}`;
};

/** A value of the same shape that is not the same. */
function another(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? [] : ["another"];
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 1;
  if (typeof value === "object" && value !== null) return { ...value, another: true };
  return "another";
}

const isWrite = (exchange: Exchange): boolean =>
  exchange.cloud !== "entra" &&
  exchange.cloud !== "identity" &&
  (exchange.cloud === "exchange" ? cmdletOf(exchange)?.startsWith("Get-") !== true : exchange.method !== "GET");

const labelOf = (exchange: Exchange): string =>
  [exchange.cloud, exchange.method, new URL(exchange.url).pathname, cmdletOf(exchange)].filter(Boolean).join(" ");

const cmdletOf = ({ requestBody }: Exchange): string | undefined =>
  (requestBody as { CmdletInput?: { CmdletName?: string } } | undefined)?.CmdletInput?.CmdletName;

/** As a pattern of the faults' door; object ids change from birth to birth, and so do the numbers of a guest's runs. */
const pathOf = ({ url }: Exchange): string => {
  const { pathname, search } = new URL(url);
  const escaped = (pathname + search).replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  const guid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
  const numbered = /-\d+-(?=[0-9a-f]{12}\b)/g;
  return `/^${escaped.replace(guid, "[0-9a-f-]{36}").replace(numbered, "-\\d+-")}$/i`;
};

/** What came into being more than once. */
function twice(record: Exchange[]): string[] {
  const births = record.flatMap((exchange) => {
    const { effect, status, requestBody } = exchange;
    const { appId, appRoleId } = (requestBody ?? {}) as { appId?: string; appRoleId?: string };
    const made = status === 201 || cmdletOf(exchange)?.startsWith("New-");
    return effect === "write" && made && status < 300 ? [`${labelOf(exchange)} ${appId ?? appRoleId ?? ""}`] : [];
  });
  return births.filter((birth, index) => births.indexOf(birth) !== index);
}

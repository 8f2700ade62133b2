/**
 * What the platform on one machine costs: how soon it is there, how much memory it takes, how many orchestrations and activities a second its
 * host gets done, each beside something bare in the same run: a node:http server, a loop of SQLite commits with the host's pragmas.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { createHost, type Host } from "../../infra/local/functions-host/host.ts";
import { type BenchmarkOptions, inTurns, median, type Print, ratios, row, spread } from "./rounds.ts";

const root = path.resolve(import.meta.dirname, "../..");
const app = path.join(import.meta.dirname, "engine-app");

export async function platform({ print, brief }: BenchmarkOptions): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), "bench-platform-"));
  try {
    await starts(directory, brief ? 1 : 9, print);
    print("");
    await work(directory, brief ? 1 : 9, brief ? 4 : 40, print);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

// Start

interface Started {
  process: ChildProcess;
  pids: number[];
}

async function starts(directory: string, rounds: number, print: Print): Promise<void> {
  const memory: Record<string, number[]> = {};
  let next = 0;
  const timed = (name: string, start: (folder: string) => Promise<Started>) => async (): Promise<number> => {
    next += 1;
    const began = performance.now();
    const started = await start(path.join(directory, String(next)));
    const milliseconds = performance.now() - began;
    (memory[name] ??= []).push(started.pids.reduce((sum, pid) => sum + residentMegabytes(pid), 0));
    started.process.kill("SIGINT");
    await once(started.process, "exit");
    return milliseconds;
  };
  const figures = await inTurns(rounds, {
    platform: timed("platform", startPlatform),
    host: timed("host", startHost),
    bare: timed("bare", startBare),
  });
  print(`Start, ${rounds} in turns; median (least–most)`);
  print(row(24, "", "time", "ratio", "memory", "ratio"));
  const [bareTime, bareMemory] = [figures.bare, memory["bare"] ?? []];
  for (const [name, times, megabytes] of [
    ["whole platform, from npm start to ready", figures.platform, memory["platform"] ?? []],
    ["functions host alone, with a small app", figures.host, memory["host"] ?? []],
    ["bare node:http server", bareTime, bareMemory],
  ] as const) {
    const [time, space] = [`${median(times).toFixed(0)} ms`, `${median(megabytes).toFixed(0)} MiB`];
    print(row(24, name, time, spread(ratios(times, bareTime), 1), space, spread(ratios(megabytes, bareMemory), 1)));
  }
}

async function startPlatform(data: string): Promise<Started> {
  const command = [path.join(root, "infra/local/start.ts"), "--idle", "--port", "0", "--data", data];
  const process_ = spawn(process.execPath, command, { stdio: "ignore" });
  const file = path.join(data, "endpoints.json");
  while (!existsSync(file)) {
    if (process_.exitCode !== null) throw new Error("the platform ended before it was ready");
    await pause(5);
  }
  const { pids } = JSON.parse(readFileSync(file, "utf8")) as { pids: Record<string, number> };
  return { process: process_, pids: [process_.pid ?? 0, ...Object.values(pids)] };
}

const startHost = (data: string): Promise<Started> =>
  untilSaid([path.join(root, "infra/local/functions-host/main.ts"), "--app", app, "--port", "0", "--state", `${data}.sqlite`]);

const BARE = 'require("node:http").createServer((_, answer) => answer.end()).listen(0, "127.0.0.1", () => console.log("ready"))';

const startBare = (): Promise<Started> => untilSaid(["--eval", BARE]);

/** Both say something first when they are ready. */
async function untilSaid(command: string[]): Promise<Started> {
  const started = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "ignore"] });
  await once(started.stdout, "data");
  return { process: started, pids: [started.pid ?? 0] };
}

const residentMegabytes = (pid: number): number =>
  Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024;

// Work

const ACTIVITIES_IN_TURN = 5;
const STARTED_AT_ONCE = 5;

async function work(directory: string, rounds: number, orchestrations: number, print: Print): Promise<void> {
  const host = await createHost({
    appDirectory: app,
    stateFile: path.join(directory, "work.sqlite"),
    port: 0,
    log: () => undefined,
  });
  const commits = bareCommits(path.join(directory, "bare.sqlite"));
  const activities = orchestrations * STARTED_AT_ONCE;
  try {
    const figures = await inTurns(rounds, {
      orchestrations: () => rate(orchestrations, () => all(host, orchestrations)),
      activities: () => rate(activities, () => one(host, activities)),
      commits: () => rate(activities * 10, () => commits.loop(activities * 10)),
    });
    print(`Work of the functions host, state in a file, ${rounds} rounds in turns; median (least–most)`);
    print(row(24, "", "a second", "of bare commits"));
    const inTurn = figures.orchestrations.map((figure) => figure * ACTIVITIES_IN_TURN);
    for (const [name, figure] of [
      ["orchestrations of five activities in turn", figures.orchestrations],
      ["their activities", inTurn],
      [`activities, ${activities} at once in one instance`, figures.activities],
    ] as const)
      print(row(24, name, median(figure).toFixed(0), spread(ratios(figure, figures.commits), 3)));
    print(row(24, "bare SQLite commits of one row", median(figures.commits).toFixed(0), "1"));
  } finally {
    commits.close();
    await host.stop();
  }
}

async function rate(count: number, run: () => Promise<void> | void): Promise<number> {
  const began = performance.now();
  await run();
  return (count / (performance.now() - began)) * 1000;
}

async function all({ engine }: Host, count: number): Promise<void> {
  const ids = Array.from({ length: count }, () => engine.start("fiveInTurn"));
  await Promise.all(ids.map(async (id) => completed(engine, id)));
}

const one = ({ engine }: Host, count: number): Promise<void> => completed(engine, engine.start("manyAtOnce", { input: count }));

async function completed(engine: Host["engine"], id: string): Promise<void> {
  const { status, output } = await engine.whenFinished(id);
  if (status !== "Completed") throw new Error(`${id} is ${status}: ${output}`);
}

/** As durable as the host's own steps: its pragmas, one row a transaction. */
function bareCommits(file: string): { loop(count: number): void; close(): void } {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  database.exec("CREATE TABLE history (position INTEGER PRIMARY KEY, event TEXT NOT NULL)");
  const insert = database.prepare("INSERT INTO history (event) VALUES (?)");
  const event = JSON.stringify({
    EventType: 5,
    TaskScheduledId: 1,
    Result: '"Hello Tokyo"',
    Timestamp: "2026-11-22T21:00:00.000Z",
  });
  return {
    loop: (count) => {
      for (let done = 0; done < count; done += 1) {
        database.exec("BEGIN IMMEDIATE");
        insert.run(event);
        database.exec("COMMIT");
      }
    },
    close: () => database.close(),
  };
}

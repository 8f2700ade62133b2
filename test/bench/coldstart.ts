/**
 * Cold start: what it takes to load the deployed app and register its functions, against the bare library, each in a fresh process, all in
 * turns, and of each the best. Times are of this machine; the ratios are what counts.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build as bundle } from "esbuild";
import { build } from "../../infra/build.ts";
import type { BenchmarkOptions, Print } from "./rounds.ts";
import type { Start } from "./start-probe.ts";

const root = path.resolve(import.meta.dirname, "../..");

/** What an app that imports its SDKs at the top of its files loads. */
const SDKS = [
  "@azure/functions",
  "durable-functions",
  "@azure/identity",
  "@azure/arm-network",
  "@azure/data-tables",
  "@azure/service-bus",
  "@microsoft/microsoft-graph-client",
  "zod",
];

const GOALS = { time: 5, files: 5, memory: 1.4 };

export async function coldstart({ print, brief }: BenchmarkOptions): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), "coldstart-"));
  try {
    await measure(directory, brief ? 1 : 11, print);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(directory: string, rounds: number, print: Print): Promise<void> {
  const dist = path.join(directory, "dist");
  await build(dist);
  const probe = await bundledProbe(directory);
  const sample = JSON.parse(await readFile(path.join(root, "local.settings.sample.json"), "utf8")) as {
    Values: Record<string, string>;
  };
  const start = async (counting: "count" | "time", wanted: string[]): Promise<Start> => {
    const { stdout } = await promisify(execFile)(process.execPath, [probe, root, counting, ...wanted], {
      env: { ...process.env, ...sample.Values },
      maxBuffer: 2 ** 24,
    });
    return JSON.parse(stdout) as Start;
  };

  const variants: Record<string, string[]> = {
    "@azure/functions alone": ["@azure/functions"],
    "this app, as deployed": [path.join(dist, "index.js")],
    "its SDKs, imported eagerly": SDKS,
  };
  const times = new Map<string, Start[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, wanted] of Object.entries(variants)) {
      times.set(name, [...(times.get(name) ?? []), await start("time", wanted)]);
    }
  }
  const rows = await Promise.all(
    Object.entries(variants).map(async ([name, wanted]) => {
      const starts = times.get(name) ?? [];
      const { files, functions } = await start("count", wanted);
      return {
        name,
        milliseconds: Math.min(...starts.map(({ milliseconds }) => milliseconds)),
        rssInBytes: Math.min(...starts.map(({ rssInBytes }) => rssInBytes)),
        files,
        functions,
      };
    }),
  );
  const [bare, app] = rows;
  if (!bare || !app) throw new Error("nothing was measured");

  print(`Cold start: ${rounds} starts each, in turns, the best of each`);
  print(line("", "time", "ratio", "files", "memory", "ratio"));
  for (const { name, milliseconds, rssInBytes, files } of rows) {
    print(
      line(
        name,
        `${milliseconds.toFixed(1)} ms`,
        `${(milliseconds / bare.milliseconds).toFixed(1)}x`,
        String(files.length),
        `${(rssInBytes / 2 ** 20).toFixed(0)} MiB`,
        `${(rssInBytes / bare.rssInBytes).toFixed(2)}x`,
      ),
    );
  }
  print(line("goal", "", `${GOALS.time}x`, String(GOALS.files), "", `${GOALS.memory.toFixed(2)}x`));
  const early = await packagesIn(app.files);
  print(`${app.functions} functions registered; packages loaded at start: ${early.join(", ")}`);
}

const line = (name: string, ...cells: string[]): string => name.padEnd(28) + cells.map((cell) => cell.padStart(10)).join("");

/** As JavaScript, so that Node's TypeScript loader is in no measured process. */
async function bundledProbe(directory: string): Promise<string> {
  const outfile = path.join(directory, "start-probe.mjs");
  const entryPoints = [path.join(import.meta.dirname, "start-probe.ts")];
  await bundle({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", logLevel: "warning" });
  return outfile;
}

/** By the source maps: a bundle's files don't have the packages' names. */
async function packagesIn(files: string[]): Promise<string[]> {
  const maps = await Promise.all(
    files.map((url) =>
      readFile(`${fileURLToPath(url)}.map`, "utf8").then(
        (text) => (JSON.parse(text) as { sources: string[] }).sources,
        () => [],
      ),
    ),
  );
  const names = maps.flat().flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/u.exec(source)?.[1] ?? []);
  return [...new Set(names)].toSorted();
}

/**
 * Keeps what README.md shows true: `npm run docs` writes the settings' table from the code and the commands' output from running them.
 * `npm run docs -- settings` renews only the blocks that are named: settings, start, life, listing, rotation, outage, webhook, queue, test.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { settings } from "../shared/config.ts";

const blocks: Record<string, () => string | Promise<string>> = {
  settings: settingsTable,
  start: () => startOutput("--once"),
  life: () => startOutput("--once", "--story"),
  listing: () => storyOutput("listing"),
  rotation: () => storyOutput("rotation"),
  outage: () => storyOutput("outage"),
  webhook: () => storyOutput("webhook"),
  queue: () => storyOutput("queue"),
  test: testOutput,
};
/** Started for the first story, and there for all of them. */
let staying: ReturnType<typeof startStaying> | undefined;
const wanted = process.argv.slice(2);
const strange = wanted.find((name) => !(name in blocks));
if (strange !== undefined) {
  const asked = ["--help", "-h"].includes(strange);
  if (!asked) process.stderr.write(`there is no block ${strange}\n`);
  process.stdout.write(
    `npm run docs -- [BLOCK ...]   writes these blocks of README.md anew, or all: ${Object.keys(blocks).join(", ")}\n`,
  );
  process.exit(asked ? 0 : 2);
}

const file = new URL("../README.md", import.meta.url);
let text = readFileSync(file, "utf8");
try {
  for (const [name, write] of Object.entries(blocks)) await renew(name, write);
} finally {
  await (await staying)?.stop();
}
writeFileSync(file, text);

async function renew(name: string, write: () => string | Promise<string>): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(name)) return;
  const block = new RegExp(`(<!-- ${name}: [^>]*-->\n)[\\s\\S]*?(\n<!-- /${name} -->)`);
  if (!block.test(text)) throw new Error(`README.md has no block ${name}`);
  const content = await write();
  text = text.replace(block, (_, begin: string, end: string) => `${begin}${content}${end}`);
}

function settingsTable(): string {
  const rows = Object.entries(settings).map(([name, { sentence, sample }]) => `| \`${name}\` | ${sentence} | \`${sample}\` |`);
  return ["| setting | meaning | sample |", "| --- | --- | --- |", ...rows].join("\n");
}

function startOutput(...flags: string[]): string {
  const data = mkdtempSync(join(tmpdir(), "gatehouse-readme-"));
  try {
    const output = execFileSync("npm", ["start", "--silent", "--", ...flags, "--data", data], { encoding: "utf8" });
    return fenced(
      `npm ci && npm start -- ${flags.join(" ")}`,
      output.replaceAll(` -- --data ${data}`, "").replaceAll(data, ".local"),
    );
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/** What `npm run show` prints on a platform with the example tenant; a story that fails ends this. */
async function storyOutput(story: string): Promise<string> {
  staying ??= startStaying();
  const { data } = await staying;
  const command = ["run", "--silent", "show", "--", story];
  return fenced(`npm ${command.join(" ")}`, execFileSync("npm", [...command, "--data", data], { encoding: "utf8" }));
}

/** `npm start` on any free port, in a folder that goes with it. */
async function startStaying(): Promise<{ data: string; stop(): Promise<void> }> {
  const data = mkdtempSync(join(tmpdir(), "gatehouse-readme-"));
  const start = spawn(process.execPath, ["infra/local/start.ts", "--port", "0", "--data", data], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  start.stdout.setEncoding("utf8").on("data", (part: string) => (output += part));
  const stop = async (): Promise<void> => {
    start.kill("SIGINT");
    while (start.exitCode === null && start.signalCode === null) await pause(50);
    rmSync(data, { recursive: true, force: true });
  };
  while (!output.includes("Running until Ctrl+C")) {
    await pause(100);
    if (start.exitCode === null) continue;
    await stop();
    throw new Error(`npm start ended before the example tenant was onboarded:\n${output}`);
  }
  return { data, stop };
}

function testOutput(): string {
  const { stdout } = spawnSync("npm", ["test", "--silent"], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const lines = stripVTControlCharacters(stdout).split("\n");
  return fenced("npm ci && npm test", lines.slice(lines.findIndex((line) => /^ *Test Files/.test(line))).join("\n"));
}

function fenced(command: string, output: string): string {
  return `\`\`\`text\n$ ${command}\n${output.trimEnd()}\n\`\`\``;
}

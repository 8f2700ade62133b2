/**
 * Keeps what README.md shows true: `npm run docs` writes the settings' table from the code and the commands' output from running them.
 * `npm run docs -- settings` renews only the blocks that are named: settings, start, test.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { settings } from "../shared/config.ts";

const blocks: Record<string, () => string> = { settings: settingsTable, start: startOutput, test: testOutput };
const wanted = process.argv.slice(2);
for (const name of wanted)
  if (!(name in blocks)) throw new Error(`there is no block ${name}; there are ${Object.keys(blocks).join(", ")}`);

const file = new URL("../README.md", import.meta.url);
let text = readFileSync(file, "utf8");
for (const [name, write] of Object.entries(blocks)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const block = new RegExp(`(<!-- ${name}: [^>]*-->\n)[\\s\\S]*?(\n<!-- /${name} -->)`);
  if (!block.test(text)) throw new Error(`README.md has no block ${name}`);
  const content = write();
  text = text.replace(block, (_, begin: string, end: string) => `${begin}${content}${end}`);
}
writeFileSync(file, text);

function settingsTable(): string {
  const rows = Object.entries(settings).map(([name, { sentence, sample }]) => `| \`${name}\` | ${sentence} | \`${sample}\` |`);
  return ["| setting | meaning | sample |", "| --- | --- | --- |", ...rows].join("\n");
}

function startOutput(): string {
  const data = mkdtempSync(join(tmpdir(), "gatehouse-readme-"));
  try {
    const output = execFileSync("npm", ["start", "--silent", "--", "--once", "--data", data], { encoding: "utf8" });
    return fenced("npm ci && npm start -- --once", output.replaceAll(data, ".local"));
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

function testOutput(): string {
  const { stdout } = spawnSync("npm", ["test", "--silent"], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const lines = stripVTControlCharacters(stdout).split("\n");
  return fenced("npm ci && npm test", lines.slice(lines.findIndex((line) => /^ *Test Files/.test(line))).join("\n"));
}

function fenced(command: string, output: string): string {
  return `\`\`\`text\n$ ${command}\n${output.trimEnd()}\n\`\`\``;
}

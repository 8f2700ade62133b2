/** `npm run bench -- NAME` prints the figures of one benchmark; without a name, which there are. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { api } from "./api.ts";
import { blocklists } from "./blocklists.ts";
import { coldstart } from "./coldstart.ts";
import { directory } from "./directory.ts";
import { economy } from "./economy.ts";
import { makespan } from "./makespan.ts";
import { platform } from "./platform.ts";
import { quota } from "./quota.ts";
import type { BenchmarkOptions } from "./rounds.ts";
import { sweep } from "./sweep.ts";

const benchmarks: Record<string, { about: string; run: (options: BenchmarkOptions) => Promise<void> }> = {
  coldstart: { about: "loading the deployed app, beside the bare library", run: coldstart },
  economy: { about: "episodes, history and bytes of an onboarding, beside one flat orchestrator", run: economy },
  makespan: { about: "how long an onboarding takes, beside its critical path", run: makespan },
  directory: { about: "a directory of 50,000 users as LDIF, beside a loop that only writes", run: directory },
  api: { about: "answers a second of three routes, beside functions that only answer JSON", run: api },
  quota: { about: "a thousand onboardings in one subscription, beside clients that wait when they are refused", run: quota },
  sweep: { about: "calls of a sweep over the fleet, beside the fewest possible and a loop over tenants", run: sweep },
  blocklists: {
    about: "questions to blocklists and answers a second, beside a fixed poll and a bare UDP client",
    run: blocklists,
  },
  platform: { about: "start, memory and durable work of the local platform, beside bare Node", run: platform },
};

const HELP = `npm run bench -- NAME [--write] [--brief]

${Object.entries(benchmarks)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join("\n")}

  --write    keeps the figures in docs/benchmarks.md, with command and date
  --brief    only sees that it runs: the figures mean nothing
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: "boolean" }, write: { type: "boolean" }, brief: { type: "boolean" } },
});
const [name = ""] = positionals;
const benchmark = benchmarks[name];
if (values.help === true || name === "") process.stdout.write(HELP);
else if (benchmark === undefined) {
  process.stderr.write(HELP);
  process.exitCode = 1;
} else {
  const lines: string[] = [];
  const print = (line: string): void => {
    lines.push(line.trimEnd());
    console.log(line.trimEnd());
  };
  const processors = cpus();
  const date = new Date().toISOString().slice(0, 10);
  print(`${date}, Node ${process.versions.node}, ${processors.length} × ${processors[0]?.model.trim() ?? "processor"}`);
  await benchmark.run({ print, brief: values.brief === true });
  if (values.write === true) keep(name, lines);
}

function keep(benchmarkName: string, lines: string[]): void {
  const file = new URL("../../docs/benchmarks.md", import.meta.url);
  const text = readFileSync(file, "utf8");
  const block = new RegExp(`(<!-- ${benchmarkName}: [^>]*-->\n)[\\s\\S]*?(\n<!-- /${benchmarkName} -->)`);
  if (!block.test(text)) throw new Error(`docs/benchmarks.md has no block ${benchmarkName}`);
  const content = `\`\`\`text\n$ npm run --silent bench -- ${benchmarkName}\n${lines.join("\n")}\n\`\`\``;
  writeFileSync(
    file,
    text.replace(block, (_, begin: string, end: string) => begin + content + end),
  );
}

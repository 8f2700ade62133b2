/** `npm run bench -- NAME` prints the figures of one benchmark; without a name, which there are. */
import { coldstart } from "./coldstart.ts";

const benchmarks: Record<string, () => Promise<void>> = { coldstart };

const [name = ""] = process.argv.slice(2);
const run = benchmarks[name];
if (run) await run();
else {
  console.error(`npm run bench -- NAME, where NAME is one of: ${Object.keys(benchmarks).join(", ")}`);
  process.exitCode = 1;
}

/** The benchmarks' command line, and that they run: what they print is in docs/benchmarks.md. */
import { spawnSync } from "node:child_process";
import { expect, test, vi } from "vitest";
import { median, ratios, spread } from "./bench/rounds.ts";

vi.setConfig({ testTimeout: 120_000 });

const bench = (...flags: string[]) => spawnSync(process.execPath, ["test/bench/run.ts", ...flags], { encoding: "utf8" });

test("without a name it lists them, and an unknown one is an error", () => {
  const [listed, unknown] = [bench(), bench("speed")];
  expect([listed.status, unknown.status, unknown.stderr]).toEqual([0, 1, listed.stdout]);
  for (const name of ["coldstart", "economy", "makespan", "api", "sweep", "blocklists", "platform"])
    expect(listed.stdout).toContain(`\n  ${name} `);
});

test("the API's runs: our routes and the idle ones answer, in the process and over HTTP", () => {
  const { status, stdout, stderr } = bench("api", "--brief");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const line of ["GET a tenant", "GET a list of ten", "POST an onboarding", "our route in the local host"])
    expect(stdout).toContain(`\n${line} `);
});

test("rounds are compared one by one, and the middle one counts", () => {
  expect(ratios([2, 9, 8], [4, 9, 2])).toEqual([0.5, 1, 4]);
  expect([median([4, 0.5, 1]), median([1, 2, 3, 10]), spread([4, 0.5, 1])]).toEqual([1, 2.5, "1.00 (0.50–4.00)"]);
});

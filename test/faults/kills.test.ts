/** As test/local/kills.test.ts, a hundred times. */
import { test } from "vitest";
import { withFolder } from "../support/command.ts";
import { expectNothingLost, onboardUnderKills, seed } from "../support/kills.ts";

const RUNS = Number(process.env["KILL_RUNS"] ?? 100);

test(
  `${RUNS} onboardings outlive as many kills of host, clouds or broker at random instants (KILL_SEED=${seed})`,
  { timeout: 7_200_000 },
  () =>
    withFolder(async (folder) => {
      const survival = await onboardUnderKills(folder, RUNS, 4);
      const { kills, messages, seconds } = survival;
      process.stdout.write(`${RUNS} onboardings, kills: ${JSON.stringify(kills)}, ${messages.sent} messages; ${seconds} s\n`);
      expectNothingLost(survival);
    }),
);

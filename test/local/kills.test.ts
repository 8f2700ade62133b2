/** Processes of the platform are killed while customers are onboarded: they are started again, and nobody notices but by the time it takes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { alive, endpointsOf, newCustomer, recordLeftIn, runCommand, startCommand, withFolder } from "../support/command.ts";
import { violations, watchedOf } from "../support/invariants.ts";
import { expectNothingLost, onboardUnderKills, seed } from "../support/kills.ts";

test(
  `an onboarding outlives a kill of host, clouds or broker at a random instant (KILL_SEED=${seed})`,
  { timeout: 600_000 },
  () => withFolder(async (folder) => expectNothingLost(await onboardUnderKills(folder, 1, 1))),
);

test(
  "when everything is killed in the middle of an onboarding, the next start on that folder goes on with it",
  { timeout: 300_000 },
  () =>
    withFolder(async (folder) => {
      const { tenantId, spec } = newCustomer("adatum");
      const file = join(folder, "adatum.json");
      writeFileSync(file, JSON.stringify({ tenantId, ...spec }));
      const data = join(folder, "state");
      const flags = ["--port", "0", "--data", data, "--tenant", file];

      const first = startCommand(...flags);
      await first.untilPrinted("Inbound connector");
      const { pids } = await endpointsOf(data);
      process.kill(pids.host, "SIGKILL");
      process.kill(pids.clouds, "SIGKILL");
      first.signal("SIGKILL");
      await first.ended;
      // Azurite notices and saves its tables: it loses seconds when it is killed, which Azure's storage doesn't.
      while (alive(pids.azurite)) await pause(50);

      const second = await runCommand("--once", ...flags);
      expect(second.output).toContain("Going on with onboarding adatum");
      expect(second.output).toContain("adatum is in pilot");
      expect(second.code).toBe(0);
      expect(violations(recordLeftIn(data), watchedOf(spec))).toEqual([]);
    }),
);

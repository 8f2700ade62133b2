/** As test/local/host-kills.test.ts, at more instants. */
import { expect, test } from "vitest";
import { withFolder } from "../support/command.ts";
import { oneOfEach, onboardUnderKills, seed } from "../support/kills.ts";

test(`ten onboardings outlive ten kills of the host at random instants (KILL_SEED=${seed})`, { timeout: 900_000 }, () =>
  withFolder(async (folder) => {
    for (const { tenantId: _, ...survived } of await onboardUnderKills(folder, 10, 3))
      expect(survived).toEqual({ status: "Succeeded", error: undefined, holdings: oneOfEach, violations: [] });
  }),
);

/** The app's host is killed while customers are onboarded: the supervisor starts it again, and nobody notices but by the time it takes. */
import { expect, test } from "vitest";
import { withFolder } from "../support/command.ts";
import { oneOfEach, onboardUnderKills, seed } from "../support/kills.ts";

test(`three onboardings outlive three kills of the host at random instants (KILL_SEED=${seed})`, { timeout: 300_000 }, () =>
  withFolder(async (folder) => {
    for (const { tenantId: _, ...survived } of await onboardUnderKills(folder, 3, 3))
      expect(survived).toEqual({ status: "Succeeded", error: undefined, holdings: oneOfEach, violations: [] });
  }),
);

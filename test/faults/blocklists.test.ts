/** Ten thousand addresses on ten lists, eight of which fail, each in its own way: nothing wrong is said of any address. */
import { expect, test } from "vitest";
import { playChaos } from "../support/blocklist-chaos.ts";

test("eight of ten lists go bad and come back under a fleet of ten thousand", async () => {
  const { wrongListed, wrongClean, cases } = await playChaos({
    addresses: 10_000,
    seed: 9,
    latencyInMilliseconds: 5,
    timeoutInSeconds: 0.5,
    cycleInMinutes: 20,
  });
  expect({ wrongListed, wrongClean }).toEqual({ wrongListed: [], wrongClean: [] });
  expect(cases).toBeGreaterThan(1500);
});

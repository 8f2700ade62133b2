/** Each request of an onboarding to the clouds is refused before it has an effect, one a run. */
import { expect, test } from "vitest";
import { faultAtEveryRequest } from "../support/every-request.ts";

test("an onboarding completes, or says why not and completes when it is asked for again", { timeout: 7_200_000 }, async () => {
  expect(await faultAtEveryRequest("refuse", "clouds")).toEqual([]);
});

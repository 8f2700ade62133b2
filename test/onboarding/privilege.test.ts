/** Giving up Exchange Administrator, in virtual time, over a pretend organisation whose lists are slow: what is done when, and what never. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { limitPrivilege } from "../../functions/onboarding/limit-privilege.ts";
import { outcomeOf, privilegeCondition } from "../../functions/onboarding/privilege.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { cmdletsFrom, differenceFrom, expectedCmdlets, managementRoles } from "../../shared/exchange/management-roles.ts";
import { anySlow, limit } from "../support/limiting.ts";
import { play } from "../support/play.ts";
import { customer } from "../support/onboarding.ts";

const limited = ["confirmResource roleGroup", "dropAdministrator", "settlePrivilege"];

test.each([false, true])(
  "the role goes after the role group was read back, and the list is waited for (each activity twice: %s)",
  async (repeatActivities) => {
    const { result, steps, minutes, administrator } = await limit({ groupArrives: 10, roleLingers: 3, repeatActivities });
    expect({ result, administrator }).toEqual({ result: { value: { outcome: "limited" } }, administrator: false });
    expect(steps.filter((step, index) => steps.indexOf(step) === index)).toEqual(limited);
    expect(minutes).toBe(10);
  },
);

test("a role that lingers is waited out", async () => {
  const { result, minutes } = await limit({ groupArrives: 0, roleLingers: 45 });
  expect({ result, minutes }).toEqual({ result: { value: { outcome: "limited" } }, minutes: 45 });
});

test("a role group that never does what it should: the role comes back after the deadline", async () => {
  const { result, steps, administrator, minutes } = await limit({ groupArrives: undefined, roleLingers: 3 });
  expect({ result, administrator }).toEqual({ result: { value: { outcome: "restored" } }, administrator: true });
  expect(steps).toEqual(["confirmResource roleGroup", "dropAdministrator", "restoreAdministrator", "settlePrivilege"]);
  expect(minutes).toBe(91);
});

test("without the permission to drop it nothing is touched, and a person is named", async () => {
  const { result, minutes } = await limit({ groupArrives: 0, roleLingers: 0, mayDrop: false });
  expect({ result, minutes }).toEqual({ result: { value: { outcome: "administratorRemains" } }, minutes: 0 });
});

test("rights from elsewhere are told at once, and nothing is dropped or put back for them", async () => {
  const { result, steps, minutes } = await limit({ groupArrives: 0, roleLingers: 2, elsewhere: ["New-DistributionGroup"] });
  expect({ result, minutes }).toEqual({ result: { value: { outcome: "tooMuch" } }, minutes: 2 });
  expect(steps).toEqual(limited);
});

test("a role group that can't be read back leaves the role where it is", async () => {
  const clock = createVirtualClock();
  const { calls, result } = await play({
    clock,
    start: limitPrivilege,
    input: {
      work: { operationId: "played-operation", partnerId: "northwind", tenantId: "contoso" },
      spec: customer("contoso").spec,
      pace: {
        patience: { tries: 2, firstWaitInSeconds: 5, longestWaitInSeconds: 60 },
        operationDeadlineInSeconds: 3600,
      } as never,
      phase: "first" as const,
      deadline: 0,
    },
    activities: {
      confirmResource: () => {
        throw new ControlPlaneError("ResourceSettling", "the roleGroup still differs in member", 503, true);
      },
    },
  });
  expect(new Set(calls)).toEqual(new Set(["confirmResource roleGroup"]));
  expect(result).toMatchObject({ failure: { code: "ResourceSettling" } });
});

test("canceled after the role went: it comes back first", async () => {
  const canceled = { activity: "comparePrivilege", from: 1, times: 1, when: "before", how: "canceled" } as const;
  const { result, steps, works } = await limit({ groupArrives: undefined, roleLingers: 0, faults: [canceled] });
  expect(result).toMatchObject({ failure: { code: "OperationCanceled" } });
  expect([steps, works]).toEqual([["confirmResource roleGroup", "dropAdministrator", "restoreAdministrator"], true]);
});

test("a directory that is busy for hours when the role has to come back is asked until it gives it", async () => {
  const busy = { activity: "restoreAdministrator", from: 0, times: 60, when: "before", how: "busy" } as const;
  const { result, works, minutes } = await limit({
    groupArrives: undefined,
    roleLingers: 0,
    faults: [busy],
    probeIntervalInSeconds: 900,
  });
  expect([result, works]).toEqual([{ value: { outcome: "restored" } }, true]);
  expect(minutes).toBeGreaterThan(300);
});

test("whatever fails, before its effect or after it, our application can do its work in the end: by the role, or by what took its place", async () => {
  await fc.assert(
    fc.asyncProperty(anySlow, async (given) => {
      const { works } = await limit({ ...given, probeIntervalInSeconds: 900 });
      expect(works).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test("each cmdlet that we run has its role, and no role is made for nothing", () => {
  expect(managementRoles.filter((role) => cmdletsFrom(role).length === 0)).toEqual([]);
  expect(new Set(expectedCmdlets()).size).toBe(expectedCmdlets().length);
  expect(expectedCmdlets().filter((name) => /Role|ServicePrincipal/.test(name) && !name.startsWith("Get-"))).toEqual([]);
});

test("a difference has no case, and its names are in the condition", () => {
  const found = differenceFrom(["Get-Mailbox", "New-TransportRule"], ["get-mailbox", "New-Mailbox"]);
  expect(found).toEqual({ missing: ["New-TransportRule"], excess: ["New-Mailbox"] });
  expect(outcomeOf(found)).toBe("tooLittle");
  expect(privilegeCondition({ ...found, outcome: "tooMuch", expected: 2 })).toMatchObject({
    type: "LeastPrivilege",
    status: "False",
    reason: "TooMuch",
    message: expect.stringContaining("New-Mailbox"),
  });
});

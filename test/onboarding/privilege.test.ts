/** Giving up Exchange Administrator, in virtual time, over a pretend organisation whose lists are slow: what is done when, and what never. */
import { expect, test } from "vitest";
import { limitPrivilege } from "../../functions/onboarding/limit-privilege.ts";
import { outcomeOf, privilegeCondition } from "../../functions/onboarding/privilege.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { cmdletsFrom, differenceFrom, expectedCmdlets, managementRoles } from "../../shared/exchange/management-roles.ts";
import { play } from "../support/play.ts";
import { customer } from "../support/onboarding.ts";

const MINUTE = 60;
const deadlineInSeconds = 90 * MINUTE;

interface Slow {
  /** Minutes until the role group's rights are there; undefined: never. */
  groupArrives: number | undefined;
  /** Minutes for which a dropped Entra role is honoured. */
  roleLingers: number;
  mayDrop?: boolean;
  /** What our application has from elsewhere. */
  elsewhere?: string[];
  repeatActivities?: boolean;
}

async function limit({ groupArrives, roleLingers, mayDrop = true, elsewhere = [], repeatActivities = false }: Slow) {
  const clock = createVirtualClock();
  const began = clock.now();
  const minutes = (): number => (clock.now() - began) / 60_000;
  let droppedAt: number | undefined;
  const allowed = (): string[] => {
    const administrator = droppedAt === undefined || minutes() < droppedAt + roleLingers;
    const narrow = groupArrives !== undefined && minutes() >= groupArrives ? expectedCmdlets() : [];
    return [...new Set([...(administrator ? [...expectedCmdlets(), "New-RoleGroup", "Remove-Mailbox"] : narrow), ...elsewhere])];
  };
  const { tenantId, spec } = customer("contoso");
  const work = { operationId: "played-operation", partnerId: "northwind", tenantId };
  const patience = { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 60 };
  const pace = {
    patience,
    operationDeadlineInSeconds: 3600,
    consentCheckIntervalInSeconds: 300,
    consentExpiryInSeconds: 3600,
    probeIntervalInSeconds: 30,
    probeDeadlineInSeconds: deadlineInSeconds,
  };
  const deadline = began / 1000 + deadlineInSeconds;
  const { result, error, calls, elapsedInMilliseconds } = await play({
    clock,
    repeatActivities,
    start: limitPrivilege,
    input: { work, spec, pace, phase: "first" as const, deadline },
    activities: {
      confirmResource: () => ({}),
      comparePrivilege: () => differenceFrom(expectedCmdlets(), allowed()),
      dropAdministrator: () => {
        if (!mayDrop) return "refused";
        droppedAt ??= minutes();
        return "gone";
      },
      restoreAdministrator: () => void (droppedAt = undefined),
      settlePrivilege: (given: { outcome: string }) => ({ outcome: given.outcome }),
    },
  });
  const steps = calls.filter((call) => call !== "comparePrivilege");
  return { result, error, steps, minutes: Math.round(elapsedInMilliseconds / 60_000), administrator: droppedAt === undefined };
}
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

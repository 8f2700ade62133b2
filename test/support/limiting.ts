/** Giving up Exchange Administrator in virtual time, over a pretend organisation whose lists are slow and whose answers fail. */
import * as fc from "fast-check";
import { limitPrivilege } from "../../functions/onboarding/limit-privilege.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { differenceFrom, expectedCmdlets } from "../../shared/exchange/management-roles.ts";
import { customer } from "./onboarding.ts";
import { play } from "./play.ts";

const MINUTE = 60;
const deadlineInSeconds = 90 * MINUTE;

export const limitingActivities = [
  "confirmResource",
  "comparePrivilege",
  "dropAdministrator",
  "restoreAdministrator",
  "settlePrivilege",
] as const;
export type LimitingActivity = (typeof limitingActivities)[number];

/** What goes wrong with an activity: from which of its calls on, for how many of them, before or after its effect. */
export interface LimitingFault {
  activity: LimitingActivity;
  from: number;
  times: number;
  when: "before" | "after";
  how: "busy" | "refused" | "canceled";
}

export interface Slow {
  /** Minutes until the role group's rights are there; undefined: never. */
  groupArrives: number | undefined;
  /** Minutes for which a dropped Entra role is honoured. */
  roleLingers: number;
  mayDrop?: boolean;
  /** What our application has from elsewhere. */
  elsewhere?: string[];
  repeatActivities?: boolean;
  faults?: LimitingFault[];
  probeIntervalInSeconds?: number;
}

/** What fails no longer than for hours: a restoring that is refused for good, or for a day, is the one thing that can't be helped. */
const faults = fc.array(
  fc.record({
    activity: fc.constantFrom(...limitingActivities),
    from: fc.integer({ min: 0, max: 8 }),
    times: fc.integer({ min: 1, max: 30 }),
    when: fc.constantFrom("before" as const, "after" as const),
    how: fc.constantFrom("busy" as const, "refused" as const, "canceled" as const),
  }),
  { maxLength: 3 },
);
export const anySlow = fc.record({
  groupArrives: fc.option(fc.integer({ min: 0, max: 120 }), { nil: undefined }),
  roleLingers: fc.integer({ min: 0, max: 60 }),
  repeatActivities: fc.boolean(),
  faults,
});

export async function limit({
  groupArrives,
  roleLingers,
  mayDrop = true,
  elsewhere = [],
  repeatActivities = false,
  faults = [],
  probeIntervalInSeconds = 30,
}: Slow) {
  const clock = createVirtualClock();
  const began = clock.now();
  const minutes = (): number => (clock.now() - began) / 60_000;
  let droppedAt: number | undefined;
  let permitted = mayDrop;
  const arrived = (): boolean => groupArrives !== undefined && minutes() >= groupArrives;
  const allowed = (): string[] => {
    const administrator = droppedAt === undefined || minutes() < droppedAt + roleLingers;
    const narrow = arrived() ? expectedCmdlets() : [];
    const rights = [
      ...new Set([...(administrator ? [...expectedCmdlets(), "New-RoleGroup", "Remove-Mailbox"] : narrow), ...elsewhere]),
    ];
    // Exchange Online lets nobody ask who may do nothing at all.
    if (rights.length === 0) throw new ControlPlaneError("ExchangeRefused", "the caller has no role", 403);
    return rights;
  };
  const { tenantId, spec } = customer("contoso");
  const work = { operationId: "played-operation", partnerId: "northwind", tenantId };
  const patience = { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 60 };
  const pace = {
    patience,
    operationDeadlineInSeconds: 3600,
    consentCheckIntervalInSeconds: 300,
    consentExpiryInSeconds: 3600,
    probeIntervalInSeconds,
    probeDeadlineInSeconds: deadlineInSeconds,
  };
  const deadline = began / 1000 + deadlineInSeconds;
  const counts = new Map<string, number>();
  const failing =
    <Input, Output>(activity: LimitingActivity, act: (input: Input) => Output) =>
    (input: Input): Output => {
      const count = counts.get(activity) ?? 0;
      counts.set(activity, count + 1);
      const fault = faults.find((one) => one.activity === activity && count >= one.from && count < one.from + one.times);
      if (fault?.when === "before") throw failureBy(fault);
      const output = act(input);
      if (fault) throw failureBy(fault);
      return output;
    };
  const permission = (): void => {
    if (!permitted) throw new ControlPlaneError("ConsentRequired", "a permission is missing that admin consent gives", 403);
  };
  const { result, error, calls, elapsedInMilliseconds } = await play({
    clock,
    repeatActivities,
    start: limitPrivilege,
    input: { work, spec, pace, phase: "first" as const, deadline },
    activities: {
      confirmResource: failing("confirmResource", () => ({})),
      comparePrivilege: failing("comparePrivilege", () => differenceFrom(expectedCmdlets(), allowed())),
      dropAdministrator: failing("dropAdministrator", () => {
        if (!permitted) return "refused";
        droppedAt ??= minutes();
        return "gone";
      }),
      restoreAdministrator: failing("restoreAdministrator", () => {
        permission();
        droppedAt = undefined;
      }),
      settlePrivilege: failing("settlePrivilege", (given: { outcome: string }) => {
        if (given.outcome === "limited" || given.outcome === "tooMuch") permitted = false;
        return { outcome: given.outcome };
      }),
    },
  });
  const steps = calls.filter((call) => call !== "comparePrivilege");
  const administrator = droppedAt === undefined;
  return {
    result,
    error,
    steps,
    minutes: Math.round(elapsedInMilliseconds / 60_000),
    administrator,
    /** Whether our application can do its work, by the one way or the other. */
    works: administrator || arrived(),
  };
}

function failureBy({ how }: LimitingFault): ControlPlaneError {
  if (how === "busy") return new ControlPlaneError("GraphBusy", "the directory is busy", 503, true);
  if (how === "canceled") return new ControlPlaneError("OperationCanceled", "operation played-operation was canceled", 409);
  return new ControlPlaneError("GraphRefused", "the directory refuses", 400);
}

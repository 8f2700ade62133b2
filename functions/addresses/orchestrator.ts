/**
 * Replaces a gateway's public address, and releases the former one when it is no longer needed as the way back. The operation has succeeded
 * before that: nothing is held up meanwhile. Pure: every effect is a step.
 */
import * as desired from "../../shared/desired/state.ts";
import type { Screened } from "../../shared/dns/screening.ts";
import { child } from "../../shared/durable/branches.ts";
import { type ResourcePace, resourceSteps, waitForOperation } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine, Task } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import { type LoopEvidence, type LoopPace, proveLoop } from "../../shared/proof/loop.ts";
import { firstClean } from "../../shared/runbook/clean-address.ts";
import type { ResourceActivities } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { settle } from "../../shared/runbook/settling.ts";
import type { GuestActivities } from "../../shared/runbook/guest-activities.ts";
import type { AddressActivities } from "./activities.ts";
import { type AddressHands, type Move, moveAddress } from "./ways.ts";

export interface Replacement extends Move {
  work: Move["work"] & { operationId: string; attempt?: number };
  gatewayId: string;
  reason: string;
  /** To the address that was left last: the way back. */
  back: boolean;
  /** Whether the new one is asked about on the blocklists; one that the gateway has had is not. */
  screens: boolean;
  pace: AddressPace;
  /** The new one is proven: from here on only the former one's release is waited for. Seconds since 1970. */
  releaseAt?: number;
}

export interface AddressPace extends ResourcePace, LoopPace {
  probeDeadlineInSeconds: number;
  /** Until every server knows what was written. */
  settleInSeconds: number;
  /** How long the former address is held. */
  releaseAfterInSeconds: number;
}

export function* replaceAddress(context: OrchestrationContext, replacement: Replacement): Routine<void> {
  const { work, gatewayId, reason, back, pace, releaseAt } = replacement;
  if (releaseAt !== undefined) {
    yield* release(context, replacement, releaseAt);
    return;
  }
  const { beginReplacement, finishReplacement, failReplacement } = stepsOf<AddressActivities>(context, pace.patience);
  try {
    yield* beginReplacement({ work, gatewayId, reason, back, at: secondsNow(context) });
    const { address, proof } = yield* moveAddress(handsOf(context, replacement), replacement);
    const until = secondsNow(context) + pace.releaseAfterInSeconds;
    yield* finishReplacement({ work, gatewayId, address, proof, releaseAt: until, at: secondsNow(context) });
  } catch (error) {
    const failed = yield* failReplacement({ work, gatewayId, failure: failureFrom(error), at: secondsNow(context) });
    // What has succeeded doesn't fail any more: only the answer was lost.
    if (failed !== undefined) return;
  }
  context.df.continueAsNew({ ...replacement, releaseAt: secondsNow(context) + pace.releaseAfterInSeconds } satisfies Replacement);
}

const A_DAY_IN_SECONDS = 24 * 3600;
const MOST_ROUNDS = 4;

/** One wait an execution, of a day at most. What Azure refuses today it is asked again tomorrow. */
function* release(context: OrchestrationContext, replacement: Replacement, releaseAt: number): Routine<void> {
  const { work, gatewayId, pace } = replacement;
  const left = releaseAt - secondsNow(context);
  yield* wait(context, Math.max(Math.min(left, A_DAY_IN_SECONDS), 0));
  if (left <= A_DAY_IN_SECONDS && (yield* released())) return;
  const again = left > A_DAY_IN_SECONDS ? releaseAt : secondsNow(context) + A_DAY_IN_SECONDS;
  context.df.continueAsNew({ ...replacement, releaseAt: again } satisfies Replacement);

  function* released(): Routine<boolean> {
    const { releaseAddress } = stepsOf<AddressActivities>(context, pace.patience);
    try {
      for (let round = 1; round <= MOST_ROUNDS; round++) {
        const going = yield* releaseAddress({ work, gatewayId, at: secondsNow(context) });
        if (going.state === "done") return true;
        const deadline = secondsNow(context) + pace.operationDeadlineInSeconds;
        const waiting = { ...going, kind: "publicIpAddress", entraTenantId: replacement.spec.azure.tenantId };
        yield* child(
          context,
          waitForOperation,
          { work, ...waiting, patience: pace.patience, deadline, ticks: 0 },
          `release-${round}`,
        );
      }
    } catch {
      // Somebody may have attached it to something of theirs.
    }
    return false;
  }
}

function handsOf(context: OrchestrationContext, replacement: Replacement): AddressHands<Task, LoopEvidence> {
  const { work, spec, gatewayId, screens, pace } = replacement;
  const resources = resourceSteps<Resources>(context, work, pace);
  const { recordFailure } = stepsOf<ResourceActivities>(context, pace.patience);
  const { readMailRoute, readGuestGeneration } = stepsOf<GuestActivities>(context, pace.patience);
  const steps = stepsOf<AddressActivities>(context, pace.patience);
  return {
    ...resources,
    *ensureIfPossible(kind, step, wanted) {
      try {
        yield* resources.ensure(kind, step, wanted);
      } catch (error) {
        yield* recordFailure({ work, step, failure: failureFrom(error) });
      }
    },
    *firstClean(wanted) {
      const one = (index: number) => {
        const found = wanted[index];
        if (!found) throw new Error(`there is no address ${index + 1}`);
        return found;
      };
      try {
        return yield* firstClean({
          count: wanted.length,
          make: (index) => resources.ensure("publicIpAddress", "newAddress", one(index), index + 1),
          *screen(address) {
            return screens ? yield* steps.screenAddress({ work, address }) : UNASKED;
          },
          letGo: (index) => resources.remove("publicIpAddress", "newAddress", one(index), index + 1),
        });
      } catch (error) {
        const failure = failureFrom(error);
        if (failure.code === "AddressesListed") yield* recordFailure({ work, step: "screened", failure });
        throw error;
      }
    },
    *settled(step) {
      yield* settle(context, { work, step, seconds: pace.settleInSeconds, patience: pace.patience });
    },
    swapping: ({ ipAddress }) => steps.announceSwap({ work, gatewayId, address: ipAddress, at: secondsNow(context) }),
    keep: (names, address) => steps.keepAddress({ work, gatewayId, names, address }),
    mailRoute: () => readMailRoute(desired.mailRouteWanted({ spec })),
    guestGeneration: () => readGuestGeneration({ work }),
    startTls: (ground) => steps.checkNewAddress({ work, loop: desired.loop(replacement, ground) }),
    *prove(ground) {
      const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
      const loop = desired.loop(replacement, ground);
      return yield* child(context, proveLoop, { work, pace, loop, step: "probeMail", round: 1, deadline }, "probe");
    },
  };
}

/** One that the gateway has had before. */
const UNASKED: Screened = { lists: [], silent: [], asked: 0 };

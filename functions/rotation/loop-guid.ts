/**
 * The loop GUID (mission B5): rules accept the old and the new one before any machine writes the new one, and the old one is dropped only
 * when mail that was marked with it has long arrived. An operation of its own drops it, so that nothing is held up meanwhile.
 *
 * Exchange takes a rule from whoever writes it last. So the tenant's facts say first what rules accept; whoever writes one looks there right
 * before he does; and rules are written, and counted on, when nobody can be left who has looked earlier.
 */
import { markedRules } from "../../shared/desired/marked-rules.ts";
import * as desired from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import type { LoopGuidActivities } from "./loop-guid-activities.ts";
import { rotate, type Rotation } from "./orchestrator.ts";

export interface LoopGuidRotation extends Rotation {
  /** Only drops the old one: the new one is in use since a while. */
  finish?: boolean;
  /** Everybody's mail runs through the gateway, not the pilot's alone. */
  live: boolean;
  /** Mail goes round the gateway for now: no probe mail can come back through it. */
  bypassed: boolean;
  /** How long a rule that was decided on before may still come; left out where nothing waits. */
  settleInSeconds?: number;
}

export function* rotateLoopGuid(context: OrchestrationContext, rotation: LoopGuidRotation): Routine<void> {
  const { work, key, generation, emergency, finish, spec, names, ground, live, bypassed, settleInSeconds, pace } = rotation;
  const steps = stepsOf<LoopGuidActivities>(context, pace.patience);
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  const target = { work, spec, names };
  // A try that failed between what its flip wrote first and last has left the one before as the other one.
  const before = ({ reference }: { reference: SecretReference }): SecretReference =>
    ground.loopGuid.version === reference.version ? (ground.otherLoopGuid ?? ground.loopGuid) : ground.loopGuid;

  /** Each rule is written and read back. */
  function* accept(prefix: string, loopGuid: SecretReference, otherLoopGuid?: SecretReference): Routine<void> {
    for (const { kind, wanted } of markedRules(target, { ...ground, loopGuid, otherLoopGuid }, live))
      yield* ensure(kind, `${prefix}-${kind}`, wanted);
  }

  yield* rotate(context, rotation, {
    create: () => steps.createLoopGuid({ work, key, generation, spec }),
    *test({ reference }) {
      const old = before({ reference });
      const accepting = { work, old, also: reference };
      if (settleInSeconds) {
        yield* steps.acceptLoopGuid({ ...accepting, until: secondsNow(context) + settleInSeconds });
        yield* wait(context, settleInSeconds);
      }
      yield* steps.acceptLoopGuid(accepting);
      yield* accept("both", old, reference);
    },
    told: ({ reference }) => ({ ground: { loopGuid: reference } }),
    *verify({ reference }) {
      if (bypassed) return;
      const loop = desired.loop(target, { ...ground, loopGuid: reference });
      const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
      yield* child(context, proveLoop, { work, pace, loop, step: "probeMail", round: 1, deadline }, "probe");
    },
    flip: (made) =>
      steps.flipLoopGuid({ work, key, generation, made, old: before(made), overlapInSeconds: pace.overlapInSeconds }),
    *overlap() {
      return finish === true || emergency === true;
    },
    *revoke({ reference }) {
      yield* steps.dropLoopGuid({ work, current: reference });
      yield* accept("only", reference);
      yield* steps.retireLoopGuid({ work, key, spec });
    },
  });
}

/**
 * Rotates a tenant's client secret with two valid ones in between: create and store, test, apply to the machine, verify, flip, and only
 * after the overlap revoke the old one. The order makes every crash harmless: nothing is used before it is stored, nothing is revoked before
 * it is out of use, and nothing is cleaned up while something is being made.
 */
import type { Names } from "../../shared/azure/names.ts";
import type { Patience } from "../../shared/durable/patience.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { CredentialKey, CredentialVersion } from "../../shared/stores/credentials.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { Ground, GuestGeneration } from "../../shared/desired/state.ts";
import { machinesOf } from "../../shared/desired/machines.ts";
import { guest, mailRouteWanted } from "../../shared/desired/state.ts";
import { type ResourcePace, resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { waitForEventOr } from "../../shared/durable/wait.ts";
import type { Beside, RotationActivities } from "./activities.ts";

export interface Rotation {
  work: Work;
  key: CredentialKey;
  /** The one that this rotation makes. */
  generation: number;
  /** The old one is compromised: nothing waits for whoever still uses it. */
  emergency?: boolean;
  spec: TenantSpec;
  names: Names;
  ground: RotationGround;
  pace: RotationPace;
}

/** What onboarding has kept of the ground, and where machines report, which the guest's document repeats. */
export type RotationGround = Pick<Ground, "regions" | "loopGuid" | "identityClientId" | "applications" | "namedSecrets"> &
  Pick<GuestGeneration, "agents">;

export interface RotationPace extends ResourcePace {
  patience: Patience;
  overlapInSeconds: number;
  lifetimeInSeconds: number;
}

/** Nobody has to wait for the end of the overlap to see that the rotation was canceled: the next activity reads it. */
export const OVERLAP_CANCELED = "overlapCanceled";

export function* rotateClientSecret(context: OrchestrationContext, rotation: Rotation): Routine<void> {
  const { work, key, generation, emergency, spec, names, ground, pace } = rotation;
  const steps = stepsOf<RotationActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  try {
    const { claimed, flipped, beside } = yield* steps.claimRotation({ work, key, generation, ...(emergency && { emergency }) });
    if (!claimed) return;
    const current = flipped ?? (yield* replaced(beside));
    yield* steps.beginOverlap({ work });
    yield* waitForEventOr(context, OVERLAP_CANCELED, pace.overlapInSeconds);
    yield* steps.revokeClientSecrets({ work, key, spec, current });
    yield* steps.finishRotation({ work, key, generation });
  } catch (error) {
    yield* steps.failRotation({ work, key, failure: failureFrom(error) });
  }

  /** Until everybody is given the new one. */
  function* replaced({ rotations, ...others }: Beside = { rotations: 0 }): Routine<CredentialVersion> {
    const made = yield* steps.createClientSecret({ work, key, generation, spec, lifetimeInSeconds: pace.lifetimeInSeconds });
    yield* steps.testClientSecret({ work, step: "testSecret", key, spec, version: made });

    const target = { work, spec, names };
    const route = yield* steps.readMailRoute(mailRouteWanted(target));
    const secrets = { ...others, [key.name]: made.reference };
    const generationMade = { generation: generation + rotations, ...secrets, agents: ground.agents };
    // One machine after another: if the new secret harms one, the others still work.
    for (const { region, machine, address, suffix } of machinesOf(target, ground)) {
      const desired = guest(target, { region, machine }, address.fqdn, ground, route, generationMade);
      yield* ensure("guest", `applyToGateway${suffix}`, desired);
      yield* confirm("guest", `verifyGateway${suffix}`, desired);
    }
    yield* steps.testClientSecret({ work, step: "verifySecret", key, spec, version: made });
    yield* steps.flipClientSecret({ work, key, generation, made });
    return made;
  }
}

/**
 * Rotates a credential with two valid ones in between: create and store, test, apply to one machine after another, verify, flip, and only
 * after the overlap revoke the old one. The order is the same for every kind of credential, and makes every crash harmless: nothing is used
 * before it is stored, nothing is revoked before it is out of use, and nothing is cleaned up while something is being made.
 */
import type { Names } from "../../shared/azure/names.ts";
import type { Patience } from "../../shared/durable/patience.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { CredentialKey, CredentialVersion } from "../../shared/stores/credentials.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { Ground, GuestGeneration } from "../../shared/desired/state.ts";
import { machinesOf, type PlacedMachine } from "../../shared/desired/machines.ts";
import { guest, mailRouteWanted } from "../../shared/desired/state.ts";
import { type ResourcePace, resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import type { LoopPace } from "../../shared/proof/loop.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import type { Beside, Claim, RotationActivities } from "./activities.ts";

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
export type RotationGround = Pick<
  Ground,
  "regions" | "loopGuid" | "otherLoopGuid" | "certificate" | "identityClientId" | "applications" | "namedSecrets"
> &
  Pick<GuestGeneration, "agents">;

export interface RotationPace extends ResourcePace, LoopPace {
  patience: Patience;
  overlapInSeconds: number;
  lifetimeInSeconds: number;
  probeDeadlineInSeconds: number;
}

/** What is particular to a kind of credential, in the order of the walk. */
export type Chapters = Particular & (Told | Given);

/** The machines' documents hold it. */
interface Told {
  /** What they say with it, beside the tenant's other credentials. */
  told(made: CredentialVersion): Said;
  /** What a machine needs around being told; without it, it is just told. */
  around?(machine: PlacedMachine, tell: (again?: Said) => Routine<void>): Routine<void>;
}

/** It stands in none of them. */
interface Given {
  /** To one machine after another, each of which is seen to take it. `old` is what they have until then; undefined where nobody knows. */
  give(made: CredentialVersion, old: SecretReference | undefined): Routine<void>;
}

interface Particular {
  /** Made, and in the vault. What an earlier try of this generation has stored is used again. */
  create(): Routine<CredentialVersion>;
  /** Whoever takes it takes it, before any machine has it. */
  test(made: CredentialVersion): Routine<void>;
  /** It works, now that all machines have it. */
  verify(made: CredentialVersion): Routine<void>;
  /** From here on everybody is given the new one. */
  flip(made: CredentialVersion): Routine<void>;
  /** While both are valid; gives whether the old one goes now, or is left to a later rotation of the same generation. */
  overlap(): Routine<boolean>;
  /** The old one goes, and is seen to be dead; `tell` gives the machines once more what they are told. */
  revoke(current: CredentialVersion, tell: () => Routine<void>): Routine<void>;
  /** What must not stay halfway when it fails. */
  takeBack?(): Routine<void>;
}

/** What changes in the machines' documents. */
export interface Said {
  ground?: Partial<RotationGround>;
  secrets?: Partial<GuestGeneration>;
}

/** Whoever may not begin says nothing more; a try that failed after the flip goes on at the overlap. */
export function* rotate(context: OrchestrationContext, rotation: Rotation, chapters: Chapters): Routine<void> {
  const { work, key, generation, emergency, spec, names, pace } = rotation;
  const steps = stepsOf<RotationActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  try {
    const claim = yield* steps.claimRotation({ work, key, generation, ...(emergency && { emergency }) });
    if (!claim.claimed) return;
    const ground = { ...rotation.ground, ...claim.ground };
    const current = claim.flipped ?? (yield* replaced(ground, claim));
    const over = yield* chapters.overlap();
    if (over)
      yield* chapters.revoke(current, function* () {
        if ("told" in chapters) yield* tell(chapters, current, ground, claim.beside);
      });
    yield* steps.finishRotation({ work, key, generation, ...(over ? {} : { oldStays: true }) });
  } catch (error) {
    try {
      if (chapters.takeBack) yield* chapters.takeBack();
    } catch {
      // What failed first is what is told; whoever tries again finds how far it came.
    }
    yield* steps.failRotation({ work, key, failure: failureFrom(error) });
  }

  /** Until everybody is given the new one. */
  function* replaced(ground: RotationGround, { beside, old }: Pick<Claim, "beside" | "old">): Routine<CredentialVersion> {
    const made = yield* chapters.create();
    yield* chapters.test(made);
    if ("give" in chapters) yield* chapters.give(made, old);
    else yield* tell(chapters, made, ground, beside);
    yield* chapters.verify(made);
    yield* chapters.flip(made);
    return made;
  }

  /** One machine after another: if the new one harms one, the others still work. */
  function* tell(
    { told, around }: Told,
    made: CredentialVersion,
    ground: RotationGround,
    { rotations, ...others }: Beside = { rotations: 0 },
  ): Routine<void> {
    const target = { work, spec, names };
    const route = yield* steps.readMailRoute(mailRouteWanted(target));
    for (const placed of machinesOf(target, ground)) {
      const { region, machine, address, suffix } = placed;
      let times = 0;
      const say = function* (again?: Said): Routine<void> {
        times += 1;
        const said = again ?? told(made);
        const held = { generation: generation + rotations, ...others, ...said.secrets, agents: ground.agents };
        const desired = guest(target, { region, machine }, address.fqdn, { ...ground, ...said.ground }, route, held);
        yield* ensure("guest", `applyToGateway${suffix}`, desired, times);
        yield* confirm("guest", `verifyGateway${suffix}`, desired);
      };
      yield* around ? around(placed, say) : say();
    }
  }
}

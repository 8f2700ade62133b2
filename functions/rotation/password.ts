/**
 * Passwords of accounts inside the gateways. An account has one at a time, so that nothing overlaps: the new one is in the vault before any
 * machine is told of it, and a machine that was told already, or was not, is found by trying both.
 */
import * as desired from "../../shared/desired/state.ts";
import { machinesOf } from "../../shared/desired/machines.ts";
import { resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { PasswordName } from "../../shared/vault/credential-names.ts";
import { rotate, type Rotation } from "./orchestrator.ts";
import type { PasswordActivities } from "./password-activities.ts";

const documentOf = {
  administratorPassword: desired.administratorPassword,
  sqlAdministratorPassword: desired.sqlAdministratorPassword,
} satisfies Record<PasswordName, unknown>;

export function* rotatePassword(context: OrchestrationContext, rotation: Rotation): Routine<void> {
  const { work, key, generation, emergency, spec, names, ground, pace } = rotation;
  const steps = stepsOf<PasswordActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  const target = { work, spec, names };

  yield* rotate(context, rotation, {
    create: () => steps.createPassword({ work, key, generation, spec }),
    // Nobody takes it before the first machine does, and there each log-on with it is seen.
    *test() {},
    *give({ reference: secret }, old) {
      const change = { generation, secret, earlier: old ? [old] : [], ...(emergency && { reset: true as const }) };
      for (const { region, machine, suffix } of machinesOf(target, ground)) {
        const wanted = documentOf[key.name as PasswordName](target, { region, machine }, ground, change);
        yield* ensure("guest", `changeOnGateway${suffix}`, wanted);
        yield* confirm("guest", `logOnToGateway${suffix}`, wanted);
      }
    },
    *verify() {},
    flip: (made) => steps.flipPassword({ work, key, generation, made }),
    *overlap() {
      return true;
    },
    revoke: () => steps.retirePassword({ work, key, spec }),
  });
}

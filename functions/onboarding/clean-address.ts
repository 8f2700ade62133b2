/** Mission C9: a machine's new public address, asked about on the blocklists before anything uses it. Pure: every effect is a step. */
import type { MachineNames } from "../../shared/azure/names.ts";
import { machineSuffix } from "../../shared/desired/machines.ts";
import type { NewAddress } from "../../shared/desired/new-addresses.ts";
import { machineAt } from "../../shared/desired/replaced-address.ts";
import * as desired from "../../shared/desired/state.ts";
import { resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import type { ResourceActivities } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { type Clean, firstClean } from "../../shared/runbook/clean-address.ts";
import type { NewAddressActivities } from "./new-address-activities.ts";
import type { Onboarding } from "./orchestrator.ts";

export function* cleanAddress(
  context: OrchestrationContext,
  { work, spec, names, pace }: Onboarding,
  { region: at, machine: number, candidates, begun }: NewAddress,
): Routine<desired.Address> {
  const { ensure, remove } = resourceSteps<Resources>(context, work, pace);
  const { beginAnotherAddress, screenNewAddress, keepNewAddress } = stepsOf<NewAddressActivities>(context, pace.patience);
  const { recordFailure } = stepsOf<ResourceActivities>(context, pace.patience);
  const region = names.regions[at];
  if (!region) throw new Error(`there is no region ${at + 1}`);
  const machine = machineAt({ names }, { region: at, machine: number });
  const { virtualMachine } = machine;
  const suffix = machineSuffix(at, number);
  const stepOf = (index: number): string => `publicIpAddress${suffix}${index === 0 ? "" : `-${index + 1}`}`;
  const wantedOf = (index: number): desired.Desired<"publicIpAddress"> => {
    const named: MachineNames = { ...machine, ...candidates[index] };
    return desired.machineAddress({ work, spec, names }, { region, machine: named });
  };
  /** The first, as long as there is no other that would have to go before it is kept. */
  const keepsAtOnce = (one: number): boolean => one === 0 && begun === 1;
  const { index, address, screened } = yield* clean();
  const chosen = index === 0 ? undefined : candidates[index];
  const doubt = { ...screened, ipAddress: address.ipAddress };
  if (!keepsAtOnce(index) || screened.lists.length > 0)
    yield* keepNewAddress({ work, virtualMachine, ...(chosen && { names: chosen }), doubt });
  return { ...address, ...(chosen && { names: chosen }) };

  function* clean(): Routine<Clean> {
    try {
      return yield* firstClean({
        count: candidates.length,
        begun,
        *make(one) {
          if (one > 0) yield* beginAnotherAddress({ work, virtualMachine, begun: one + 1, step: stepOf(one) });
          return yield* ensure("publicIpAddress", stepOf(one), wantedOf(one));
        },
        screen: (address, one) =>
          screenNewAddress({ work, step: `screened${suffix}`, virtualMachine, address, keeps: keepsAtOnce(one) }),
        letGo: (one) => remove("publicIpAddress", stepOf(one), wantedOf(one)),
        // Few receivers refuse mail by such a list, and a case opens for it.
        bearable: ({ weight }) => weight === "low",
      });
    } catch (error) {
      const failure = failureFrom(error);
      if (failure.code === "AddressesListed") yield* recordFailure({ work, step: `screened${suffix}`, failure });
      throw error;
    }
  }
}

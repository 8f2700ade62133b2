/** The step graph of an offboarding, known before it starts, in the only order that loses no mail. */
import type { Branch } from "../../shared/api/operation.ts";
import { machineTitles, regionTitles } from "../../shared/desired/machines.ts";
import type { Target } from "../../shared/desired/target.ts";
import { connectionRemovals, type Footprint, forwardingRemovals, type Removal } from "../../shared/desired/removals.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });
const removed = ({ step: name, title, kind }: Removal) =>
  step(kind.endsWith("Application") ? "directory" : "mailFlow", name, title);

export const EXPORT = "export";

export function offboardingSteps(target: Target, ground: Footprint, exported = false) {
  const { gateway } = target.spec;
  return [
    ...(exported ? [step("access", EXPORT, "What stands is kept, so that a person could make it again")] : []),
    ...forwardingRemovals(target, ground).map(removed),
    step("proof", "aroundGateway", "Probe mails arrive without having met the gateway"),
    step("proof", "emptyQueues", "No mail waits in a gateway"),
    ...connectionRemovals(target, ground).map(removed),
    step(
      "gateway",
      "watch",
      `Nobody watches ${machineTitles({ gateway }).length === 1 ? "the gateway" : "the gateways"} any more`,
    ),
    ...regionTitles({ gateway }).map(({ suffix, where }) =>
      step("root", `resourceGroup${suffix}`, ["Resource group removed with all that is in it", ...where].join(", ")),
    ),
    step("proof", "residue", "Nothing of it is left in Azure, Exchange Online and Entra"),
  ];
}

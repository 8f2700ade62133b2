/** What a replacement would do, found out by walking the same way with hands that only look. */
import { refusal } from "../../shared/api/error-codes.ts";
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { Address } from "../../shared/desired/state.ts";
import type { MailRoute } from "../../shared/desired/mail-route.ts";
import { machineAt } from "../../shared/desired/replaced-address.ts";
import * as desired from "../../shared/desired/state.ts";
import type { GuestGeneration } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { typical } from "../../shared/plans/durations.ts";
import { lookingWay } from "../../shared/plans/looking-way.ts";
import type { Asked, Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { mailRouteOf } from "../../shared/desired/mail-route.ts";
import { agentsOf, guestOf } from "../../shared/runbook/guest.ts";
import { type Sight, walked } from "../../shared/runbook/looking.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { moveOf, presentAddress, refuseUnlessReplaceable } from "./replacements.ts";
import { replacementSteps } from "./steps.ts";
import { type AddressHands, type Move, moveAddress } from "./ways.ts";
import type { AddressesWorld } from "./world.ts";

export async function planReplacement(
  world: AddressesWorld,
  tenant: TenantRecord,
  { gateway, back = false }: Asked,
): Promise<Planned> {
  const gatewayId = gateway ?? onlyGatewayOf(tenant);
  refuseUnlessReplaceable(tenant, { gatewayId, back });
  const move = moveOf(tenant, { gatewayId, back });
  const sight: Sight = { seen: [], seconds: 0 };
  const hands = handsOver(world, tenant, sight);
  await walked(moveAddress(hands, move));
  await walked(hands.drop("publicIpAddress", "released", formerAddress(move)));
  const released = { name: "released", title: "The former public address, once it is no longer held" };
  const steps = [...replacementSteps(tenant, back), released];
  return {
    names: targetOf(tenant).names,
    estimatedSeconds: sight.seconds,
    resources: plannedOf(sight.seen, steps),
    checks: [],
    findings: [
      {
        code: "GatewayInterrupted",
        severity: "warning",
        message: `while the machine changes from ${presentAddress(tenant, move)} to the other address nothing answers there, for seconds to minutes`,
        remedy: "nothing: senders try again, and both names are known to Exchange Online meanwhile",
      },
      {
        code: "GatewayRenamed",
        severity: "information",
        message: "the new address has a name of its own, and WebClient is reached by that name from then on",
        remedy:
          "tell whoever opens WebClient by the machine's name, or give it a name of your own in microsoft365.webClient.urls",
      },
    ],
    tasks: [],
  };
}

function formerAddress(move: Move): desired.Desired<"publicIpAddress"> {
  const region = move.names.regions[move.at.region];
  if (!region) throw new Error(`there is no region ${move.at.region + 1}`);
  return desired.machineAddress(move, { region, machine: machineAt(move, move.at) });
}

function onlyGatewayOf(tenant: TenantRecord): string {
  const machines = targetOf(tenant).names.regions.flatMap((region) => region.machines);
  const [only] = machines;
  if (only && machines.length === 1) return gatewayIdOf(tenant.id, only.virtualMachine);
  throw refusal("InvalidRequest", `tenant ${tenant.id} has ${machines.length} gateways: say which one`, { target: "gateway" });
}

function handsOver(world: AddressesWorld, tenant: TenantRecord, sight: Sight): AddressHands<Promise<unknown>, void> {
  const { ensure, drop, startTls, prove } = lookingWay(world.resources, sight, "");
  const target = targetOf(tenant);
  return {
    ensure,
    drop,
    startTls,
    prove,
    *ensureIfPossible(kind, step, wanted) {
      yield* ensure(kind, step, wanted);
    },
    /** Which of them will be clean shows when they are made. */
    *firstClean(wanted) {
      const [first] = wanted;
      if (!first) throw new Error("no address is wanted");
      const { id, ipAddress, fqdn }: Address = yield* ensure("publicIpAddress", "newAddress", first);
      return { address: { id, ipAddress, fqdn }, index: 0 };
    },
    *confirm() {
      // What was just planned is read back.
    },
    *settled() {
      sight.seconds += typical.propagation;
    },
    *swapping() {
      // Nobody is told of what is only planned.
    },
    *keep() {
      // A plan changes nothing.
    },
    *mailRoute() {
      return (yield mailRouteOf(world, desired.mailRouteWanted(target))) as MailRoute;
    },
    *guestGeneration() {
      return { ...((yield guestOf(world, target.work)) as GuestGeneration), agents: agentsOf(world) };
    },
  };
}

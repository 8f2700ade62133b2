/** A replacement as an operation: when it may begin, of which gateway, and what it is started with. */
import * as z from "zod";
import { refusal } from "../../shared/api/error-codes.ts";
import type { AddressInput } from "../../shared/api/address.ts";
import { refuseAdopted } from "../../shared/desired/adopted.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import { type HeldAddress, heldAddresses, machineOfGateway, nextNames } from "../../shared/desired/held-addresses.ts";
import { addressAt, machineAt, withAddress, withNames } from "../../shared/desired/replaced-address.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { isStanding, standingOf, targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { MOST_ADDRESSES } from "../../shared/runbook/clean-address.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { replaceAddress, type Replacement } from "./orchestrator.ts";
import { replacementSteps } from "./steps.ts";
import type { Move } from "./ways.ts";
import type { AddressDoors } from "./world.ts";

/** What was asked for then: the door's body, and of which gateway. */
const askedSchema = z.object({
  gatewayId: z.string(),
  reason: z.string().default("asked for"),
  back: z.boolean().default(false),
});
export type AskedReplacement = z.output<typeof askedSchema>;
export const askedOf = (request: unknown): AskedReplacement => askedSchema.parse(request);
export const requestOf = (gatewayId: string, { plan: _plan, ...body }: AddressInput) => ({ gatewayId, ...body });

type Paced = Pick<AddressDoors, "addressPace" | "plans">;

export const replacing = (world: Paced, asked: AskedReplacement, plan?: string): TenantOperation<Replacement> => ({
  kind: "addressReplacement",
  orchestrator: replaceAddress,
  stepsOf: (tenant) => replacementSteps(tenant, asked.back),
  inputOf: (tenant, operationId) => replacementOf(world, asked, tenant, operationId),
  async check(tenant) {
    refuseUnlessReplaceable(tenant, asked);
    const { gatewayId, back } = asked;
    await world.plans.insistOn("addressReplacement", tenant, plan, { gateway: gatewayId, back });
  },
});

export function refuseUnlessReplaceable(
  tenant: TenantRecord,
  { gatewayId, back }: Pick<AskedReplacement, "gatewayId" | "back">,
): void {
  const { id, stage } = tenant;
  refuseAdopted(
    tenant,
    "its names and rules are not ours to change",
    "POST …/onboard makes it whole first; or give its machine another address by hand, and take it over again",
  );
  if (stage === "bypassed")
    throw refusal("TenantBypassed", `mail of tenant ${id} goes round its gateway, so that a new address could not be proven`);
  if (!isStanding(tenant) || !machineOfGateway(tenant, gatewayId))
    throw refusal("NotPiloted", `tenant ${id} is in stage ${stage}: no mail runs through a gateway ${gatewayId}`);
  if (standingOf(tenant) !== undefined)
    throw refusal("TenantInUse", `the spec of tenant ${id} asks for other machines than stand: onboard it first`);
  if (back && heldFor(tenant, gatewayId) === undefined)
    throw refusal("NoFormerAddress", `gateway ${gatewayId} has left no address that is still held`);
}

/** The one that was left last. */
const heldFor = (tenant: TenantRecord, gatewayId: string): HeldAddress | undefined =>
  heldAddresses(tenant).findLast((one) => one.gatewayId === gatewayId);

/** Of an operation that has come as far as the swap: from where it began, to what it has made. */
export function moveOf(
  tenant: TenantRecord,
  { gatewayId, back }: Pick<AskedReplacement, "gatewayId" | "back">,
  operationId?: string,
): Move & { screens: boolean } {
  const target = targetOf(tenant);
  const ground = tenant.facts["ground"] as Ground;
  const at = machineOfGateway(tenant, gatewayId);
  if (!at) throw refusal("NotPiloted", `tenant ${tenant.id} has no gateway ${gatewayId}`);
  const machine = machineAt(target, at);
  const live = settledStage(tenant) === "live";
  const left = heldAddresses(tenant).find((one) => one.operationId === operationId && one.gatewayId === gatewayId);
  if (left)
    return {
      ...target,
      names: withNames(target.names, at, left.names),
      ground: withAddress(ground, at, left.address),
      at,
      candidates: [machine],
      live,
      screens: false,
    };
  const held = back ? heldFor(tenant, gatewayId) : undefined;
  const candidates = held
    ? [{ ...machine, ...held.names }]
    : nextNames(
        machine,
        heldAddresses(tenant).filter((one) => one.gatewayId === gatewayId),
        MOST_ADDRESSES,
      );
  return { ...target, ground, at, candidates, live, screens: !held };
}

/** Where the machine is now. */
export const presentAddress = (tenant: TenantRecord, move: Move): string =>
  addressAt(tenant.facts["ground"] as Ground, move.at).ipAddress;

function replacementOf(
  { addressPace: pace }: Paced,
  { gatewayId, reason, back }: AskedReplacement,
  tenant: TenantRecord,
  operationId: string,
): Replacement {
  const move = moveOf(tenant, { gatewayId, back }, operationId);
  return { ...move, work: { ...move.work, operationId }, gatewayId, reason, back, pace };
}

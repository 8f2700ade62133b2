/** Whether mail may be forwarded: its way out and back is whole, or becomes so by the same repair, and leads to gateways that are well. */
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { Comparison } from "./compare.ts";

/** What forwarded mail needs on its way out and back. */
const theWay = new Set<string>([
  "inboundConnector",
  "outboundConnector",
  "guardRule",
  "approvalRule",
  "stripRule",
  "networkSecurityGroup",
  "gatewayVm",
  "guest",
] satisfies (keyof Resources)[]);

/** Mail goes to no gateway that is not well, and past nothing that protects it. `steps`: what is brought back. */
export async function refuseUnlessWayIsWhole(
  { tenants, gateways }: Pick<Stores, "tenants" | "gateways">,
  { partnerId, tenantId }: { partnerId: string; tenantId: string },
  steps: string[],
  {
    differences,
    unread: unknown,
  }: Pick<Comparison, "unread"> & { differences: Pick<Comparison["differences"][number], "kind" | "step" | "title">[] },
): Promise<void> {
  const broken = differences.find(({ kind, step }) => theWay.has(kind) && !steps.includes(step));
  if (broken) throw impossible(`mail is forwarded only when its way is whole, and "${broken.title}" differs too: repair both`);
  const unseen = unknown.find(({ kind }) => theWay.has(kind));
  if (unseen) throw unread(`"${unseen.title}", which mail takes: ${unseen.reason}`);
  const { facts } = await tenants.get(partnerId, tenantId);
  if (facts["ground"] === undefined)
    throw impossible(
      `a person made what stands of tenant ${tenantId}, and its loop GUID is in no vault: put back by hand what sends mail, and name the steps of what else is to be repaired`,
    );
  for (const { tenantId: of, id, state } of await gateways.of(partnerId))
    if (of === tenantId && state.health !== "healthy")
      throw impossible(`mail is forwarded only to gateways that are well, and ${id} is ${state.health}`);
}

export const impossible = (message: string): ControlPlaneError => new ControlPlaneError("RepairImpossible", message, 409);
export const unread = (message: string): ControlPlaneError =>
  new ControlPlaneError("DriftUnread", `nothing is written: ${message}`, 503, true);

/** Which directory a tenant's machines have, as each said last. */
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { DirectoryState } from "../../shared/api/directory.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { Published } from "../../shared/stores/directories.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

export type DirectoryOnMachine = NonNullable<DirectoryState["machines"]>[number];

/** Undefined where none is to have one. */
export async function directoriesOnMachines(
  { heartbeats }: Pick<Stores, "heartbeats">,
  tenant: TenantRecord,
  published: Published | undefined,
): Promise<DirectoryOnMachine[] | undefined> {
  if (tenant.spec.directory?.file === undefined) return undefined;
  const machines = targetOf(tenant).names.regions.flatMap((region) => region.machines);
  return Promise.all(
    machines.map(async ({ virtualMachine }): Promise<DirectoryOnMachine> => {
      const gatewayId = gatewayIdOf(tenant.id, virtualMachine);
      const there = (await heartbeats.find(tenant.partnerId, gatewayId))?.last?.directory;
      if (!there) return { gatewayId, state: "none" };
      return { gatewayId, state: there.hash === published?.hash ? "current" : "older", fetchedAt: there.at };
    }),
  );
}

/** Long enough for two of a machine's looks and a heartbeat. */
const LATE_IN_MILLISECONDS = 75 * 60 * 1000;

/** Those that should have the published document by now. */
export const lateMachines = (machines: DirectoryOnMachine[], { at }: Pick<Published, "at">, now: number): string[] =>
  now - Date.parse(at) < LATE_IN_MILLISECONDS
    ? []
    : machines.filter(({ state }) => state !== "current").map(({ gatewayId }) => gatewayId);

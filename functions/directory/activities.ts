/** What a refresh does: a chunk of changes read and kept, a document published or held, and the tenant's condition about it. */
import type { Condition } from "../../shared/api/tenant.ts";
import { collectChunk, type DirectoryWanted, publishRun } from "../../shared/directory/refresh.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { directoriesOnMachines, lateMachines } from "./machines.ts";
import { isServed } from "./refreshes.ts";
import type { DirectoryFunctions } from "./world.ts";

export type DirectoryActivities = ReturnType<typeof createDirectoryActivities>;

export const createDirectoryActivities = ({ stores, graph, environment, clock }: DirectoryFunctions) => {
  const world = { graph, directories: stores.directories, graphEndpoint: environment.graph.endpoint, now: () => clock.now() };
  const say = async ({ partnerId, tenantId }: DirectoryWanted, condition: Said): Promise<void> => {
    await stores.tenants.setConditions(partnerId, tenantId, [condition]);
  };

  /** A tenant that left meanwhile: nobody reads its directory, and what was kept of it is gone. */
  const served = async ({ partnerId, tenantId }: DirectoryWanted): Promise<TenantRecord | undefined> => {
    const tenant = await stores.tenants.find(partnerId, tenantId);
    return tenant && isServed(tenant) ? tenant : undefined;
  };

  /** Whether the machines fetched the document before this one, which they had time for. */
  const sayDelivered = async (wanted: DirectoryWanted, tenant: TenantRecord): Promise<void> => {
    const { published } = await stores.directories.get(wanted.partnerId, wanted.tenantId);
    const machines = await directoriesOnMachines(stores, tenant, published);
    if (machines === undefined || published === undefined) return;
    const late = lateMachines(machines, published, clock.now());
    await say(
      wanted,
      late.length === 0
        ? {
            type: "DirectoryDelivered",
            status: "True",
            reason: "NoneLate",
            message: "no machine is late in fetching the document",
          }
        : {
            type: "DirectoryDelivered",
            status: "False",
            reason: "MachineLate",
            message: `the document was published, and ${late.join(", ")} did not fetch it`,
          },
    );
  };

  return {
    collectDirectory: async ({ wanted, runId }: { wanted: DirectoryWanted; runId: string }): Promise<{ complete: boolean }> =>
      (await served(wanted)) ? collectChunk(world, wanted, runId) : { complete: true },

    /** Either the whole of the new document is there, or the old one stays. */
    publishDirectory: async ({ wanted, lossAccepted }: { wanted: DirectoryWanted; lossAccepted: boolean }): Promise<void> => {
      const tenant = await served(wanted);
      if (!tenant) return;
      await sayDelivered(wanted, tenant);
      const result = await publishRun(world, wanted, lossAccepted);
      await say(
        wanted,
        result.outcome === "held"
          ? fresh(
              "False",
              "MassRemoval",
              `${result.lost} of ${result.of} users and groups are gone from the directory; the old document stays until somebody accepts that`,
            )
          : fresh("True", "Published", "the document has what Microsoft 365 says"),
      );
    },

    failDirectory: ({ wanted, failure }: { wanted: DirectoryWanted; failure: Failure }): Promise<void> =>
      say(wanted, fresh("False", failure.code, failure.message)),
  };
};

type Said = Omit<Condition, "since">;

const fresh = (status: "True" | "False", reason: string, message: string): Said => ({
  type: "DirectoryFresh",
  status,
  reason,
  message,
});

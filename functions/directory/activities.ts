/** What a refresh does: a chunk of changes read and kept, a document published or held, and the tenant's condition about it. */
import { collectChunk, type DirectoryWanted, publishRun } from "../../shared/directory/refresh.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import type { DirectoryFunctions } from "./world.ts";

export type DirectoryActivities = ReturnType<typeof createDirectoryActivities>;

export const createDirectoryActivities = ({ stores, graph, environment, clock }: DirectoryFunctions) => {
  const world = { graph, directories: stores.directories, graphEndpoint: environment.graph.endpoint, now: () => clock.now() };
  const say = async ({ partnerId, tenantId }: DirectoryWanted, status: "True" | "False", reason: string, message: string) => {
    await stores.tenants.setConditions(partnerId, tenantId, [{ type: "DirectoryFresh", status, reason, message }]);
  };

  return {
    collectDirectory: ({ wanted, runId }: { wanted: DirectoryWanted; runId: string }): Promise<{ complete: boolean }> =>
      collectChunk(world, wanted, runId),

    /** Either the whole of the new document is there, or the old one stays. */
    publishDirectory: async ({ wanted, lossAccepted }: { wanted: DirectoryWanted; lossAccepted: boolean }): Promise<void> => {
      const result = await publishRun(world, wanted, lossAccepted);
      if (result.outcome === "held")
        return say(
          wanted,
          "False",
          "MassRemoval",
          `${result.lost} of ${result.of} users and groups are gone from the directory; the old document stays until somebody accepts that`,
        );
      await say(wanted, "True", "Published", "the document has what Microsoft 365 says");
    },

    failDirectory: ({ wanted, failure }: { wanted: DirectoryWanted; failure: Failure }): Promise<void> =>
      say(wanted, "False", failure.code, failure.message),
  };
};

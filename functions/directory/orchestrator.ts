/** Reads what changed in a customer's directory, chunk by chunk, and publishes the document; pure, every effect is a step. */
import type { DirectoryWanted } from "../../shared/directory/refresh.ts";
import type { Patience } from "../../shared/durable/patience.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import type { DirectoryActivities } from "./activities.ts";

export interface DirectoryRefresh {
  wanted: DirectoryWanted;
  /** Names the run that this refresh begins, where none is under way. */
  runId: string;
  lossAccepted: boolean;
  patience: Patience;
}

/** A history that grows with each chunk is replayed with each chunk: start afresh now and then. */
const CHUNKS_PER_EXECUTION = 20;

export function* refreshDirectory(context: OrchestrationContext, refresh: DirectoryRefresh): Routine<void> {
  const { wanted, runId, lossAccepted } = refresh;
  const { collectDirectory, publishDirectory, failDirectory } = stepsOf<DirectoryActivities>(context, refresh.patience);
  try {
    for (let chunk = 0; chunk < CHUNKS_PER_EXECUTION; chunk++) {
      const { complete } = yield* collectDirectory({ wanted, runId });
      if (complete) {
        yield* publishDirectory({ wanted, lossAccepted });
        return;
      }
    }
    context.df.continueAsNew(refresh);
  } catch (error) {
    yield* failDirectory({ wanted, failure: failureFrom(error) });
  }
}

/** The kind of operation that rotation carries out. */
import type { KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { OVERLAP_CANCELED } from "./orchestrator.ts";

export const rotationKinds = {
  rotation: { waits: [{ suffix: "", event: OVERLAP_CANCELED }] },
} satisfies Record<string, KindOfOperation>;

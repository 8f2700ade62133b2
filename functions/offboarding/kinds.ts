/** The kind of operation that offboarding carries out. */
import type { KindOfOperation } from "../../shared/durable/operation-kinds.ts";

export const offboardingKinds = { offboarding: { waits: [] } } satisfies Record<string, KindOfOperation>;

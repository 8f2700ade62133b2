/** The timer's door: where the chains of the audit log end is written to where nobody can change it. */
import type { Log } from "../../shared/log.ts";
import type { Stores } from "../../shared/stores/stores.ts";

interface AnchoringWorld {
  stores: Pick<Stores, "audit" | "auditAnchors">;
  log: Log;
}

/** An hour in which nothing changed has an anchor too: a gap says that nobody anchored. What changed since a gap comes with the next. */
export const anchorAudit =
  ({ stores: { audit, auditAnchors }, log }: AnchoringWorld) =>
  async (): Promise<void> => {
    const heads = await audit.heads(await auditAnchors.latest());
    const anchored = await auditAnchors.add(heads);
    log.information(anchored ? "the audit log is anchored" : "the audit log was anchored this hour already", {
      chains: heads.length,
    });
  };

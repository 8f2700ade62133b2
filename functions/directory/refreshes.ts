/** Starts refreshes: one at a time and tenant, whoever asks. */
import { createHash } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { isStanding } from "../../shared/desired/target.ts";
import { startOnce } from "../../shared/durable/start-once.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { refreshDirectory } from "./orchestrator.ts";
import type { DirectoryFunctions } from "./world.ts";

/** Before a pilot there is nobody who reads the document. */
export const isServed = (tenant: TenantRecord): boolean => tenant.spec.directory !== undefined && isStanding(tenant);

/** Two in the same instant are one, but for somebody's word; two at once go on from each other's chunks. */
export async function startRefresh(
  { clock, pace }: Pick<DirectoryFunctions, "clock" | "pace">,
  client: DurableClient,
  { partnerId, id: tenantId, spec: { microsoft365, directory } }: TenantRecord,
  lossAccepted: boolean,
): Promise<void> {
  if (!directory) return;
  const about = createHash("sha256").update(`${partnerId}/${tenantId}`).digest("hex").slice(0, 24);
  const runId = new Date(clock.now()).toISOString().slice(0, 23).replaceAll(/\D/g, "");
  const domain = microsoft365.domains[0] ?? "";
  const wanted = { partnerId, tenantId, organization: microsoft365.tenantId, domain, ...directory };
  await startOnce(client, refreshDirectory, `directory-${about}-${runId}${lossAccepted ? "-accepted" : ""}`, {
    wanted,
    runId,
    lossAccepted,
    patience: pace.patience,
  });
}

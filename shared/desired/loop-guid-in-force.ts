/**
 * The last look before a rule is written: Exchange takes whatever comes last, so a writer who was late must not bring a loop GUID back that
 * is past, or leave out one that machines write by now. What the tenant's facts say is what counts.
 */
import { ControlPlaneError } from "../errors.ts";
import type { Work } from "../durable/resources.ts";
import type { Stores } from "../stores/stores.ts";
import { isInVault, type SecretReference } from "../vault/reference.ts";
import type { Ground } from "./state.ts";
import { isStanding } from "./target.ts";

type Marks = Pick<Ground, "loopGuid" | "otherLoopGuid">;

/**
 * How long somebody who has looked may still be about to write: an execution ends after `functionTimeout` of host.json, and Exchange with
 * what it was asked some minutes later.
 */
export const LATEST_WRITE_IN_SECONDS = 15 * 60;

/** Throws LoopGuidOutdated; of whatever holds no loop GUID, and of what does not stand yet, it says nothing. */
export async function refuseOutdatedLoopGuid(
  tenants: Pick<Stores["tenants"], "find">,
  { partnerId, tenantId }: Pick<Work, "partnerId" | "tenantId">,
  desired: unknown,
): Promise<void> {
  if (!isMarked(desired)) return;
  const tenant = await tenants.find(partnerId, tenantId);
  const ground = tenant?.facts["ground"] as Marks | undefined;
  if (tenant === undefined || ground === undefined || !isStanding(tenant) || !isInVault(ground.loopGuid)) return;
  if (String(versionsIn(desired)) === String(versionsIn(ground))) return;
  throw new ControlPlaneError("LoopGuidOutdated", "the loop GUID was replaced since this rule was decided on", 409);
}

const isMarked = (desired: unknown): desired is Marks => typeof desired === "object" && desired !== null && "loopGuid" in desired;

/** The same one twice counts once. */
const versionsIn = ({ loopGuid, otherLoopGuid }: Marks): string[] =>
  [
    ...new Set(
      [loopGuid, otherLoopGuid ?? loopGuid].map(({ vaultUrl, name, version }: SecretReference) =>
        [vaultUrl, name, version].join("/"),
      ),
    ),
  ].sort();

/** Who changed something in Azure, by its activity log: one read for each resource group in which something has just begun to differ. */
import { type Activity, activitiesIn } from "../../shared/azure/activity-log.ts";
import type { Azure } from "../../shared/azure/client.ts";
import type { Named } from "../../shared/azure/place.ts";
import type { Culprit } from "../../shared/api/drift.ts";
import type { Look, Seen } from "../../shared/runbook/looking.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import type { Comparison, Differing } from "./compare.ts";

interface Asking {
  azure: Pick<Azure, "get">;
  /** Our own, whose writes are not drift. */
  applicationId: string;
  now: number;
}

/** Longer than the longest time between two looks. */
const LOOKED_BACK_IN_MILLISECONDS = 2 * 24 * 3600 * 1000;
/** The log is minutes behind: who isn't in it yet is looked for again. */
const ASKED_FOR_IN_MILLISECONDS = 3600 * 1000;

/** What the log can't tell is said to be not known; a comparison never waits for it. */
export async function withAzureCulprits(
  { azure, applicationId, now }: Asking,
  comparison: Comparison,
  look: Look,
  known: DriftRecord | undefined,
): Promise<Comparison> {
  const before = new Map(known?.differences.map((one) => [one.step, one]));
  const logs = new Map<string, ReturnType<typeof activitiesIn>>();
  const since = new Date(now - LOOKED_BACK_IN_MILLISECONDS).toISOString();
  const differences = await Promise.all(
    comparison.differences.map(async (one): Promise<Differing> => {
      const place = placeOf(look.seen.find(({ step }) => step === one.step));
      if (place === undefined || one.culprit !== undefined) return one;
      const earlier = before.get(one.step);
      const told = earlier?.culprit;
      if (earlier && (told?.who !== undefined || Date.parse(earlier.since) < now - ASKED_FOR_IN_MILLISECONDS))
        return { ...one, ...(told && { culprit: told }) };
      const log = logs.get(place.resourceGroup) ?? activitiesIn(azure, place, place.resourceGroup, since);
      logs.set(place.resourceGroup, log);
      const read = await log.catch(() => undefined);
      return { ...one, culprit: culpritIn(read?.state === "present" ? read.actual : undefined, place, applicationId) };
    }),
  );
  return { ...comparison, differences };
}

function placeOf(seen: Seen | undefined): Named | undefined {
  const { subscriptionId, resourceGroup, name } = (seen?.wanted ?? {}) as Partial<Named>;
  return subscriptionId && resourceGroup && name ? (seen?.wanted as Named) : undefined;
}

function culpritIn(log: Activity[] | undefined, { name }: Named, applicationId: string): Culprit {
  if (log === undefined) return { evidence: "not known: Azure's activity log could not be read" };
  const last = log.find(
    (one) => one.resourceId.toLowerCase().endsWith(`/${name.toLowerCase()}`) && one.applicationId !== applicationId,
  );
  if (last === undefined) return { evidence: "not known: Azure's activity log of the last two days names nobody but us" };
  return { who: last.caller, at: last.at, evidence: `Azure's activity log: ${last.operation}` };
}

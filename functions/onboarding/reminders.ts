/** Mission D6: whoever was asked for access and has not given it is reminded after one, three and seven days. */
import type { EventRecord } from "../../shared/stores/events.ts";
import type { OperationRecord } from "../../shared/stores/operations.ts";

const MILLISECONDS_A_DAY = 24 * 3600 * 1000;
const DAYS = [1, 3, 7];

export interface AccessWanted {
  wanted: "consent" | "azureAccess";
  message: string;
  /** What a person has to open. */
  url?: string | undefined;
}

/**
 * The reminders that are due by now, all of them each time: an event's id and time follow from when the wait began, so that said twice it is
 * there once, and one that a late look has missed is made up for.
 */
export function remindersDue(
  { partnerId, tenantId, id: operationId, steps }: OperationRecord,
  { wanted, message, url }: AccessWanted,
  now: number,
): EventRecord[] {
  const began = Date.parse(steps.find(({ name }) => name === wanted)?.startedAt ?? "");
  return DAYS.map((days, index) => ({ days, number: index + 1, due: began + days * MILLISECONDS_A_DAY }))
    .filter(({ due }) => due <= now)
    .map(({ days, number, due }) => ({
      partnerId,
      tenantId,
      id: `${operationId}-${wanted}-${number}`,
      type: "access.reminded",
      subject: tenantId,
      at: new Date(due).toISOString(),
      data: { operationId, wanted, days, message, ...(url === undefined ? {} : { url }) },
    }));
}

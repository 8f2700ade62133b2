/** The steps of a delisting case. Each may run again: what is there already is not done twice, and a closed case stays closed. */
import { ControlPlaneError } from "../../shared/errors.ts";
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import { followCase } from "./case-tasks.ts";
import type { Case } from "./orchestrator.ts";
import { reverseOf } from "./reverse.ts";
import { courseOf, findingsOf } from "./task.ts";
import type { DelistingWorld } from "./world.ts";

export type DelistingActivities = ReturnType<typeof createDelistingActivities>;

export function createDelistingActivities({ stores, blocklists, resolver, clock }: DelistingWorld) {
  const { cases, events, tenants } = stores;
  const now = (): string => new Date(clock.now()).toISOString();

  function zoneOf(list: string): BlocklistZone {
    const zone = blocklists.zones.find(({ id }) => id === list);
    if (!zone) throw new ControlPlaneError("BlocklistUnknown", `the list ${list} is not among the settings' any more`, 500);
    return zone;
  }

  /** Events of a case have ids of the case and of what happened, so that repeating the step repeats nothing. */
  const tell = async (one: CaseRecord, happened: string, at: string): Promise<void> => {
    const { id, partnerId, tenantId, address, list, state, outcome } = one;
    await events.add({
      partnerId,
      tenantId,
      id: `${id}-${happened}`.replaceAll(".", "-"),
      type: `delisting.${happened.replace(/-?\d+$/, "")}`,
      subject: id,
      at,
      data: { address, list, state, ...(outcome === undefined ? {} : { outcome }) },
    });
  };

  return {
    /** Each item may be missing; none of them holds the case up. */
    gatherEvidence: async ({ partnerId, caseId }: Case): Promise<void> => {
      const known = await cases.get(partnerId, caseId);
      const { list, address } = known;
      const zone = zoneOf(list);
      const [verdict, reasons, { reverseNames, forwardConfirmed }] = await Promise.all([
        blocklists.checkOne(list, address),
        blocklists.reasons(list, address),
        reverseOf(resolver, address),
      ]);
      const codes = verdict.state === "listed" ? verdict.codes : known.codes;
      await cases.change(partnerId, caseId, (current) => {
        const evidence = {
          at: now(),
          verdict: verdict.state,
          codes: codes.map((code) => ({ code, ...(zone.codes[code] ? { meaning: zone.codes[code].meaning } : {}) })),
          reasons: reasons.map((text) => text.slice(0, 500)),
          ...(reverseNames === undefined ? {} : { reverseNames }),
          ...(forwardConfirmed === undefined ? {} : { forwardConfirmed }),
        };
        return { evidence, findings: findingsOf({ ...current, evidence }) };
      });
    },

    /** Says what happens next; whoever has acknowledged already is not asked again. */
    offerTask: async ({ partnerId, caseId }: Case): Promise<{ escalated: boolean }> => {
      const known = await cases.get(partnerId, caseId);
      const tenant = await tenants.find(partnerId, known.tenantId);
      const domain = tenant?.spec.microsoft365.domains[0] ?? known.address;
      const course = courseOf(known, zoneOf(known.list), domain);
      const changed = await cases.change(partnerId, caseId, (current) => {
        if (current.acknowledged || current.state === course.state) return undefined;
        if (current.state !== "opened" && current.state !== "remediation") return undefined;
        const { state, message, task } = course;
        return { state, message, ...(task ? { task: { ...task, since: now(), reminders: 0 } } : {}) };
      });
      if (changed.state === course.state) await followCase({ stores }, changed);
      await tell(changed, "opened", changed.openedAt);
      if (course.state === "escalated") await tell(changed, "escalated", changed.task?.since ?? changed.openedAt);
      return { escalated: course.state === "escalated" };
    },

    /** Asks the list again, and sees what has become of the case meanwhile. */
    checkListing: async ({ partnerId, caseId }: Case) => {
      const known = await cases.get(partnerId, caseId);
      const tenant = await tenants.find(partnerId, known.tenantId);
      const { state: verdict } = await blocklists.checkOne(known.list, known.address);
      await cases.change(partnerId, caseId, (current) => {
        const { state, acknowledged, task } = current;
        if (verdict === "clean" && state !== "verifying" && state !== "escalated")
          return {
            state: "verifying",
            message: `${current.listTitle} no longer has ${current.address}; two more looks make sure`,
          };
        if (verdict === "listed" && state === "verifying") {
          const before = task?.kind === "putRight" ? "remediation" : task ? "ready" : current.evidence ? "waiting" : "opened";
          const back = acknowledged ? "waiting" : before;
          return { state: back, message: `${current.listTitle} has ${current.address} again` };
        }
        return undefined;
      });
      return {
        verdict,
        acknowledged: known.acknowledged !== undefined,
        blocked: known.state === "remediation" && verdict !== "clean",
        released: tenant === undefined || tenant.stage === "gone",
      };
    },

    remindOfTask: async ({ partnerId, caseId, number }: Case & { number: number }): Promise<void> => {
      const changed = await cases.change(partnerId, caseId, ({ task, acknowledged, state }) => {
        if (!task || acknowledged || task.reminders >= number) return undefined;
        return { task: { ...task, reminders: number }, state, message: `nobody has said yet that this was done: ${task.title}` };
      });
      const { task } = changed;
      const said = task && changed.history.findLast(({ message }) => message.endsWith(task.title));
      if (said && task.reminders === number) await tell(changed, `reminded-${number}`, said.at);
    },

    escalateCase: async ({ partnerId, caseId }: Case): Promise<{ state: CaseRecord["state"] }> => {
      const changed = await cases.change(partnerId, caseId, ({ state, listTitle, address }) =>
        state === "escalated"
          ? undefined
          : { state: "escalated", message: `${listTitle} still has ${address} after the deadline; somebody has to step in` },
      );
      const said = changed.history.findLast(({ state }) => state === "escalated");
      if (said) await tell(changed, "escalated", said.at);
      return { state: changed.state };
    },

    closeCase: async ({ partnerId, caseId, outcome }: Case & { outcome: "delisted" | "released" }) => {
      const changed = await cases.change(partnerId, caseId, ({ listTitle, address }) => ({
        state: "closed",
        outcome,
        message: outcome === "delisted" ? `${listTitle} no longer has ${address}` : `${address} is no longer the tenant's`,
      }));
      await followCase({ stores }, changed);
      await tell(changed, "closed", changed.closedAt ?? changed.lastUpdatedAt);
      return { state: changed.state };
    },
  };
}

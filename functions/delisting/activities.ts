/** The steps of a delisting case. Each may run again: what is there already is not done twice, and a closed case stays closed. */
import { heldAddresses } from "../../shared/desired/held-addresses.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { CaseEvent, CaseRecord } from "../../shared/stores/cases.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import { followCase } from "./case-tasks.ts";
import { contactOf } from "./contact.ts";
import { DAILY_LIMITS, decide, type Rules, type Sight, type Turn, waitOf } from "./decide.ts";
import { evidenceOf } from "./evidence.ts";
import { findingsOf } from "./findings.ts";
import type { Case, DelistingPace } from "./orchestrator.ts";
import { repliesOf } from "./replies.ts";
import { requestText } from "./task.ts";
import { DELIST_MAILBOX, type Way, wayOf } from "./ways.ts";
import type { DelistingWorld } from "./world.ts";

export type DelistingActivities = ReturnType<typeof createDelistingActivities>;

/** A turn of the case, and what it waits for. */
export interface Moved {
  state: CaseRecord["state"];
  needs?: Turn["needs"] | "escalation" | undefined;
  waitInSeconds: number;
}

type Step = Case & { pace: DelistingPace; sight?: Sight };

/** More turns at once would be a circle. */
const MOST_TURNS = 6;

export function createDelistingActivities(world: DelistingWorld) {
  const { stores, blocklists, clock, probes, canaryMailbox } = world;
  const { cases, events, tenants, dailyOffers } = stores;

  function wayOfCase({ list, codes }: CaseRecord): Way {
    const way = wayOf(
      list,
      blocklists.zones.find(({ id }) => id === list),
      codes,
    );
    if (!way) throw new ControlPlaneError("BlocklistUnknown", `the list ${list} is not among the settings' any more`, 500);
    return { ...way, ...(way.kind === "mail" && !canaryMailbox ? { kind: "form" } : {}) };
  }

  const contactFor = async ({ partnerId, tenantId }: CaseRecord): Promise<string> =>
    contactOf((await tenants.find(partnerId, tenantId))?.spec.microsoft365.domains ?? []);

  /** What is owed from before goes first, so that a step that died half way is made good. */
  async function settled(known: Versioned<CaseRecord>): Promise<Versioned<CaseRecord>> {
    if (!known.owed) return known;
    const { partnerId, tenantId, address, list, id: subject } = known;
    await followCase({ stores }, known);
    for (const { id, type, at, data } of known.owed)
      await events.add({ partnerId, tenantId, id, type, subject, at, data: { address, list, ...data } });
    return cases.change(partnerId, known.id, ({ owed }) =>
      JSON.stringify(owed) === JSON.stringify(known.owed) ? { owed: undefined } : undefined,
    );
  }

  async function move({ partnerId, caseId, pace, sight }: Step, mayEscalate: boolean): Promise<Moved> {
    let known = await settled(await cases.get(partnerId, caseId));
    const way = wayOfCase(known);
    const rules: Rules = { way, pace, paused: world.pausedLists.includes(known.list), contact: await contactFor(known) };
    let seen = sight;
    for (let turns = 0; turns < MOST_TURNS; turns += 1) {
      const now = clock.now();
      let turn: Turn = {};
      let held = false;
      known = await cases.change(partnerId, caseId, (current) => {
        turn = decide(current, seen, now, rules);
        held = turn.change?.state === "escalated" && !mayEscalate;
        return held || !turn.change ? undefined : { ...turn.change, ...owing(current, turn.change, now) };
      });
      if (held) return { state: known.state, needs: "escalation", waitInSeconds: waitOf(known, now, rules) };
      known = await settled(known);
      if (turn.needs === "offer") {
        const id = `${caseId}-${known.offers + 1}`;
        rules.offered = await dailyOffers.claim({ id, partnerId }, now, DAILY_LIMITS);
      } else if (turn.needs !== "more")
        return { state: known.state, needs: turn.needs, waitInSeconds: waitOf(known, now, rules) };
      seen = undefined;
    }
    throw new ControlPlaneError("InternalServerError", `case ${caseId} goes round in circles`, 500);
  }

  return {
    /** Each item may be missing; none of them holds the case up. */
    gatherEvidence: async ({ partnerId, caseId, verdict }: Case & { verdict: Sight["verdict"] }): Promise<void> => {
      const known = await cases.get(partnerId, caseId);
      const contact = await contactFor(known);
      const evidence = await evidenceOf(world, known, verdict);
      await cases.change(partnerId, caseId, (current) => ({
        evidence,
        findings: findingsOf({ ...current, evidence }, contact),
      }));
    },

    /** Asks the list again, or looks what Microsoft 365 replies to the gateway. */
    checkListing: async ({ partnerId, caseId }: Case): Promise<Sight> => {
      const known = await cases.get(partnerId, caseId);
      const tenant = await tenants.find(partnerId, known.tenantId);
      const released = tenant === undefined || tenant.stage === "gone" || hasLeft(tenant, known.address);
      if (wayOfCase(known).seenIn === "replies") return { ...(await repliesOf(world, known)), released };
      const { state: verdict } = await blocklists.checkOne(known.list, known.address);
      return { verdict, seenAt: clock.now(), released };
    },

    /** Takes the case as far as it goes by what is known now, but leaves it to nobody: that is `escalateCase`'s. */
    moveCase: (input: Step): Promise<Moved> => move(input, false),

    /** Leaves the case to a person. It has a name of its own: an alert watches for it. */
    escalateCase: (input: Omit<Step, "sight">): Promise<Moved> => move(input, true),

    /** The approved mail goes out at most once: one whose answer was lost counts as sent. */
    sendRequest: async ({ partnerId, caseId }: Case): Promise<void> => {
      const known = await cases.get(partnerId, caseId);
      if (known.state !== "submitted" || !canaryMailbox) return;
      const contact = await contactFor(known);
      const way = wayOfCase(known);
      await probes.sendOnce(canaryMailbox.organization, canaryMailbox.address, {
        subject: `Delisting request for ${known.address} (${caseId}-${known.offers})`,
        to: DELIST_MAILBOX,
        replyTo: contact,
        text: requestText({ known, way, contact }),
      });
      await cases.change(partnerId, caseId, ({ state, listTitle }) =>
        state === "submitted"
          ? { state: "waiting", message: `${listTitle} was asked for the removal, by mail`, owed: [] }
          : undefined,
      );
    },
  };
}

/** What a change tells: events of the case and of what happened, so that telling them again tells nothing new; and its task follows. */
function owing(known: CaseRecord, change: NonNullable<Turn["change"]>, now: number): { owed: CaseEvent[] } {
  const state = change.state ?? known.state;
  const { outcome } = change;
  const at = new Date(now).toISOString();
  const event = (happened: string, type = happened, when = at): CaseEvent => ({
    id: `${known.id}-${happened}`.replaceAll(".", "-"),
    type: `delisting.${type}`,
    at: when,
    data: { state, ...(outcome === undefined ? {} : { outcome }) },
  });
  const told: CaseEvent[] = [];
  // Whether it is a case at all shows at its confirmation.
  if (change.confirmed) told.push(event("opened", "opened", known.openedAt));
  const { task } = change;
  if (state === known.state && task && task.reminders > (known.task?.reminders ?? 0))
    told.push(event(`reminded-${known.offers}-${task.reminders}`, "reminded"));
  if (state === "escalated" && known.state !== "escalated") told.push(event("escalated"));
  if (state === "closed" && known.confirmed) told.push(event("closed"));
  return { owed: [...(known.owed ?? []), ...told] };
}

/** No mail comes from it any more: its gateway has another address. */
const hasLeft = (tenant: TenantRecord, address: string): boolean =>
  heldAddresses(tenant).some((one) => one.address.ipAddress === address);

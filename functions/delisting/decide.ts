/**
 * What a case does next. Pure: of its record, what the list says, the time and the rules; so that years of listings can be tried without a
 * list, a person or a clock.
 */
import type { Finding } from "../../shared/api/plan.ts";
import type { CaseChange, CaseRecord } from "../../shared/stores/cases.ts";
import type { DelistingPace } from "./orchestrator.ts";
import { askingTask, putRightTask, replaceTask, stepInTask } from "./task.ts";
import type { Way } from "./ways.ts";

/** What a look saw. */
export interface Sight {
  verdict: "listed" | "clean" | "unknown";
  /** When what it says was so, in milliseconds since 1970. */
  seenAt: number;
  /** The address is no longer the tenant's. */
  released: boolean;
}

export interface Rules {
  way: Way;
  pace: DelistingPace;
  /** Nobody asks this list at present. */
  paused: boolean;
  /** Whom the list may write to. */
  contact: string;
  /** Whether this day has room for one who asks; undefined where nobody has looked. */
  offered?: boolean | undefined;
}

export interface Turn {
  change?: CaseChange;
  /** What has to be done before it can be decided further; `more`: nothing but deciding again. */
  needs?: "evidence" | "offer" | "request" | "more";
}

/** The limits of a day, a partner's and everybody's. */
export const DAILY_LIMITS = { perPartner: 20, overAll: 50 };
/** After so many requests in a month only a person decides. */
const MOST_IN_A_MONTH = 3;
const MONTH_IN_DAYS = 30;
/** After the first request of a month, and after the second. */
const COOLDOWNS_IN_DAYS = [1, 3];
const REMINDERS_AFTER_DAYS = [1 / 24, 1 / 6];
/** Looks after so many first waits, then one each day: 15 and 30 minutes, 1, 2, 4, 8, 16 and 24 hours. */
const LOOKS_AFTER_WAITS = [1, 2, 4, 8, 16, 32, 64, 96];

export function decide(known: CaseRecord, sight: Sight | undefined, now: number, rules: Rules): Turn {
  if (known.state === "closed") return {};
  if (sight?.released) return closing("released", `${known.address} is no longer the tenant's`);
  return (
    (sight && heard(known, sight, rules)) ??
    (overdue(known, now, rules)
      ? escalating(known, "nothing has helped until the deadline", now, rules)
      : goingOn(known, now, rules))
  );
}

/** What the list's answer changes by itself. */
function heard(known: CaseRecord, { verdict, seenAt }: Sight, { way, pace }: Rules): Turn | undefined {
  const { state, clean, resumes, listTitle, address } = known;
  if (verdict === "unknown") return undefined;
  if (verdict === "listed") {
    if (!known.confirmed) return { change: { confirmed: true, clean: undefined }, needs: "more" };
    if (state === "verifying" && resumes)
      return {
        change: { ...resumes, clean: undefined, resumes: undefined, message: `${listTitle} has ${address} again` },
        needs: "more",
      };
    return clean && { change: { clean: undefined }, needs: "more" };
  }
  if (!known.confirmed && state === "opened")
    return closing("dismissed", `${listTitle} did not say a second time that it has ${address}`);
  if (clean && seenAt < Date.parse(clean.last) + 1000 * gapOf(way, pace)) return undefined;
  const answers = (clean?.answers ?? 0) + 1;
  if (answers >= cleanAnswers[way.seenIn]) return closing("delisted", `${listTitle} no longer has ${address}`);
  const counted = { clean: { answers, last: new Date(seenAt).toISOString() } };
  if (state === "verifying" || state === "escalated") return { change: counted };
  const message = `${listTitle} no longer has ${address}; further looks make sure`;
  return { change: { ...counted, state: "verifying", resumes: { state, stateSince: known.stateSince }, message } };
}

/** What is looked at in replies takes real mail, so two of them are enough. */
const cleanAnswers = { zone: 3, replies: 2 };
const gapOf = ({ seenIn }: Way, pace: DelistingPace): number =>
  // Ten minutes where the first wait is a quarter of an hour.
  seenIn === "zone" ? pace.confirmAfterInSeconds : (pace.firstWaitInSeconds * 2) / 3;

const dayOf = ({ deadlineInSeconds }: DelistingPace): number => (deadlineInSeconds * 1000) / DEADLINE_IN_DAYS;
/** What a list is given is measured by this: production's deadline is eight days. */
const DEADLINE_IN_DAYS = 8;

/** What looks gone may still be found gone. */
const overdue = ({ state, deadline, clean }: CaseRecord, now: number, { pace }: Rules): boolean =>
  state !== "escalated" && now >= Date.parse(deadline) + (clean ? dayOf(pace) / 2 : 0);

function goingOn(known: CaseRecord, now: number, rules: Rules): Turn {
  const { way, pace } = rules;
  const day = dayOf(pace);
  const after = (days: number): boolean => now >= Date.parse(known.stateSince) + days * day;
  switch (known.state) {
    case "opened":
      if (known.confirmed) return choosing(known, now, rules);
      return after(1) ? escalating(known, "nobody could see for a day whether it is listed", now, rules) : {};
    case "remediation":
      return after(1) ? escalating(known, "what has to be put right was not", now, rules) : choosing(known, now, rules);
    case "cooldown":
      return heldBack(known, now, rules) ?? choosing(known, now, rules);
    case "ready":
      return after(1)
        ? escalating(known, "nobody has said for a day that the list was asked", now, rules)
        : reminding(known, now, day);
    case "submitted":
      return { needs: "request" };
    case "waiting":
      if (!after(way.answersWithinDays)) return {};
      return askedInCase(known) <= way.repeats
        ? choosing(known, now, rules)
        : escalating(known, "the list was asked, and has not let go", now, rules);
    case "expiring":
      return after(way.answersWithinDays) ? escalating(known, "it has not gone by itself", now, rules) : {};
    default:
      return {};
  }
}

/** What comes next, by evidence that is not old. */
function choosing(known: CaseRecord, now: number, rules: Rules): Turn {
  const { way, pace, offered } = rules;
  const { evidence, findings, listTitle, address } = known;
  if (!evidence || now >= Date.parse(evidence.at) + 1000 * recheckAfter(pace)) return { needs: "evidence" };
  const about = { known, way, contact: rules.contact };
  const blocking = findings.filter(({ severity }) => severity === "error");
  const elsewhere = evidence.otherLists?.find(({ replaceAddress }) => replaceAddress);
  if (way.kind === "replace" || elsewhere) {
    const why = elsewhere
      ? `${elsewhere.title} has it, too, and never lets go of it when asked`
      : "nobody can ask for this address";
    return {
      change: {
        state: "escalated",
        message: `${why}; the gateway needs another one`,
        task: fresh(replaceTask(about, why), now),
        acknowledged: undefined,
      },
    };
  }
  if (way.kind === "expires")
    return { change: { state: "expiring", message: `it expires by itself once its cause has ended. ${way.note}`.trim() } };
  if (blocking.length > 0) return puttingRight(known, blocking, fresh(putRightTask(about, blocking), now));

  const held = heldBack(known, now, rules);
  if (held) return held;
  if (offered === undefined) return { needs: "offer" };
  if (!offered) return cooling(known, "as many requests went out today as a day allows");
  const message =
    way.kind === "mail"
      ? `somebody has to approve that we ask ${listTitle} for the removal of ${address}`
      : `somebody has to ask ${listTitle} for the removal of ${address}`;
  const task = fresh(askingTask(about), now);
  return { change: { state: "ready", message, task, acknowledged: undefined, offers: known.offers + 1 } };
}

/** Undefined where the list may be asked now. */
function heldBack(known: CaseRecord, now: number, rules: Rules): Turn | undefined {
  const next = nextAsk(known.submissions, now, dayOf(rules.pace));
  if (next === "never")
    return escalating(known, "it was asked three times in a month, and asking again would do harm", now, rules);
  if (next > now) return cooling(known, `the list was asked lately; it may be asked again from ${new Date(next).toISOString()}`);
  return rules.paused ? cooling(known, `nobody asks ${known.listTitle} at present: it is switched off by a setting`) : undefined;
}

const fresh = <Task>(task: Task, now: number) => ({ ...task, since: new Date(now).toISOString(), reminders: 0 });

/** The same thing to put right is said once. */
function puttingRight(known: CaseRecord, blocking: Finding[], task: NonNullable<CaseRecord["task"]>): Turn {
  const message = `asking makes no sense yet: ${blocking.map((one) => one.message).join("; ")}`;
  const said = known.state === "remediation" && known.task?.text === task.text;
  return said ? {} : { change: { state: "remediation", message, task, acknowledged: undefined } };
}

const cooling = ({ state, history }: CaseRecord, message: string): Turn =>
  state === "cooldown" && history.at(-1)?.message === message
    ? {}
    : { change: { state: "cooldown", message, task: undefined, acknowledged: undefined } };

function reminding({ stateSince, task }: CaseRecord, now: number, day: number): Turn {
  if (!task) return {};
  const due = REMINDERS_AFTER_DAYS.filter((days) => now >= Date.parse(stateSince) + days * day).length;
  if (due <= task.reminders) return {};
  return {
    change: {
      state: "ready",
      task: { ...task, reminders: due },
      message: `nobody has said yet that this was done: ${task.title}`,
    },
  };
}

/** What nobody has done stays to be done; where all was done, somebody has to think. */
function escalating(known: CaseRecord, why: string, now: number, { way, contact }: Rules): Turn {
  const { state, task, acknowledged } = known;
  const open = task !== undefined && !acknowledged && state !== "cooldown";
  return {
    change: {
      state: "escalated",
      message: `${why}; somebody has to step in`,
      clean: undefined,
      resumes: undefined,
      ...(open ? {} : { task: fresh(stepInTask({ known, way, contact }, why), now), acknowledged: undefined }),
    },
  };
}

const closing = (outcome: NonNullable<CaseRecord["outcome"]>, message: string): Turn => ({
  change: { state: "closed", outcome, message, resumes: undefined },
});

/** When the list may be asked next, in milliseconds since 1970. */
export function nextAsk(submissions: CaseRecord["submissions"], now: number, day: number): number | "never" {
  const lately = submissions.map(({ at }) => Date.parse(at)).filter((at) => at > now - MONTH_IN_DAYS * day);
  if (lately.length >= MOST_IN_A_MONTH) return "never";
  const cooldown = COOLDOWNS_IN_DAYS[lately.length - 1];
  return cooldown === undefined ? now : Math.max(...lately) + cooldown * day;
}

const askedInCase = ({ submissions, openedAt }: CaseRecord): number => submissions.filter(({ at }) => at >= openedAt).length;

/** Half an hour where the first wait is a quarter. */
const recheckAfter = ({ firstWaitInSeconds }: DelistingPace): number => firstWaitInSeconds * 2;

/** Seconds until something may have changed: of its record, so that no restart forgets it. */
export function waitOf(known: CaseRecord, now: number, { way, pace }: Pick<Rules, "way" | "pace">): number {
  const day = dayOf(pace);
  const first = pace.firstWaitInSeconds * 1000;
  const since = Date.parse(known.stateSince);
  const waits = LOOKS_AFTER_WAITS.map((factor) => since + factor * first);
  const looks = [...waits, now + 96 * first];
  const ends = (days: number): number => since + days * day;
  const asked = nextAsk(known.submissions, now, day);
  const next = ((): number[] => {
    if (known.clean) return [Math.max(Date.parse(known.clean.last) + gapOf(way, pace) * 1000, now + 1000)];
    switch (known.state) {
      case "opened":
        return [since + pace.confirmAfterInSeconds * 1000, ...looks, ends(1)];
      case "remediation":
        return [now + recheckAfter(pace) * 1000, ends(1)];
      case "cooldown":
        // A switch, or a new day, may let it go on.
        return [asked !== "never" && asked > now ? asked : now + 16 * first, ...looks];
      case "ready":
        return [...looks, ...REMINDERS_AFTER_DAYS.map(ends), ends(1)];
      case "submitted":
        return [now + first];
      case "waiting":
      case "expiring":
        return [...looks, ends(way.answersWithinDays)];
      default:
        return looks;
    }
  })();
  if (known.state !== "escalated") next.push(Date.parse(known.deadline));
  const soonest = Math.min(...next.filter((at) => at > now));
  return Math.max(1, Math.min((soonest - now) / 1000, (96 * first) / 1000));
}

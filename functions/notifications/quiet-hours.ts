/** Hours in which nobody wants mail, on the recipient's own clock: pure, whatever its time zone does in spring and autumn. */
import type { MailRecipientInput } from "../../shared/api/mail-recipient.ts";

const MINUTE = 60_000;
const MINUTES_A_DAY = 24 * 60;
/** Clocks are put forward and back by this much at a time, or by a multiple of it. */
const STEP_IN_MINUTES = 15;

type Hours = Pick<MailRecipientInput, "timeZone" | "quietHours">;

/** The first moment from this one on that isn't quiet: itself, or a whole minute. */
export function awakeFrom({ timeZone, quietHours }: Hours, milliseconds: number): number {
  if (quietHours === undefined) return milliseconds;
  const [from, to] = [minutesOf(quietHours.from), minutesOf(quietHours.to)];
  const clock = clockIn(timeZone);
  let at = milliseconds;
  for (;;) {
    const left = minutesLeft(clock(at), from, to);
    if (left === 0) return at;
    at = (Math.floor(at / MINUTE) + Math.min(left, STEP_IN_MINUTES)) * MINUTE;
  }
}

/** How many minutes of quiet are left on a clock that shows this; 0 when it isn't quiet. */
function minutesLeft(shown: number, from: number, to: number): number {
  const quiet = from < to ? shown >= from && shown < to : shown >= from || shown < to;
  return quiet ? (to - shown + MINUTES_A_DAY) % MINUTES_A_DAY : 0;
}

/** What time of day a clock shows there, in minutes since midnight. */
function clockIn(timeZone: string): (milliseconds: number) => number {
  const format =
    clocks.get(timeZone) ?? new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  clocks.set(timeZone, format);
  return (milliseconds) => minutesOf(format.format(milliseconds));
}

/** To make one takes longer than to read it a thousand times; there are a few hundred zones. */
const clocks = new Map<string, Intl.DateTimeFormat>();

const minutesOf = (text: string): number => {
  const [hours = 0, minutes = 0] = text.split(":").map(Number);
  return hours * 60 + minutes;
};

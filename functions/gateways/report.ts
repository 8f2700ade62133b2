/**
 * What a machine's heartbeats mean for its mail, by the thresholds of its tenant: the level of each thing that is told, and what several
 * readings agree on. Pure. Sources: manual, chapter 3.5 (counts; the manual leaves the thresholds themselves open, and here they belong to
 * the higher level); one reading that is out of line says nothing yet, either way.
 */
import {
  type Aspect,
  aspects,
  type HeartbeatInput,
  type Level,
  type Reading,
  type ReportFinding,
} from "../../shared/api/heartbeat.ts";
import type { MailFlowMonitor, Thresholds } from "../../shared/tenants/iq-suite.ts";

export type Levels = NonNullable<Reading["levels"]>;

/** Mail that waits longer is an error, however little it is: a healthy gateway passes mail on within seconds. */
export const OLDEST_MAIL_IN_SECONDS = 30 * 60;
/** The SMTP server's certificate is renewed long before; who reads this has time to act. */
const CERTIFICATE_WARNING_IN_DAYS = 14;
const MILLISECONDS_A_DAY = 24 * 3600 * 1000;

/** Mission B7: a count that is a threshold belongs to the higher level. */
export const levelOf = (folder: { count: number } | null, { warning, error }: Thresholds): Level | null =>
  folder === null ? null : folder.count >= error ? "error" : folder.count >= warning ? "warning" : "information";

/** What one heartbeat says; what is well is left out. */
export function levelsOf(heartbeat: HeartbeatInput, monitor: Pick<MailFlowMonitor, "queue" | "badmail">, now: number): Levels {
  const { queue, badmail, probe } = heartbeat;
  const told: Record<Aspect, Level | null> = {
    queue: (queue?.oldestAgeInSeconds ?? 0) > OLDEST_MAIL_IN_SECONDS ? "error" : levelOf(queue, monitor.queue),
    badmail: levelOf(badmail, monitor.badmail),
    service: serviceLevel(heartbeat),
    certificate: certificateLevel(heartbeat, now),
    smtp: probe === null ? null : replyLevel(probe.reply),
  };
  const levels: Levels = {};
  for (const aspect of aspects) {
    const level = told[aspect];
    if (level === "warning" || level === "error") levels[aspect] = level;
  }
  return levels;
}

/** Without an SMTP server there is no service of it. */
const serviceLevel = ({ queue, services }: HeartbeatInput): Level | null => {
  if (queue === null) return null;
  const state = services.find(({ name }) => name.toUpperCase() === "SMTPSVC")?.state;
  return state === undefined || state === "Running" ? "information" : "error";
};

function certificateLevel({ certificate }: HeartbeatInput, now: number): Level | null {
  if (certificate === null) return null;
  const left = Date.parse(certificate.notAfter) - now;
  return left <= 0 ? "error" : left <= CERTIFICATE_WARNING_IN_DAYS * MILLISECONDS_A_DAY ? "warning" : "information";
}

/** Nobody answered, or Microsoft 365 refused for good: mail stays in the machine. For a while: it may. */
const replyLevel = (reply: string): Level =>
  reply.startsWith("2") ? "information" : reply.startsWith("4") ? "warning" : "error";

/** The probe runs every fifteen minutes and a heartbeat comes every ten: one probe may be told twice. */
const READINGS_TO_OPEN: Record<Aspect, number> = { queue: 2, badmail: 2, service: 2, certificate: 2, smtp: 3 };
const READINGS_TO_CLOSE = 3;

/**
 * The next findings. An error opens when the newest readings agree on it, and closes when the newest three are all below a warning; an
 * error that is not agreed on yet is a warning.
 * @param levels of the newest readings, oldest first
 */
export function nextFindings(findings: readonly ReportFinding[], levels: readonly Levels[]): ReportFinding[] {
  const newest = levels.at(-1) ?? {};
  return aspects.flatMap((about): ReportFinding[] => {
    const open = findings.some((finding) => finding.about === about && finding.level === "error");
    const agreed = (count: number, is: (level: Levels[Aspect]) => boolean): boolean =>
      levels.length >= count && levels.slice(-count).every((one) => is(one[about]));
    const error = open
      ? !agreed(READINGS_TO_CLOSE, (level) => level === undefined)
      : agreed(READINGS_TO_OPEN[about], (level) => level === "error");
    if (error) return [{ about, level: "error" }];
    return newest[about] === undefined ? [] : [{ about, level: "warning" }];
  });
}

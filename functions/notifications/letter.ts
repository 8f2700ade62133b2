/** What mails say: plain text that a person can read, with nothing in it that a line, a header or a mail program could mistake for more. */
import type { Letter } from "../../shared/graph/mailer.ts";
import type { MailRecipientRecord } from "../../shared/stores/mail-recipients.ts";
import type { Notice } from "../../shared/webhooks/message.ts";

/** Lines that a mail shows; the rest is counted. */
export const MOST_LINES = 50;
const LONGEST_LINE = 200;

type Addressee = Pick<MailRecipientRecord, "address" | "id" | "partnerId" | "timeZone">;

/** @param notices oldest first, at least one */
export function digestLetter(recipient: Addressee, notices: Notice[], links: { publicUrl: string; unsubscribe: string }): Letter {
  const [first] = notices;
  const tenants = new Set(notices.flatMap(({ tenantId }) => tenantId ?? []));
  const time = timesIn(recipient.timeZone);
  const shown = notices.slice(-MOST_LINES);
  const unseen = notices.slice(0, -MOST_LINES);
  const title =
    notices.length === 1 && first
      ? saidOf(first)
      : `${notices.length} changes${tenants.size === 1 ? ` at ${[...tenants].join("")}` : tenants.size > 1 ? ` at ${tenants.size} tenants` : ""}`;
  const text = [
    notices.length === 1 ? "Gatehouse noticed a change:" : `Gatehouse noticed ${notices.length} changes:`,
    "",
    ...shown.map(
      (notice) => `${time(notice.at)}  ${notice.tenantId === undefined ? "" : `${notice.tenantId}: `}${saidOf(notice)}`,
    ),
    ...(unseen.length === 0 ? [] : ["", `and ${unseen.length} earlier ones: ${countsOf(unseen)}.`]),
    "",
    `Times are those of ${recipient.timeZone}. All changes, with their details: ${links.publicUrl}/api/events`,
    "",
    "--",
    `You get this mail because ${recipient.partnerId} entered ${recipient.address} for news of its mail gateways, and you confirmed it.`,
    `No more of these mails: ${links.unsubscribe}`,
    "",
  ].join("\n");
  return { to: recipient.address, subject: oneLine(`Gatehouse: ${title}`), text };
}

export function codeLetter(recipient: Addressee, code: string): Letter {
  const text = [
    `${recipient.partnerId} wants to send news of its mail gateways to this address.`,
    "",
    `If that is right, give them this code: ${code}`,
    "",
    "It is good for a day. If you know nothing of this, do nothing: without the code you get no such mails.",
    "",
  ].join("\n");
  return { to: recipient.address, subject: "Gatehouse: your code to confirm this address", text };
}

/** What can't wait for the morning. */
export const urgent = ({ type, data }: Notice): boolean =>
  type === "gateway.health.changed"
    ? ["failing", "stopped", "unavailable", "unknown"].includes(stateOf(data["after"]))
    : URGENT.has(type) || type.startsWith("tenant.mailflow.policy.");

const URGENT = new Set([
  "address.listed",
  "consent.withdrawn",
  "mail.test",
  "tenant.credential.expiring",
  "tenant.mailflow.bypassed",
  "tenant.mailflow.bypass.failed",
  "tenant.mailflow.restore.failed",
]);

const sentences: Record<string, (subject: string, data: Record<string, unknown>) => string> = {
  "gateway.health.changed": (subject, { before, after }) => {
    const [was, why] = [stateOf(before), messageOf(after)];
    return `gateway ${subject} is ${stateOf(after)}${was === "" ? "" : `, it was ${was}`}${why === "" ? "" : `: ${why}`}`;
  },
  "address.listed": (subject, { title }) => `address ${subject} is on the blocklist ${textOf(title)}`,
  "address.cleared": (subject, { title }) => `address ${subject} is off the blocklist ${textOf(title)}`,
  "address.flapping": (subject, { title }) => `address ${subject} comes and goes on the blocklist ${textOf(title)}`,
  "tenant.credential.expiring": (_subject, { credential, expiresAt }) =>
    `the credential ${textOf(credential)} runs out on ${textOf(expiresAt).slice(0, 10)} and was not replaced`,
  "consent.withdrawn": () => "the administrator's consent was withdrawn",
  "consent.restored": () => "the administrator's consent is back",
  "task.opened": (subject, { title }) => `a person is needed: ${textOf(title)} (task ${subject})`,
  "task.reminder": (subject, { title }) => `a person is still needed: ${textOf(title)} (task ${subject})`,
  "task.expired": (subject, { title }) => `nobody did it in time: ${textOf(title)} (task ${subject})`,
  "tenant.mailflow.bypassed": () => "mail goes round the gateway",
  "tenant.mailflow.restored": () => "mail goes through the gateway again",
  "mail.test": () => "this is a test, nothing has happened",
};

/** A sentence for what is known, and the event's own words for the rest. */
function saidOf({ type, subject, data }: Notice): string {
  const sentence = sentences[type]?.(subject, data) ?? `${type.replaceAll(".", " ")} (${subject})`;
  return oneLine(sentence);
}

const countsOf = (notices: Notice[]): string =>
  [...Map.groupBy(notices, ({ type }) => type)].map(([type, { length }]) => `${length} of ${type}`).join(", ");

/** Of a state that is a word, or has one. */
const stateOf = (value: unknown): string =>
  typeof value === "object" && value !== null && "health" in value ? textOf(value.health) : textOf(value);

const messageOf = (value: unknown): string =>
  typeof value === "object" && value !== null && "message" in value ? textOf(value.message) : "";

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** No line ends, and no marks that turn, hide or join what stands beside them. A character is never cut in two. */
const oneLine = (text: string): string =>
  text
    .replaceAll(/[\p{C}\p{Z}]+/gu, " ")
    .trim()
    .slice(0, LONGEST_LINE)
    .replace(/[\uD800-\uDBFF]$/, "");

function timesIn(timeZone: string): (at: string) => string {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  return (at) => format.format(new Date(at));
}

/**
 * Mails to one recipient. What waits stands in rows, and a message only says that it is time. The first event goes at once; what happens in the
 * minutes after a mail comes in one mail at their end; in quiet hours only what can't wait comes. An event is crossed off after its mail was
 * taken, so that it arrives at least once, whoever dies in between.
 */
import { randomUUID } from "node:crypto";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Letter } from "../../shared/graph/mailer.ts";
import { scheduleMail } from "../../shared/messages/notification.ts";
import type { Waiting } from "../../shared/stores/mail-outbox.ts";
import { type MailRecipientRecord, type MailState, type RecipientKey, tellsNow } from "../../shared/stores/mail-recipients.ts";
import type { Notice } from "../../shared/webhooks/message.ts";
import { codeOf, unsubscribeLink } from "./codes.ts";
import { codeLetter, digestLetter, urgent } from "./letter.ts";
import { awakeFrom } from "./quiet-hours.ts";
import { mailPauseAfter } from "./tries.ts";
import type { NotificationsWorld } from "./world.ts";

const MINUTE = 60_000;
/** Longer than Graph may take to answer. */
const LEASE_IN_MILLISECONDS = 2 * MINUTE;
/** What can't wait for the morning can't wait for a long digest either. */
const MOST_MINUTES_OF_HURRY = 15;
/** When the count of mails is contested or our own rows don't answer. */
const PAUSE_FOR_US_IN_MILLISECONDS = 30_000;
const SPREAD_IN_MILLISECONDS = 20_000;

export type Mails = Pick<
  NotificationsWorld,
  "stores" | "clock" | "log" | "sender" | "signer" | "settings" | "canaryMailbox" | "mailer"
>;

/** A line in the next mail; nobody waits for the mail itself. */
export async function putInOutbox(
  { stores, sender, clock }: Pick<Mails, "stores" | "sender" | "clock">,
  recipient: MailRecipientRecord,
  mail: MailState,
  notice: Notice,
): Promise<void> {
  await stores.mailOutbox.add(recipient, notice);
  await scheduleMail(sender, recipient, new Date(timeFor(recipient, mail, urgent(notice), clock.now())));
}

/** When a mail with this in it may go. */
function timeFor(
  recipient: MailRecipientRecord,
  { notBefore, lease, lastSentAt }: MailState,
  hurry: boolean,
  now: number,
): number {
  const stacked = hurry ? Math.min(recipient.digestInMinutes, MOST_MINUTES_OF_HURRY) : recipient.digestInMinutes;
  const free = Math.max(now, timeOf(notBefore), timeOf(lease?.until), timeOf(lastSentAt) + stacked * MINUTE);
  return hurry ? free : awakeFrom(recipient, free);
}

/** When the next mail of a recipient may go, of what waits and of the code that is owed; undefined when there is none. */
export function nextMailAt(recipient: MailRecipientRecord, mail: MailState, waiting: Waiting[], now: number): number | undefined {
  if (recipient.state === "unconfirmed" && owesCode(recipient, now)) return timeFor(recipient, mail, true, now);
  if (!tellsNow(recipient) || waiting.length === 0) return undefined;
  const hurry = waiting.some(({ notice }) => urgent(notice));
  return timeFor(recipient, mail, hurry, now);
}

const owesCode = ({ confirmation: { sentAt, expiresAt } }: MailRecipientRecord, now: number): boolean =>
  sentAt === undefined && Date.parse(expiresAt) > now;

/** Sends the mail whose time has come, and sees to it that the next one is sent. Repeated, early or late it does no harm. */
export async function mail(world: Mails, key: RecipientKey): Promise<void> {
  const { stores, clock } = world;
  const known = await stores.mailRecipients.find(key);
  const earliest = known && timeFor(known, await stores.mailRecipients.mailOf(key), true, clock.now());
  // Of a storm's messages nearly all come too early: they don't look at what waits.
  if (earliest !== undefined && earliest > clock.now()) return wake(world, key, earliest);
  const first = await look(world, key, await stores.mailRecipients.mailOf(key));
  if (first === undefined) return;
  if (first.due > clock.now()) return wake(world, key, first.due);
  const state = await claim(world, key);
  if (state === undefined) return wake(world, key, clock.now() + LEASE_IN_MILLISECONDS);
  const { lease, ...before } = state;
  // Whoever had the lease before may have sent what was seen above.
  const found = await look(world, key, before);
  const due = found !== undefined && found.due <= clock.now() ? found : undefined;
  await unclaim(world, key, lease.id, due ? await attempt(world, due.recipient, due.waiting) : (unchanged) => unchanged);
  const next = await look(world, key, await stores.mailRecipients.mailOf(key));
  if (next !== undefined) await wake(world, key, next.due);
}

interface Found {
  recipient: MailRecipientRecord;
  waiting: Waiting[];
  due: number;
}

/** What is to be mailed, and when; what nobody wants any more goes. */
async function look({ stores, clock }: Mails, key: RecipientKey, state: MailState): Promise<Found | undefined> {
  const recipient = await stores.mailRecipients.find(key);
  const waiting = await stores.mailOutbox.list(key);
  if (recipient?.state !== "unconfirmed" && !(recipient && tellsNow(recipient))) {
    await stores.mailOutbox.remove(key, waiting);
    return undefined;
  }
  const due = nextMailAt(recipient, state, waiting, clock.now());
  return due === undefined ? undefined : { recipient, waiting, due };
}

/** How mails go after it. */
type Attempted = (before: MailState) => MailState;

async function attempt(world: Mails, recipient: MailRecipientRecord, waiting: Waiting[]): Promise<Attempted> {
  const { stores, clock, log, mailer, canaryMailbox, settings, signer } = world;
  const { partnerId, id, address, state } = recipient;
  const began = clock.now();
  const postponed =
    (until: number): Attempted =>
    (before) => ({ ...before, notBefore: new Date(until).toISOString() });
  if (!canaryMailbox) return postponed(began + 60 * MINUTE);
  const asks = state === "unconfirmed";
  const awake = awakeFrom(recipient, began) === began;
  const told = asks ? [] : waiting.filter(({ notice }) => awake || urgent(notice));
  try {
    const full = await stores.mailBudget.take({ partnerId, ...(asks ? { asks: address } : {}) }, began);
    if (full) return postponed(full.until + Math.random() * SPREAD_IN_MILLISECONDS);
  } catch (error) {
    log.warning("mails could not be counted", { recipient: id, error });
    return postponed(began + PAUSE_FOR_US_IN_MILLISECONDS);
  }
  const notices = told.map(({ notice }) => notice);
  const letter: Letter = asks
    ? codeLetter(recipient, await codeOf(signer, recipient))
    : digestLetter(recipient, notices, { publicUrl: settings.publicUrl, unsubscribe: await unsubscribeLink(world, recipient) });
  try {
    await mailer.send(canaryMailbox.organization, canaryMailbox.address, letter);
  } catch (error) {
    log.warning("a mail could not be sent", { recipient: id, partnerId, error });
    return (before) => ({ ...before, ...failed(before.failures + 1, error, clock.now()) });
  }
  const sentAt = new Date(clock.now()).toISOString();
  if (asks)
    await stores.mailRecipients.change(recipient, ({ confirmation }) =>
      confirmation.number === recipient.confirmation.number ? { confirmation: { ...confirmation, sentAt } } : undefined,
    );
  else await stores.mailOutbox.remove(recipient, told);
  return ({ lastSentAt: before }) => {
    const lastSentAt = asks ? before : sentAt;
    return { failures: 0, ...(lastSentAt === undefined ? {} : { lastSentAt }) };
  };
}

function failed(failures: number, error: unknown, now: number): Omit<MailState, "lease" | "lastSentAt"> {
  const { code, retryAfterInSeconds } =
    error instanceof ControlPlaneError ? error : { code: "Error", retryAfterInSeconds: undefined };
  return {
    failures,
    notBefore: new Date(now + mailPauseAfter(failures, retryAfterInSeconds, Math.random())).toISOString(),
    lastFailure: { at: new Date(now).toISOString(), reason: code },
  };
}

/** Of several who come at the same time one sends. Undefined when it is another. */
async function claim(
  { stores, clock }: Mails,
  key: RecipientKey,
): Promise<(MailState & Required<Pick<MailState, "lease">>) | undefined> {
  const now = clock.now();
  const lease = { id: randomUUID(), until: new Date(now + LEASE_IN_MILLISECONDS).toISOString() };
  const state = await stores.mailRecipients.changeMail(key, (known) =>
    timeOf(known.lease?.until) > now ? undefined : { ...known, lease },
  );
  return state.lease?.id === lease.id ? { ...state, lease } : undefined;
}

const unclaim = async ({ stores }: Mails, key: RecipientKey, lease: string, attempted: Attempted): Promise<void> => {
  await stores.mailRecipients.changeMail(key, (known) => {
    if (known.lease?.id !== lease) return undefined;
    const { lease: _over, ...before } = known;
    return attempted(before);
  });
};

export const wake = ({ sender }: Pick<Mails, "sender">, key: RecipientKey, at: number): Promise<void> =>
  scheduleMail(sender, key, new Date(at));

const timeOf = (at: string | undefined): number => (at === undefined ? Number.NEGATIVE_INFINITY : Date.parse(at));

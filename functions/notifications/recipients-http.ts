/** The doors to mail recipients: who is told by mail what changes, how they said that they want to be, and how they end it. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Answer, Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { strongETag } from "../../shared/api/etag.ts";
import { htmlForm, htmlPage } from "../../shared/api/html.ts";
import type { MailRecipient, MailRecipientInput } from "../../shared/api/mail-recipient.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { MailRecipientRecord, MailState, RecipientKey } from "../../shared/stores/mail-recipients.ts";
import { tellsNow } from "../../shared/stores/mail-recipients.ts";
import { untilUncontested, type Versioned } from "../../shared/stores/table.ts";
import { isCodeOf, isUnsubscribeCode } from "./codes.ts";
import { putInOutbox, wake } from "./mail.ts";
import type { MailRecipientsWorld } from "./world.ts";

const MOST_RECIPIENTS = 20;
const MINUTE = 60_000;
const CODE_LIFETIME_IN_MILLISECONDS = 24 * 60 * MINUTE;
const ANOTHER_CODE_AFTER_IN_MILLISECONDS = 5 * MINUTE;
/** Wrong ones; then another code is needed. */
const MOST_TRIES = 10;

/** GET /api/mail-recipients */
export const listMailRecipients =
  ({ stores }: MailRecipientsWorld): Handler<"listMailRecipients"> =>
  async ({ caller, query }) => {
    const all = await stores.mailRecipients.list(partnerInScope(caller, query.partnerId));
    return { body: { value: all.map(({ recipient, mail }) => recipientBody(recipient, mail)) } };
  };

/** GET /api/mail-recipients/{recipientId} */
export const getMailRecipient =
  (world: MailRecipientsWorld): Handler<"getMailRecipient"> =>
  async ({ caller, params, query }) => {
    const key = { partnerId: partnerInScope(caller, query.partnerId), id: params.recipientId };
    return shown(world, await world.stores.mailRecipients.get(key));
  };

/** PUT /api/mail-recipients/{recipientId}: the same twice changes nothing. A new address gets a code, and nothing else before that was given. */
export const putMailRecipient =
  (world: MailRecipientsWorld): Handler<"putMailRecipient"> =>
  async ({ caller: { partnerId }, params: { recipientId: id }, body: wanted, checkConditions }) => {
    const { mailRecipients } = world.stores;
    if (!world.canaryMailbox) throw refusal("MailUnavailable", "this platform has no mailbox that sends mails");
    return untilUncontested(`mail recipient ${id}`, async () => {
      const known = await mailRecipients.find({ partnerId, id });
      checkConditions(known?.etag);
      if (!known) return made(world, { partnerId, id }, wanted);
      if (isDeepStrictEqual(settingsOf(known), settingsOf(wanted))) return shown(world, known);
      const moved = known.address.toLowerCase() !== wanted.address.toLowerCase();
      const changed = await mailRecipients.replace(known, {
        ...settingsOf(wanted),
        ...(moved ? { state: "unconfirmed" as const, confirmation: codeAsked(world, known.confirmation.number + 1) } : {}),
      });
      if (!changed) return undefined;
      if (moved) await startAgain(world, changed);
      return shown(world, changed);
    });
  };

/** DELETE /api/mail-recipients/{recipientId} */
export const deleteMailRecipient =
  ({ stores }: MailRecipientsWorld): Handler<"deleteMailRecipient"> =>
  async ({ caller: { partnerId }, params: { recipientId: id }, checkConditions }) =>
    untilUncontested(`mail recipient ${id}`, async () => {
      const known = await stores.mailRecipients.get({ partnerId, id });
      checkConditions(known.etag);
      await stores.mailOutbox.remove(known, await stores.mailOutbox.list(known));
      return (await stores.mailRecipients.delete(known)) ? { status: 204 as const } : undefined;
    });

/** POST /api/mail-recipients/{recipientId}/send-code */
export const sendCode =
  (world: MailRecipientsWorld): Handler<"sendCode"> =>
  async ({ caller: { partnerId }, params: { recipientId: id } }) => {
    const changed = await world.stores.mailRecipients.change({ partnerId, id }, ({ state, confirmation }) => {
      if (state === "confirmed") return undefined;
      const again = Date.parse(confirmation.askedAt) + ANOTHER_CODE_AFTER_IN_MILLISECONDS;
      if (world.clock.now() < again)
        throw refusal("ConfirmationTooSoon", "a code was sent a moment ago", {
          retryAfterInSeconds: Math.ceil((again - world.clock.now()) / 1000),
        });
      return { state: "unconfirmed", confirmation: codeAsked(world, confirmation.number + 1) };
    });
    if (changed.state === "unconfirmed") await startAgain(world, changed);
    return { ...(await shown(world, changed)), status: 202 };
  };

/** POST /api/mail-recipients/{recipientId}/confirm: whoever reads mail at the address has given the code to the partner. */
export const confirmMailRecipient =
  (world: MailRecipientsWorld): Handler<"confirmMailRecipient"> =>
  async ({ caller: { partnerId }, params: { recipientId: id }, body: { confirmationCode } }) => {
    const { stores, signer, clock } = world;
    const key = { partnerId, id };
    const asked = await stores.mailRecipients.get(key);
    const right = await isCodeOf(signer, asked, confirmationCode);
    const changed = await stores.mailRecipients.change(key, ({ state, confirmation }) => {
      if (state === "confirmed") return undefined;
      const over = Date.parse(confirmation.expiresAt) <= clock.now() || confirmation.tries >= MOST_TRIES;
      if (over || state === "unsubscribed" || confirmation.number !== asked.confirmation.number)
        throw refusal("ConfirmationCodeInvalid", "no code is waited for any more");
      return right ? { state: "confirmed" } : { confirmation: { ...confirmation, tries: confirmation.tries + 1 } };
    });
    if (changed.state !== "confirmed") throw refusal("ConfirmationCodeInvalid", "the code is not the one that was mailed");
    return shown(world, changed);
  };

/** POST /api/mail-recipients/{recipientId}/test: as an event, so that limits and stacking hold for it, too. */
export const testMailRecipient =
  (world: MailRecipientsWorld): Handler<"testMailRecipient"> =>
  async ({ caller: { partnerId }, params: { recipientId: id } }) => {
    const { stores, clock } = world;
    const recipient = await stores.mailRecipients.get({ partnerId, id });
    if (!tellsNow(recipient)) throw refusal("MailRecipientUnconfirmed", `nothing is sent to the mail recipient ${id}`);
    const at = new Date(clock.now()).toISOString();
    const test = { id: `test-${randomUUID()}`, type: "mail.test", subject: id, at, data: {} };
    await putInOutbox(world, recipient, await stores.mailRecipients.mailOf(recipient), test);
    return { ...(await shown(world, recipient)), status: 202 };
  };

/** GET /api/unsubscribe: only asks, since programs follow the links in mails before people do. */
export const askToUnsubscribe =
  (world: MailRecipientsWorld): Handler<"askToUnsubscribe"> =>
  async ({ query }) => {
    const recipient = await subscribed(world, query);
    if (!recipient) return notSubscribed;
    const text = `No more news of ${recipient.partnerId}'s mail gateways to ${recipient.address}?`;
    return { body: htmlForm("Unsubscribe", [text], "Unsubscribe") };
  };

/** POST /api/unsubscribe: what still waits is thrown away. */
export const unsubscribe =
  (world: MailRecipientsWorld): Handler<"unsubscribe"> =>
  async ({ query }) => {
    const recipient = await subscribed(world, query);
    if (!recipient) return notSubscribed;
    const { mailRecipients, mailOutbox } = world.stores;
    await mailRecipients.change(recipient, ({ state, address }) =>
      state === "unsubscribed" || address !== recipient.address ? undefined : { state: "unsubscribed" },
    );
    await mailOutbox.remove(recipient, await mailOutbox.list(recipient));
    return { body: htmlPage("Unsubscribed", [`${recipient.address} gets no more of these mails.`]) };
  };

const notSubscribed = { status: 400 as const, body: htmlPage("This did not work", ["This link is not valid, or not any more."]) };

async function subscribed(
  { stores, signer }: MailRecipientsWorld,
  { partner: partnerId, recipient: id, code }: { partner: string; recipient: string; code: string },
): Promise<MailRecipientRecord | undefined> {
  // What isn't an id could not be a key either.
  if (![partnerId, id].every((one) => /^[a-z0-9-]+$/.test(one))) return undefined;
  const found = await stores.mailRecipients.find({ partnerId, id });
  return found && (await isUnsubscribeCode(signer, found, code)) ? found : undefined;
}

const settingsOf = ({
  address,
  types,
  digestInMinutes,
  timeZone,
  quietHours,
  description,
  enabled,
}: MailRecipientInput): MailRecipientInput => ({
  address,
  types,
  digestInMinutes,
  timeZone,
  quietHours,
  description,
  enabled,
});

function codeAsked({ clock }: MailRecipientsWorld, number: number): MailRecipientRecord["confirmation"] {
  const now = clock.now();
  return {
    number,
    askedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + CODE_LIFETIME_IN_MILLISECONDS).toISOString(),
    tries: 0,
  };
}

/** Undefined when somebody else has made it meanwhile. */
async function made(
  world: MailRecipientsWorld,
  key: RecipientKey,
  wanted: MailRecipientInput,
): Promise<Answer<"putMailRecipient"> | undefined> {
  const { stores, clock } = world;
  if ((await stores.mailRecipients.list(key.partnerId)).length >= MOST_RECIPIENTS)
    throw refusal("MailRecipientLimitReached", `a partner may have ${MOST_RECIPIENTS} mail recipients`);
  const now = new Date(clock.now()).toISOString();
  const recipient = await stores.mailRecipients.create({
    ...key,
    ...wanted,
    state: "unconfirmed",
    confirmation: codeAsked(world, 1),
    createdAt: now,
    lastUpdatedAt: now,
  });
  if (!recipient) return undefined;
  await startAgain(world, recipient);
  return { ...(await shown(world, recipient)), status: 201 };
}

/** With nothing that waits for it, and no failure of another address. Whatever is not sent now, the sweep sends. */
async function startAgain({ stores, sender, clock, log }: MailRecipientsWorld, key: RecipientKey): Promise<void> {
  await stores.mailOutbox.remove(key, await stores.mailOutbox.list(key));
  await stores.mailRecipients.changeMail(key, ({ lease }) => ({ failures: 0, ...(lease ? { lease } : {}) }));
  await wake({ sender }, key, clock.now()).catch((error: unknown) =>
    log.warning("a code could not be announced; the sweep will send it", { recipient: key.id, error }),
  );
}

async function shown({ stores }: MailRecipientsWorld, recipient: Versioned<MailRecipientRecord>) {
  const [mail, waiting] = await Promise.all([stores.mailRecipients.mailOf(recipient), stores.mailOutbox.list(recipient)]);
  return { body: recipientBody(recipient, mail, waiting.length), etag: recipient.etag };
}

function recipientBody(
  { partnerId: _partnerId, confirmation, etag, ...recipient }: Versioned<MailRecipientRecord>,
  { lease: _lease, ...mail }: MailState,
  waiting?: number,
): MailRecipient {
  const { sentAt, expiresAt } = confirmation;
  return {
    ...recipient,
    ...(recipient.state === "unconfirmed" ? { confirmation: { expiresAt, ...(sentAt === undefined ? {} : { sentAt }) } } : {}),
    mail: { ...mail, ...(waiting === undefined ? {} : { waiting }) },
    etag: strongETag(etag),
  };
}

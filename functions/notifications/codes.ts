/** Codes that only we can make, and that are kept nowhere: one that confirms an address, and one that ends its mails. */
import { timingSafeEqual } from "node:crypto";
import type { Signer } from "../../shared/api/signing.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { MailRecipientRecord } from "../../shared/stores/mail-recipients.ts";

type Confirmed = Pick<MailRecipientRecord, "partnerId" | "id" | "address" | "confirmation">;
type Subscribed = Pick<MailRecipientRecord, "partnerId" | "id" | "address">;

/** Crockford's digits: none of them is taken for another when it is read out. */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Two groups of four: forty bits, of which few are tried. */
export async function codeOf(signer: Signer, { partnerId, id, address, confirmation }: Confirmed): Promise<string> {
  const { number, askedAt } = confirmation;
  const bytes = await signer.digest({ partnerId, id, address, number, askedAt }, "mail-confirmation");
  const digits = Array.from(bytes.subarray(0, 8), (byte) => DIGITS[byte % DIGITS.length]).join("");
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

/** As people type it: small letters, blanks, an O for a zero. */
export async function isCodeOf(signer: Signer, recipient: Confirmed, typed: string): Promise<boolean> {
  const read = typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return same(read, (await codeOf(signer, recipient)).replace("-", ""));
}

export async function unsubscribeLink(
  { signer, settings }: Pick<ApiWorld, "signer" | "settings">,
  recipient: Subscribed,
): Promise<string> {
  const { partnerId, id } = recipient;
  const query = new URLSearchParams({ partner: partnerId, recipient: id, code: await unsubscribeCode(signer, recipient) });
  return `${settings.publicUrl}/api/unsubscribe?${query.toString()}`;
}

export const isUnsubscribeCode = async (signer: Signer, recipient: Subscribed, given: string): Promise<boolean> =>
  same(given, await unsubscribeCode(signer, recipient));

const unsubscribeCode = async (signer: Signer, { partnerId, id, address }: Subscribed): Promise<string> =>
  Buffer.from(await signer.digest({ partnerId, id, address }, "mail-unsubscribe"))
    .subarray(0, 18)
    .toString("base64url");

const same = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

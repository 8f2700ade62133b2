/**
 * Microsoft's own block list: no DNS answers for it, it shows only in what Microsoft 365 replies to who is on it. Two ways lead off it, and
 * the enhanced code says which. Sources: Exchange Online's table of non-delivery reports; "Use the delist portal to remove yourself from the
 * blocked senders list".
 */

/** Ids of its two halves, as of any other blocklist: what the portal takes off, and what only an investigation does. */
export const microsoftPortal = "microsoft-portal";
export const microsoftMail = "microsoft-mail";

/** `nothing`: the reply is about something else, or there is none. */
export type SaidOfSender =
  | { says: "accepted" }
  | { says: "blocked"; list: typeof microsoftPortal | typeof microsoftMail; code: string }
  | { says: "nothing" };

/** The enhanced code first; words only where it is the general one. */
export function readReply(reply: string): SaidOfSender {
  if (/^2\d\d\b/.test(reply)) return { says: "accepted" };
  const code = /^5\d\d[ -](5\.7\.\d{1,3})\b/.exec(reply)?.[1];
  if (code === undefined) return { says: "nothing" };
  const detail = Number(code.slice("5.7.".length));
  if (detail >= 606 && detail <= 649) return { says: "blocked", list: microsoftPortal, code };
  const investigated = detail === 511 || (detail === 1 && /delist@microsoft\.com|blocked using blocklist/i.test(reply));
  return investigated ? { says: "blocked", list: microsoftMail, code } : { says: "nothing" };
}

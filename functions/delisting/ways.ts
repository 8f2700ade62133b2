/** How an address gets off each list: what the zones' definitions say, Microsoft's own two lists, and the steps that a person takes there. */
import { type BlocklistZone, removalOf } from "../../shared/dns/blocklist-zones.ts";
import { microsoftMail, microsoftPortal } from "../../shared/smtp/microsoft-block.ts";

/** `mail`: we send the request ourselves, once somebody has approved it. The others are the zones'. */
export interface Way {
  kind: "form" | "expires" | "replace" | "mail";
  link: string;
  note: string;
  /** What a person does there, in order. */
  steps: string[];
  /** How long the list is given to answer before something else is done. */
  answersWithinDays: number;
  /** How often it is asked again when it doesn't. */
  repeats: number;
  /** What shows that it has let go: its own answers, or Microsoft 365's replies to the gateway. */
  seenIn: "zone" | "replies";
}

export const DELIST_MAILBOX = "delist@microsoft.com";

/** learn.microsoft.com/defender-office-365/external-senders-use-the-delist-portal-to-unblock-yourself */
const ofMicrosoft: Record<string, Way & { title: string }> = {
  [microsoftPortal]: {
    title: "Microsoft 365",
    kind: "form",
    link: "https://sender.office.com/Delist",
    note: "One mailbox and one address a visit. It takes about half an hour, sometimes a day.",
    steps: [
      "Open sender.office.com.",
      "Enter the contact as e-mail address and the listed address as IP address, and send the form.",
      "Open the mail that comes to the contact, and follow its link.",
      "There, choose Delist IP.",
    ],
    answersWithinDays: 1,
    repeats: 1,
    seenIn: "replies",
  },
  [microsoftMail]: {
    title: "Microsoft 365, with an investigation (5.7.511)",
    kind: "mail",
    link: `mailto:${DELIST_MAILBOX}`,
    note: "The portal can't help here. Microsoft answers within two days with what to do next.",
    steps: [],
    answersWithinDays: 2,
    repeats: 0,
    seenIn: "replies",
  },
};

/** By the host that a zone's link leads to. */
const stepsAt: Record<string, string[]> = {
  // spamhaus.org/pbl/removal, spamhaus.org/css
  "check.spamhaus.org": [
    "Open the link; the address is filled in.",
    "Choose Show details, and tick that you run your own mail server.",
    "Fill the form with the fields and the text below. The contact may not be a free mailbox.",
    "Open the mail that comes to the contact, and confirm.",
  ],
  "psbl.org": ["Open the link; the address is filled in.", "Confirm the removal."],
  "www.mailspike.org": ["Open the link and enter the listed address.", "Choose the removal, and give the text below as reason."],
  // A second request hurts there.
  "www.barracudacentral.org": [
    "Open the link once, and fill the form: address, contact, phone, and the text below as reason.",
    "Solve the puzzle and send it. It takes 12 to 24 hours; don't ask a second time.",
  ],
  "lookup.abusix.com": ["Open the link and sign in; an account is free.", "Look the address up and choose the removal."],
};

const aDay = 1;

export function wayOf(list: string, zone: BlocklistZone | undefined, codes: string[]): Way | undefined {
  const own = ofMicrosoft[list];
  if (own) return own;
  if (!zone) return undefined;
  const { kind, link, note, answersWithinDays = aDay } = removalOf(zone, codes);
  return { kind, link, note, steps: stepsAt[URL.parse(link)?.host ?? ""] ?? [], answersWithinDays, repeats: 0, seenIn: "zone" };
}

export const listTitleOf = (list: string, zone: BlocklistZone | undefined): string =>
  ofMicrosoft[list]?.title ?? zone?.title ?? list;

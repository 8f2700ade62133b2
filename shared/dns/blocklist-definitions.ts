/** The blocklists that are known here, as data, with the source of their codes; those that need a key or a registration are off. */
import type { ZoneInput } from "./blocklist-zones.ts";

const lookUp = "https://check.spamhaus.org/results/?query={address}";

/**
 * Codes of Spamhaus' ZEN: docs.spamhaus.com, "Zones and return codes". A name server of Azure gets 127.255.255.254 from the public zone,
 * so ZEN itself needs a key of the Data Query Service and is added by the setting.
 */
export const spamhausZenCodes: ZoneInput["codes"] = {
  "127.0.0.2": {
    meaning: "SBL: Spamhaus' own list of spam sources",
    // spamhaus.org/sbl/delistingprocedure: only the provider of the address may ask, which for an Azure address is Microsoft.
    removal: { kind: "replace", link: lookUp, note: "Only the address' provider may ask. Give the gateway another address." },
  },
  "127.0.0.3": {
    meaning: "CSS: snowshoe and other low-reputation sources",
    removal: {
      kind: "form",
      link: lookUp,
      note: "Ask once, after the cause is cured; otherwise it expires in about three days.",
      answersWithinDays: 3,
    },
  },
  "127.0.0.4": {
    meaning: "XBL: infected or exploited machine",
    removal: { kind: "form", link: lookUp, note: "Cure the machine first; a removal without a cure does not last." },
  },
  "127.0.0.9": {
    meaning: "DROP: hijacked range",
    removal: { kind: "replace", link: lookUp, note: "The whole range is listed. Give the gateway another address." },
  },
  "127.0.0.10": { meaning: "PBL: end-user range, by the provider's own policy" },
  "127.0.0.11": { meaning: "PBL: end-user range, by Spamhaus' research" },
};

export const definitions: ZoneInput[] = [
  {
    id: "spamhaus-zen",
    title: "Spamhaus ZEN",
    zone: "{key}.zen.dq.spamhaus.net",
    codes: spamhausZenCodes,
    weight: "critical",
    // The terms of use of the free service (spamhaus.org, "DNSBL usage terms"); a contract allows more.
    dailyQueries: 300_000,
    removal: { kind: "form", link: lookUp },
  },
  {
    id: "abusix",
    title: "Abusix combined",
    zone: "{key}.combined.mail.abusix.zone",
    codes: { "127.0.0.2": { meaning: "seen sending spam" } },
    weight: "high",
    removal: { kind: "form", link: "https://lookup.abusix.com/search?q={address}", note: "Self-service with a free account." },
  },
  {
    id: "spamcop",
    title: "SpamCop",
    zone: "bl.spamcop.net",
    codes: { "127.0.0.2": { meaning: "reported as a spam source" } },
    weight: "high",
    removal: {
      kind: "expires",
      link: "https://www.spamcop.net/bl.shtml?{address}",
      note: "Goes by itself 12 to 24 hours after the last report; stop the cause.",
      answersWithinDays: 2,
    },
  },
  {
    id: "psbl",
    title: "PSBL",
    zone: "psbl.surriel.com",
    codes: { "127.0.0.2": { meaning: "sent to a spam trap" } },
    weight: "medium",
    removal: { kind: "form", link: "https://psbl.org/remove?ip={address}", note: "Self-service, effective within hours." },
  },
  {
    id: "mailspike",
    title: "Mailspike",
    zone: "bl.mailspike.net",
    codes: {
      "127.0.0.2": { meaning: "part of a spam outbreak" },
      "127.0.0.10": { meaning: "worst reputation" },
      "127.0.0.11": { meaning: "very bad reputation" },
      "127.0.0.12": { meaning: "bad reputation" },
    },
    weight: "medium",
    removal: { kind: "form", link: "https://www.mailspike.org/iplookup.html", note: "" },
  },
  {
    id: "uceprotect-1",
    title: "UCEPROTECT level 1",
    zone: "dnsbl-1.uceprotect.net",
    codes: { "127.0.0.2": { meaning: "sent to a spam trap" } },
    weight: "low",
    removal: {
      kind: "expires",
      link: "https://www.uceprotect.net/en/rblcheck.php?ipr={address}",
      note: "Goes by itself after seven clean days. Never pay for it.",
      answersWithinDays: 7,
    },
  },
  {
    id: "uceprotect-2",
    title: "UCEPROTECT level 2",
    zone: "dnsbl-2.uceprotect.net",
    codes: { "127.0.0.2": { meaning: "the provider's range is listed" } },
    weight: "informational",
    removal: {
      kind: "expires",
      link: "https://www.uceprotect.net/en/rblcheck.php?ipr={address}",
      note: "Only the provider can do something about it.",
    },
  },
  {
    id: "uceprotect-3",
    title: "UCEPROTECT level 3",
    zone: "dnsbl-3.uceprotect.net",
    codes: { "127.0.0.2": { meaning: "the provider's whole network is listed" } },
    weight: "informational",
    removal: {
      kind: "expires",
      link: "https://www.uceprotect.net/en/rblcheck.php?ipr={address}",
      note: "All of the provider's addresses are listed at once; nothing can be done for one.",
    },
  },
  {
    id: "barracuda",
    title: "Barracuda",
    zone: "b.barracudacentral.org",
    codes: { "127.0.0.2": { meaning: "poor reputation" } },
    weight: "high",
    removal: {
      kind: "form",
      link: "https://www.barracudacentral.org/rbl/removal-request",
      note: "One request is worked on within 12 to 24 hours; more of them make it slower.",
    },
  },
  {
    id: "senderscore",
    title: "Validity Sender Score",
    zone: "bl.score.senderscore.com",
    codes: { "127.0.0.2": { meaning: "poor reputation" } },
    weight: "low",
    // 10,000 in 30 days, of which a tenth is left for cases.
    dailyQueries: 300,
    removal: { kind: "form", link: "https://senderscore.org/assess/get-your-score/?lookup={address}" },
  },
];

/** Why nobody is asked about a list unless the setting names it. */
export const switchedOff: Record<string, string> = {
  "spamhaus-zen": "needs a key of Spamhaus' Data Query Service: the public zone refuses all of Azure",
  abusix: "needs a key of Abusix' Mail Intelligence",
  barracuda: "answers only resolvers whose addresses were registered, which Azure's shared one is not",
  senderscore: "allows 10,000 questions in 30 days, and answers 127.255.255.255 to everything after that",
};

/** Zones of lists that have ended. Asking them gives nothing, or one day everything. */
export const deadZones: Record<string, string> = {
  "dnsbl.sorbs.net": "shut down on 5 June 2024",
  "list.dsbl.org": "ended in 2008",
  "dnsbl.njabl.org": "ended in 2013",
  "dnsbl.ahbl.org": "lists everything since 2015",
  "rfc-ignorant.org": "ended in 2012",
};

/**
 * Mission C10 (manual, chapter 4, "Prerequisites"): what Microsoft 365 asks of mail that comes from a server of one's own, and room for our
 * rules. Pure checks over what was read: pass, fail, or can't tell.
 */
import type { Check } from "../../api/plan.ts";
import type { MailboxObject, TransportRuleObject } from "../cmdlets.ts";
import { carries, markOf } from "../ownership.ts";
import { MOST_OF_OURS } from "../transport-rules.ts";
import type { MailFlow, Surroundings } from "./surroundings.ts";

export const senderChecks = (seen: Surroundings, flow: MailFlow): Check[] => [
  staticAddresses(flow),
  ...licences(seen),
  limits(seen),
  ...ruleBudgets(seen, flow),
];

/** By construction: no address is dynamic, and none is another tenant's. */
const staticAddresses = ({ egressIps }: MailFlow): Check => ({
  code: "EgressAddressShared",
  status: "pass",
  message:
    egressIps.length === 0
      ? "each gateway will have a static address of its own, which nobody shares"
      : `each gateway has a static address of its own, which nobody shares: ${egressIps.join(", ")}`,
});

/** Kept by Exchange without a licence: mailboxes of groups, rooms and equipment, and shared ones up to 50 GB. */
const UNLICENSED_KINDS = /^(Shared|Room|Equipment|Group|Team)Mailbox$/i;

function licences({ mailboxes }: Surroundings): Check[] {
  return mailboxes.map(({ address, found }, index): Check => {
    const code = "SenderNotLicensed";
    const target = index === 0 ? "spec.microsoft365.probeMailbox" : "spec.pilot.addresses";
    if (found.state === "unknown")
      return {
        code,
        status: "unknown",
        message: `whether ${address} has a licence could not be read: ${found.reason.code}`,
        target,
      };
    const [mailbox] = found.actual;
    if (!mailbox) return noMailbox(address, index === 0, target);
    return { ...licence(code, address, mailbox), target };
  });
}

/** The probe's own mail is read and sent there; a pilot may be an address that others send from. */
const noMailbox = (address: string, probe: boolean, target: string): Check =>
  probe
    ? {
        code: "ProbeMailboxMissing",
        status: "fail",
        message: `the organisation has no mailbox ${address}, so the loop could not be proven`,
        remedy: "make the mailbox there, or name another one",
        target,
      }
    : {
        code: "PilotMailboxMissing",
        status: "unknown",
        message: `${address} is no mailbox of the organisation: nobody's mail moves by it unless it is another kind of sender`,
        remedy: "see whether the pilot's address is spelt right",
        target,
      };

function licence(code: string, address: string, { RecipientTypeDetails: kind, SKUAssigned: licensed }: MailboxObject): Check {
  if (UNLICENSED_KINDS.test(kind ?? ""))
    return { code, status: "pass", message: `${address} is a ${kind}, which needs no licence` };
  if (licensed === true) return { code, status: "pass", message: `${address} has a mailbox with a licence` };
  if (licensed === false)
    return {
      code,
      status: "fail",
      message: `the mailbox ${address} has no licence: it may not send, and Exchange Online deletes it after 30 days`,
      remedy: "give it a licence with Exchange Online, or name another one",
    };
  return { code, status: "unknown", message: `Exchange Online doesn't say whether ${address} has a licence` };
}

/** "Exchange Online limits": external recipients a day, by the number of licences. */
function limits({ limits: found }: Surroundings): Check {
  const code = "SendingLimitReached";
  const [status] = found.state === "present" ? found.actual : [];
  if (!status || typeof status.ObservedValue !== "number" || typeof status.Threshold !== "number")
    return {
      code,
      status: "unknown",
      message: `how many external recipients the organisation may have could not be read${found.state === "unknown" ? `: ${found.reason.code}` : ""}`,
    };
  if (status.ObservedValue < status.Threshold)
    return { code, status: "pass", message: `within ${status.Threshold} external recipients a day, which its licences allow` };
  return {
    code,
    status: "fail",
    message: `the organisation has had as many external recipients in the last 24 hours as its licences allow (${status.Threshold}): Exchange Online refuses more`,
    remedy: "wait until the day has passed, find who sends so much, or add licences",
  };
}

/** Limits of Exchange Online: rules of an organisation, and characters that they look for in all of them. */
export const MOST_RULES = 300;
export const MOST_PATTERN_CHARACTERS = 20 * 1024;
/** The loop GUID, at most in each of our rules, two at a time while it is rotated. */
const OUR_PATTERN_CHARACTERS = MOST_OF_OURS * 2 * 36;

function ruleBudgets({ rules: found }: Surroundings, { owner }: MailFlow): Check[] {
  if (found.state === "unknown") {
    const message = `how many transport rules there are could not be read: ${found.reason.code}`;
    return [{ code: "TransportRulesFull", status: "unknown", message }];
  }
  const mark = markOf(owner);
  const rules = found.actual;
  const ours = rules.filter(({ Comments }) => carries(Comments, mark));
  const theirs = rules.length - ours.length;
  const characters = rules.filter((rule) => !ours.includes(rule)).reduce((sum, rule) => sum + patternCharacters(rule), 0);
  return [
    budget("TransportRulesFull", theirs, MOST_OF_OURS, MOST_RULES, "transport rules"),
    budget(
      "RulePatternsFull",
      characters,
      OUR_PATTERN_CHARACTERS,
      MOST_PATTERN_CHARACTERS,
      "characters of words and patterns in its rules",
    ),
  ];
}

const budget = (code: string, theirs: number, wanted: number, most: number, what: string): Check =>
  theirs + wanted <= most
    ? { code, status: "pass", message: `the organisation has room for ours beside its ${what} (${most} at most)` }
    : {
        code,
        status: "fail",
        message: `the organisation has ${theirs} of ${most} ${what}, and ours need up to ${wanted}`,
        remedy: "remove or merge rules that nobody needs any more",
      };

/** Words and patterns of conditions and exceptions: `HeaderContainsWords`, `SubjectMatchesPatterns` and their like. */
const patternCharacters = (rule: TransportRuleObject): number =>
  Object.entries(rule)
    .filter(([name]) => /(Words|Patterns)$/.test(name))
    .flatMap(([, value]) => (Array.isArray(value) ? value : [value]))
    .reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 0), 0);

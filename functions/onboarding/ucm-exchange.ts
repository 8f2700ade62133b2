/**
 * Mission E1 to E3: what itrezzo UCM wants of its service account in Exchange. In Exchange Online we look ourselves; on a customer's premises
 * an administrator's script does, and its report is judged.
 */
import type { Check } from "../../shared/api/plan.ts";
import type { MailboxObject } from "../../shared/exchange/cmdlets.ts";
import type { Observed } from "../../shared/resources/resource.ts";
import type { PremisesVersion } from "../../shared/ucm/scripts.ts";
import type { PremisesReport } from "../../shared/ucm/report.ts";

type Remedied = [code: string, message: string, remedy: string];

const pass = (code: string, message: string): Check => ({ code, status: "pass", message });
const fail = (...[code, message, remedy]: Remedied): Check => ({ code, status: "fail", message, remedy });
const unknown = (...[code, message, remedy]: Remedied): Check => ({ code, status: "unknown", message, remedy });

const codes = ["UcmServiceAccount", "UcmMailboxKept", "UcmImpersonation", "UcmThrottling"] as const;

/** "Deprecation of Exchange Web Services in Exchange Online": blocked from then on, and gone. */
const EWS =
  "Exchange Online blocks Exchange Web Services from 1 October 2026 where nobody has allowed them, and for good from 1 April 2027";

export function onlineChecks(mailbox: string, seen: Observed<MailboxObject>): Check[] {
  return [
    ...mailboxChecks(mailbox, seen),
    unknown(
      "UcmImpersonation",
      `whether the product may act for mailboxes can't be told: Exchange Online has no application impersonation any more, and RBAC for Applications takes an application of the product's own, which its maker has not described. ${EWS}`,
      "ask the product's maker for a version with an application in Entra, then give that the role Application EWS.AccessAsApp in a scope",
    ),
    pass("UcmThrottling", "there is nothing to set: Exchange Online has no throttling policy that a customer could change"),
  ];
}

const NO_ARCHIVE = "00000000-0000-0000-0000-000000000000";

function mailboxChecks(mailbox: string, seen: Observed<MailboxObject>): Check[] {
  if (seen.state !== "present") {
    const remedy = "give the account a mailbox of its own, and name its address in ucm.exchange.mailbox";
    const told = seen.state === "absent" ? fail : unknown;
    const why = seen.state === "absent" ? "Exchange Online has no such mailbox" : seen.reason.message;
    return (["UcmServiceAccount", "UcmMailboxKept"] as const).map((code) => told(code, `${mailbox}: ${why}`, remedy));
  }
  const { RecipientTypeDetails, AcceptMessagesOnlyFromSendersOrMembers: senders = [], ArchiveGuid, ...kept } = seen.actual;
  return [
    serviceAccount(mailbox, { type: RecipientTypeDetails ?? "", senders: senders.length }),
    unkept(mailbox, {
      "a retention policy": kept.RetentionPolicy ? `Set-Mailbox ${mailbox} -RetentionPolicy $null` : undefined,
      "litigation hold": kept.LitigationHoldEnabled ? `Set-Mailbox ${mailbox} -LitigationHoldEnabled $false` : undefined,
      "a hold of a case or of a retention policy in Purview":
        (kept.InPlaceHolds ?? []).length > 0 ? "take the mailbox out of these holds in Purview" : undefined,
      "an archive":
        ArchiveGuid && ArchiveGuid !== NO_ARCHIVE ? `look what is in it, then Disable-Mailbox ${mailbox} -Archive` : undefined,
    }),
  ];
}

export function premisesChecks(account: string, version: PremisesVersion, report: PremisesReport | undefined): Check[] {
  if (!report) {
    const remedy = "have the customer's administrator run the check script of GET /api/tenants/{tenantId}/ucm";
    return codes.map((code) => unknown(code, "it is on the customer's premises, and no report has come from there yet", remedy));
  }
  const { mailboxType = "", senders = 0, litigationHold, archive, retentionPolicy } = report;
  return [
    report.managedServiceAccount
      ? fail(
          "UcmServiceAccount",
          `there is a managed service account of the name ${account}: Windows changes its password, which stops the product's services, and turning an account into one loses its settings for good`,
          "use an ordinary account",
        )
      : !report.account || !report.mailbox
        ? fail(
            "UcmServiceAccount",
            `${account} has no ${report.account ? "mailbox" : "account in the directory"}`,
            "make it, with a mailbox",
          )
        : serviceAccount(account, { type: mailboxType, senders }),
    report.mailbox
      ? unkept(account, {
          "a retention policy": retentionPolicy ? "run the set script" : undefined,
          "litigation hold": litigationHold === true ? "have it taken off by whoever put it there" : undefined,
          "an archive": archive === true ? "look what is in it, then Disable-Mailbox -Archive" : undefined,
        })
      : fail("UcmMailboxKept", `${account} has no mailbox`, "give it one"),
    mayAct(version, report)
      ? pass("UcmImpersonation", `${account} may act for the mailboxes`)
      : fail("UcmImpersonation", `${account} may not act for all mailboxes: ${lacking(version, report)}`, "run the set script"),
    unthrottled(version, report)
      ? pass("UcmThrottling", `${account} has a throttling policy without limits for EWS`)
      : fail(
          "UcmThrottling",
          `${account} has no throttling policy without limits for EWS and with 10000 subscriptions`,
          "run the set script",
        ),
  ];
}

const mayAct = (
  version: PremisesVersion,
  { databases = 0, databasesGranted = 0, impersonation = false }: PremisesReport,
): boolean => (version === "2010" ? databases > 0 && databasesGranted === databases : impersonation);
const lacking = (version: PremisesVersion, { databases = 0, databasesGranted = 0 }: PremisesReport): string =>
  version === "2010"
    ? `it has Receive-As and Send-As on ${databasesGranted} of ${databases} databases`
    : "it has no application impersonation";

/** Exchange 2010 shows no limit as nothing. */
const unthrottled = (version: PremisesVersion, found: PremisesReport): boolean =>
  /itrezzoSvcPolicy/i.test(found.throttlingPolicy ?? "") &&
  (found.ewsMaxConcurrency ?? "").toLowerCase() === (version === "2010" ? "" : "unlimited") &&
  Number(found.ewsMaxSubscriptions) >= 10_000;

function serviceAccount(who: string, { type, senders }: { type: string; senders: number }): Check {
  if (type !== "UserMailbox")
    return fail("UcmServiceAccount", `the mailbox of ${who} is of the kind ${type}`, "it has to be an ordinary user's mailbox");
  if (senders > 0)
    return fail(
      "UcmServiceAccount",
      `${who} takes mail of ${senders} named senders only`,
      "let everybody inside write to it: Set-Mailbox -AcceptMessagesOnlyFromSendersOrMembers $null",
    );
  return pass(
    "UcmServiceAccount",
    `${who} has an ordinary mailbox, which takes mail from inside; it needs no rights of a domain administrator`,
  );
}

/** Retention and archiving move the product's items away from under it. */
function unkept(who: string, remedies: Record<string, string | undefined>): Check {
  const found = Object.entries(remedies).flatMap(([what, remedy]) => (remedy === undefined ? [] : [{ what, remedy }]));
  if (found.length === 0) return pass("UcmMailboxKept", `the mailbox of ${who} has no retention, no hold and no archive`);
  return fail(
    "UcmMailboxKept",
    `the mailbox of ${who} has ${found.map(({ what }) => what).join(", ")}`,
    found.map(({ remedy }) => remedy).join("; "),
  );
}

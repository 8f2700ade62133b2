/** What a person is asked to do about a listing: the right link, the fields filled in, and words ready to be copied. */
import type { Task } from "../../shared/api/delisting.ts";
import type { Finding } from "../../shared/api/plan.ts";
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import { removalOf } from "../../shared/dns/blocklist-zones.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";

/** What the case does next; without a task it only waits. */
export interface Course {
  state: "remediation" | "ready" | "waiting" | "escalated";
  message: string;
  task?: Omit<Task, "since" | "reminders">;
}

/** @param domain the tenant's main domain */
export function courseOf(one: CaseRecord, zone: BlocklistZone, domain: string): Course {
  const { address, listTitle, evidence, findings } = one;
  const codes = evidence?.codes.map(({ code }) => code) ?? [];
  const removal = removalOf(zone, codes);
  const link = removal.link.replaceAll("{address}", encodeURIComponent(address));
  const common = { link, note: removal.note };
  const name = evidence?.reverseNames?.[0];
  const fields = [
    { label: "Address", value: address },
    ...(name === undefined ? [] : [{ label: "Host name", value: name }]),
    { label: "Contact", value: `postmaster@${domain}` },
  ];
  const blocking = findings.filter(({ severity }) => severity === "error");

  if (removal.kind === "replace")
    return {
      state: "escalated",
      message: `nobody can ask ${listTitle} for this address; the gateway needs another one`,
      task: {
        kind: "replaceAddress",
        title: `Give the gateway another address than ${address}`,
        text: `${listTitle} lists ${address}: ${meanings(one)}. ${removal.note}`,
        fields,
        ...common,
      },
    };
  if (removal.kind === "expires")
    return { state: "waiting", message: `the listing expires by itself once its cause has ended. ${removal.note}`.trim() };
  if (blocking.length > 0)
    return {
      state: "remediation",
      message: `asking makes no sense yet: ${blocking.map(({ message }) => message).join("; ")}`,
      task: {
        kind: "putRight",
        title: `Put right what keeps ${listTitle} from removing ${address}`,
        text: blocking.map(({ message, remedy }) => `${message}. ${remedy}`).join("\n"),
        fields,
        ...common,
      },
    };
  return {
    state: "ready",
    message: `somebody has to ask ${listTitle} for the removal of ${address}`,
    task: {
      kind: "askForRemoval",
      title: `Ask ${listTitle} to remove ${address}`,
      text: requestText(one, domain, name),
      fields,
      ...common,
    },
  };
}

/** What lists ask of a request: who sends, from where, why it was listed, what was done (Spamhaus' and Microsoft's forms). */
const requestText = ({ address, listTitle }: CaseRecord, domain: string, name: string | undefined): string =>
  [
    `Please remove ${address}${name === undefined ? "" : ` (${name})`} from ${listTitle}.`,
    `It is a single, statically assigned address of a mail gateway that we run ourselves. It only relays mail of ${domain} ` +
      "that comes from Microsoft 365 over TLS, is no open relay, and has matching forward and reverse DNS names.",
    `Questions are answered at postmaster@${domain}.`,
  ].join("\n");

const meanings = ({ evidence }: CaseRecord): string =>
  evidence?.codes.map(({ code, meaning }) => meaning ?? code).join(", ") || "no code";

/** Whether asking makes sense: lists refuse an address without a name that leads back to it, and one that asks again and again. */
export function findingsOf({ address, evidence, previousCaseId }: CaseRecord): Finding[] {
  const findings: Finding[] = [];
  const { reverseNames, forwardConfirmed } = evidence ?? {};
  if (reverseNames?.length === 0)
    findings.push({
      code: "ReverseNameMissing",
      severity: "error",
      message: `${address} has no reverse DNS name`,
      remedy: "Set the public address' reverse FQDN in Azure to the gateway's name.",
    });
  else if (forwardConfirmed === false)
    findings.push({
      code: "ReverseNameMismatch",
      severity: "error",
      message: `the reverse DNS name of ${address} does not lead back to it`,
      remedy: "Let the reverse FQDN and the address record of that name agree.",
    });
  else if (reverseNames === undefined || forwardConfirmed === undefined)
    findings.push({
      code: "ReverseNameUnknown",
      severity: "information",
      message: `DNS gave no answer about the reverse name of ${address}`,
      remedy: "Nothing; it is looked at again.",
    });
  if (previousCaseId !== undefined)
    findings.push({
      code: "ListedAgain",
      severity: "warning",
      message: "the address was on this list before",
      remedy: "Find the cause before asking: lists refuse requests that repeat themselves.",
    });
  return findings;
}

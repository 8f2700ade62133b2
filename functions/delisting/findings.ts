/** Whether asking makes sense: what lists look at before they let go of an address, each with its evidence and what mends it. */
import type { Finding } from "../../shared/api/plan.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import { freeMail } from "./contact.ts";

/** An `error` is put right before anybody asks. */
export function findingsOf({ address, evidence, previousCaseId, codes }: CaseRecord, contact: string): Finding[] {
  const { reverseNames, forwardConfirmed, gateway, differences, allowedBySpf = [], reply, repliedAt, at } = evidence ?? {};
  const { queue = 0, badmail = 0 } = evidence ?? {};
  const findings: Finding[] = [];
  const find = (severity: Finding["severity"], code: string, message: string, remedy: string): void =>
    void findings.push({ code, severity, message, remedy });
  const repair = "Bring it back: POST /tenants/{tenantId}/repair, or onboard the tenant again.";

  if (reverseNames?.length === 0)
    find(
      "error",
      "ReverseNameMissing",
      `${address} has no reverse DNS name`,
      "Set the public address' reverse FQDN in Azure to the gateway's name.",
    );
  else if (forwardConfirmed === false)
    find(
      "error",
      "ReverseNameMismatch",
      `the reverse DNS name of ${address} does not lead back to it`,
      "Let the reverse FQDN and the address record of that name agree.",
    );
  else if (reverseNames === undefined || forwardConfirmed === undefined)
    find(
      "information",
      "ReverseNameUnknown",
      `DNS gave no answer about the reverse name of ${address}`,
      "Nothing; it is looked at again.",
    );
  else if (gateway && !reverseNames.includes(gateway.name.toLowerCase()))
    find(
      "error",
      "HelloNameDiffers",
      `the gateway says ${gateway.name} in its EHLO, and ${address} has the name ${reverseNames.join(", ")}`,
      "Set the public address' reverse FQDN in Azure to the gateway's name.",
    );

  if (evidence && !gateway)
    find("information", "GatewayUnknown", `no gateway has ${address}`, "Nothing, if another address took its place.");
  if (evidence && gateway && differences === undefined)
    find(
      "information",
      "GatewayNotCompared",
      "the gateway was not compared with what is wanted yet: its static address, its open ports and whom it relays for",
      "Look now: POST /tenants/{tenantId}/drift.",
    );
  for (const difference of differences ?? []) {
    const [kind = "", title = ""] = difference.split(/: (.*)/s);
    const [code, message, severity] = differing[kind] ?? [];
    if (code && message && severity) find(severity, code, `${message} (${title})`, repair);
  }
  if (repliedAt !== undefined && at !== undefined && reply === "" && Date.parse(at) - Date.parse(repliedAt) < HOUR)
    find(
      "error",
      "OutboundSmtpBlocked",
      "the gateway reaches nobody on port 25",
      "Let Azure open port 25 for the subscription, or relay by somebody else.",
    );
  for (const { domain, allowed } of allowedBySpf)
    if (allowed === false)
      find(
        "warning",
        "SpfWithoutAddress",
        `the SPF record of ${domain} does not name ${address}`,
        "Publish the record that GET /tenants/{tenantId} shows, or let `spf` in the spec keep it.",
      );
  if (queue >= MANY_WAIT || badmail >= MANY_FAILED)
    find(
      "warning",
      "MailPiledUp",
      `${queue} mails wait in the gateway, and ${badmail} could neither be delivered nor returned`,
      "Look who sends them before asking: a listing whose cause goes on comes back.",
    );
  if (freeMail(contact))
    find(
      "error",
      "ContactUnsuitable",
      `lists don't write to ${contact}`,
      "Name a domain of the customer's own in microsoft365.domains of the spec.",
    );
  if (codes.some((code) => code === "127.0.0.4"))
    find("warning", "MachineInfected", "the list takes the machine for infected", "Scan the machine before asking.");
  if (previousCaseId !== undefined)
    find(
      "warning",
      "ListedAgain",
      "the address was on this list before",
      "Find the cause before asking: lists refuse requests that repeat themselves.",
    );
  return findings;
}

const HOUR = 3600 * 1000;
/** Errors of the manual's own monitor (chapter 3.5). */
const MANY_WAIT = 50;
const MANY_FAILED = 20;

/** What differs says that the gateway is not what the request claims. */
const differing: Record<string, [code: string, message: string, severity: "error" | "warning"]> = {
  publicIpAddress: ["AddressDiffers", "the public address is not static with a name of its own", "error"],
  networkSecurityGroup: ["OpenPorts", "other ports are open than the spec names", "error"],
  guest: ["RelayDiffers", "the machine is not set up as wanted, so whom it relays for is not known", "warning"],
};

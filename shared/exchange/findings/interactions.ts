/**
 * What in a customer's organisation meets our mail flow: pure rules over what was read. None of it is ours to change, so each says what it
 * saw and what a person can do; functions/onboarding/README.md has them all.
 */
import type { Finding } from "../../api/plan.ts";
import type { Observed } from "../../resources/resource.ts";
import { canonicalAddresses } from "../canonical.ts";
import type { OrganizationConfigObject, TransportRuleObject } from "../cmdlets.ts";
import { carries, markOf } from "../ownership.ts";
import { type MailFlow, type Surroundings } from "./surroundings.ts";

export const interactionFindings = (seen: Surroundings, flow: MailFlow, now: number): Finding[] => [
  ...unread(seen),
  ...heldBack(seen, flow),
  ...rulesAbove(seen, flow),
  ...rejectedDirectSend(seen, flow),
  ...allowList(seen, flow),
  ...acceptedDomains(seen, flow),
  ...dehydrated(seen),
  ...webServices(seen, flow, now),
];

/** What was read; nothing where it could not be, which `unread` says. */
const all = <Value>(found: { state: "present"; actual: Value[] } | { state: "unknown" }): Value[] =>
  found.state === "present" ? found.actual : [];

function unread(seen: Surroundings): Finding[] {
  const { rules, inboundConnectors, outboundConnectors, connectionFilter, organization, acceptedDomains } = seen;
  const reads: Record<string, Observed<unknown>> = {
    "transport rules": rules,
    "inbound connectors": inboundConnectors,
    "outbound connectors": outboundConnectors,
    "the connection filter": connectionFilter,
    "the organisation's configuration": organization,
    "accepted domains": acceptedDomains,
  };
  const missing = Object.entries(reads).flatMap(([what, found]) =>
    found.state === "unknown" ? [`${what} (${found.reason.code})`] : [],
  );
  if (missing.length === 0) return [];
  return [
    {
      code: "MailFlowNotRead",
      severity: "information",
      message: `what could not be read, so nothing is said about it: ${missing.join(", ")}`,
      remedy: "plan again later; if it stays, see what the code in brackets means",
    },
  ];
}

/**
 * Mission B4: Exchange Online takes mail for its accepted domains, and knows all recipients of those that are authoritative. A domain that
 * was verified a moment ago may take a while to be among them; they are the customer's, and never made or changed here.
 */
function acceptedDomains({ acceptedDomains: seen }: Surroundings, { domains }: MailFlow): Finding[] {
  if (seen.state === "unknown") return [];
  return domains.flatMap((domain): Finding[] => {
    const accepted = seen.actual.find(({ DomainName }) => DomainName.toLowerCase() === domain.toLowerCase());
    if (accepted === undefined)
      return [
        {
          code: "AcceptedDomainMissing",
          severity: "error",
          message: `${domain} is no accepted domain of Exchange Online there: mail for it is refused, and mail from it may not come back`,
          remedy: "see that the domain is switched on for mail in Microsoft 365; one that was just verified takes a while",
        },
      ];
    const type = accepted.DomainType ?? "Authoritative";
    if (type === "Authoritative") return [];
    return [
      {
        code: "AcceptedDomainNotAuthoritative",
        severity: "warning",
        message: `${domain} is an accepted domain of the kind ${type}: mail to recipients that Exchange Online doesn't know is passed on, not refused`,
        remedy: "keep it where mailboxes are elsewhere, too; else make the domain authoritative in the Exchange admin centre",
      },
    ];
  });
}

/** "Inbound connector FAQ": made disabled in trial, new and restricted organisations. */
function heldBack({ inboundConnectors, outboundConnectors }: Surroundings, { owner, keptName }: MailFlow): Finding[] {
  const mark = markOf(owner);
  const inUse = all(inboundConnectors).filter(
    ({ TlsSenderCertificateName: name }) => keptName === undefined || name?.toLowerCase() !== keptName,
  );
  const disabled = [...inUse, ...all(outboundConnectors)].filter(
    ({ Comment, Enabled }) => Enabled === false && carries(Comment, mark),
  );
  return disabled.map(({ Name }) => ({
    code: "ConnectorDisabled",
    severity: "error",
    message: `our connector "${Name}" is disabled: by somebody, or by Microsoft, which makes connectors of trial and restricted organisations so`,
    remedy:
      "onboard again; if that ends with InboundConnectorHeldBack, have Microsoft's support enable connectors for this organisation",
  }));
}

const working = ({ State, Mode }: TransportRuleObject): boolean => State === "Enabled" && (Mode ?? "Enforce") === "Enforce";

/** CodeTwo's guide and ours: rules above see a message first. Where ours aren't made yet, they will be made above all others. */
function rulesAbove({ rules }: Surroundings, { owner, loopHeader }: MailFlow): Finding[] {
  const mark = markOf(owner);
  const ours = all(rules).filter(({ Comments }) => carries(Comments, mark));
  const forwarding = ours.filter(({ RouteMessageOutboundConnector }) => RouteMessageOutboundConnector);
  const lowest = Math.max(-1, ...forwarding.map(({ Priority }) => Priority));
  const above = all(rules).filter((rule) => working(rule) && rule.Priority < lowest && !ours.includes(rule));
  return above.flatMap((rule): Finding[] => {
    const stands = `the rule "${rule.Name}" (priority ${rule.Priority}) stands above our forwarding rule (${lowest})`;
    const below = `move "${rule.Name}" below ours in the admin centre's mail flow rules, or except what it is for from the pilot`;
    const routes = rerouting.filter((name) => given(rule[name]));
    const touches = [rule.RemoveHeader, rule["SetHeaderName"]].some((name) => sameText(name, loopHeader));
    return [
      ...(rule.StopRuleProcessing === true
        ? [finding("RuleAboveStops", "warning", `${stands} and stops the processing: its mail goes round the gateway`, below)]
        : []),
      ...(routes.length > 0
        ? [finding("RuleAboveReroutes", "warning", `${stands} and sends its mail elsewhere (${routes.join(", ")})`, below)]
        : []),
      ...(touches
        ? [
            finding(
              "RuleTouchesLoopHeader",
              "error",
              `${stands} and changes ${loopHeader}, by which mail that has been at the gateway is known: it would go there again and again`,
              `disable "${rule.Name}", or have it leave ${loopHeader} alone`,
            ),
          ]
        : []),
    ];
  });
}

/** Actions that lead a message away from our connector. */
const rerouting = ["RouteMessageOutboundConnector", "RedirectMessageTo", "RouteMessageOutboundRequireTls"] as const;

const given = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== "" && value !== false;

/** Set-OrganizationConfig: mail of the organisation's own domains that no inbound connector accounts for is refused. */
function rejectedDirectSend({ organization, inboundConnectors }: Surroundings, { owner, egressIps }: MailFlow): Finding[] {
  if (all(organization)[0]?.RejectDirectSend !== true) return [];
  const rejects = "the organisation rejects mail of its own domains that comes by no inbound connector (RejectDirectSend)";
  const ours = all(inboundConnectors).filter(({ Comment }) => carries(Comment, markOf(owner)));
  const open = ours.filter(({ Enabled }) => Enabled !== false);
  // One that knows the gateways by their certificate knows them all.
  const byCertificate = open.some((one) => given(one["TlsSenderCertificateName"]));
  const known = canonicalAddresses(open.flatMap(({ SenderIPAddresses }) => SenderIPAddresses));
  const strange = canonicalAddresses(egressIps).filter((address) => !known.includes(address));
  if (ours.length > 0 && !byCertificate && strange.length > 0)
    return [
      finding(
        "DirectSendRejected",
        "error",
        `${rejects}, and our inbound connector ${open.length === 0 ? "is disabled" : `lacks ${strange.join(", ")}`}: mail that comes back from the gateway is refused`,
        "onboard again, so that the inbound connector knows all gateways",
      ),
    ];
  return [
    finding(
      "DirectSendRejected",
      "information",
      `${rejects}: mail comes back from the gateway only as long as our inbound connector is there and enabled`,
      "nothing now; before a gateway's address changes by hand, add the new one to the inbound connector",
    ),
  ];
}

/**
 * Mission C7. CIPP's standard "EmptyFilterIPAllowList" empties the list of every organisation that it manages, and ORCA and the CIS
 * benchmark name any entry as a weakness.
 */
function allowList({ connectionFilter }: Surroundings, { connectionFilter: wanted, onboarded, egressIps }: MailFlow): Finding[] {
  const [policy] = all(connectionFilter);
  if (!wanted || !onboarded || !policy || egressIps.length === 0) return [];
  const listed = canonicalAddresses(policy.IPAllowList);
  const gone = canonicalAddresses(egressIps).filter((address) => !listed.includes(address));
  if (gone.length === 0) return [];
  const by =
    listed.length === 0
      ? "the whole list is empty, as CIPP's standard EmptyFilterIPAllowList leaves it and ORCA and the CIS benchmark ask for"
      : "the rest of the list stands, so a person or a script took out just ours";
  return [
    finding(
      "AllowListCleared",
      "warning",
      `somebody took ${gone.join(", ")} off the connection filter's allow list: ${by}`,
      "except this organisation from whatever clears the list, or set connectionFilter to false; onboarding puts the addresses back",
    ),
  ];
}

function dehydrated({ organization }: Surroundings): Finding[] {
  if (all(organization)[0]?.IsDehydrated !== true) return [];
  return [
    finding(
      "OrganizationDehydrated",
      "information",
      "the organisation shares Microsoft's default settings; onboarding switches its own on (Enable-OrganizationCustomization), for good",
      "nothing: it settles in minutes",
    ),
  ];
}

/** Set-OrganizationConfig and the retirement's announcement: an undecided organisation is closed from the first date, all from the second. */
const EWS_CLOSES = Date.parse("2026-10-01T00:00:00Z");
const EWS_ENDS = Date.parse("2027-04-01T00:00:00Z");

function webServices({ organization }: Surroundings, { exchangeWebServices }: MailFlow, now: number): Finding[] {
  const [config] = all(organization);
  if (!exchangeWebServices || !config) return [];
  const ending = finding(
    "EwsEnding",
    now >= EWS_ENDS ? "error" : "warning",
    "Exchange Online ends Exchange Web Services: from 1 October 2026 only for applications that the organisation allows, from 1 April 2027 for nobody",
    "leave gateway.exchangeWebServices out before 1 April 2027; what used it needs another way",
  );
  if (now >= EWS_ENDS) return [ending];
  return [ending, ...webServicesOf(config, exchangeWebServices.applicationId, now >= EWS_CLOSES)];
}

function webServicesOf(config: OrganizationConfigObject, applicationId: string | undefined, closed: boolean): Finding[] {
  const { EwsEnabled: enabled, EwsAllowedAppIDs: ids } = config;
  const allowed = (Array.isArray(ids) ? ids : (ids ?? "").split(","))
    .map((id) => id.trim().toLowerCase())
    .filter((id) => id !== "");
  const readFirst =
    "read the list with Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy first, since Set-OrganizationConfig replaces it";
  if (enabled === false || (closed && enabled !== true))
    return [
      finding(
        "EwsSwitchedOff",
        "error",
        `Exchange Web Services are switched off in the organisation (EwsEnabled is ${enabled === false ? "false" : "undecided, which means false since 1 October 2026"})`,
        `put our application's id on EwsAllowedAppIDs, then set EwsEnabled to true; ${readFirst}`,
      ),
    ];
  if (applicationId === undefined || allowed.includes(applicationId.toLowerCase()) || (allowed.length === 0 && !closed))
    return [];
  return [
    finding(
      "EwsNotAllowListed",
      closed ? "error" : "warning",
      `our application ${applicationId} is not among those that may use Exchange Web Services (${allowed.length === 0 ? "none is named" : `${allowed.length} others are`})`,
      `add it to EwsAllowedAppIDs; ${readFirst}`,
    ),
  ];
}

const finding = (code: string, severity: Finding["severity"], message: string, remedy: string): Finding => ({
  code,
  severity,
  message,
  remedy,
});

const sameText = (one: unknown, other: string): boolean => typeof one === "string" && one.toLowerCase() === other.toLowerCase();

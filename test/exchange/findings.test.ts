/** What is said about an organisation's mail flow is a pure function of what was read there. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Finding } from "../../shared/api/plan.ts";
import { mailboxSchema, transportRuleSchema, type TransportRuleObject } from "../../shared/exchange/cmdlets.ts";
import { interactionFindings } from "../../shared/exchange/findings/interactions.ts";
import { MOST_PATTERN_CHARACTERS, MOST_RULES, senderChecks } from "../../shared/exchange/findings/senders.ts";
import type { MailFlow, Surroundings } from "../../shared/exchange/findings/surroundings.ts";
import { markerOf } from "../../shared/exchange/ownership.ts";
import { present, unknown } from "../../shared/resources/resource.ts";

const owner = { partnerId: "northwind", tenantId: "contoso" };
const flow: MailFlow = {
  owner,
  organization: "c0ffee00-0000-4000-8000-000000000001",
  outboundConnector: "M365 to Azure VM",
  loopHeader: "X-iqsuite-process",
  egressIps: ["203.0.113.7"],
  senders: ["probe@contoso.example", "pilot@contoso.example"],
  domains: ["contoso.example"],
  connectionFilter: true,
  onboarded: true,
  exchangeWebServices: undefined,
};
const june = Date.parse("2026-06-01T00:00:00Z");
const november = Date.parse("2026-11-01T00:00:00Z");
const after = Date.parse("2027-04-01T00:00:00Z");

const rule = (Name: string, Priority: number, more: Record<string, unknown> = {}): TransportRuleObject =>
  transportRuleSchema.parse({ Name, Priority, Guid: `guid-${Name}`, State: "Enabled", Mode: "Enforce", ...more });
const ours = (kind: string, Priority: number, more: Record<string, unknown> = {}): TransportRuleObject =>
  rule(kind, Priority, { Comments: markerOf(owner, kind), ...more });
const guard = (at: number) => ours("guardRule", at, { RemoveHeader: "X-iqsuite-process" });
const forwarding = (at: number) =>
  ours("forwardingRule", at, { RouteMessageOutboundConnector: "M365 to Azure VM", StopRuleProcessing: true });
const mailbox = mailboxSchema.parse({
  PrimarySmtpAddress: "probe@contoso.example",
  RecipientTypeDetails: "UserMailbox",
  SKUAssigned: true,
});
const inbound = {
  Guid: "1",
  Name: "FROM Azure VM to M365",
  Comment: markerOf(owner, "inboundConnector"),
  Enabled: true,
  SenderDomains: ["smtp:*;1"],
  SenderIPAddresses: ["203.0.113.7"],
};
const configured = { IsDehydrated: false, RejectDirectSend: false, EwsEnabled: null, EwsAllowedAppIDs: null };

/** As an onboarding leaves it. */
const quiet: Surroundings = {
  rules: present([guard(0), forwarding(1), ours("approvalRule", 2), rule("disclaimer", 3, { StopRuleProcessing: true })]),
  inboundConnectors: present([inbound]),
  outboundConnectors: present([]),
  connectionFilter: present([{ Name: "Default", IPAllowList: ["203.0.113.7", "198.51.100.9"], IPBlockList: [] }]),
  organization: present([configured]),
  acceptedDomains: present([
    { DomainName: "Contoso.example", DomainType: "Authoritative", Default: true },
    { DomainName: "fabrikam.example", DomainType: "InternalRelay", Default: false },
  ]),
  limits: present([{ ObservedValue: 10, Threshold: 10_000, EnforcementEnabled: true, Verdict: "Allow" }]),
  mailboxes: flow.senders.map((address) => ({ address, found: present([mailbox]) })),
};
const found = (seen: Partial<Surroundings>, more: Partial<MailFlow> = {}, now = june): Finding[] =>
  interactionFindings({ ...quiet, ...seen }, { ...flow, ...more }, now);
const said = (...given: Parameters<typeof found>): string[] => found(...given).map(({ code, severity }) => `${severity} ${code}`);
const failed = (seen: Partial<Surroundings>): string[] =>
  senderChecks({ ...quiet, ...seen }, flow).flatMap(({ code, status }) => (status === "pass" ? [] : [`${status} ${code}`]));

test("an organisation as an onboarding leaves it gives nothing to say, and passes", () => {
  expect(said({})).toEqual([]);
  expect(failed({})).toEqual([]);
});

test("each domain of the spec is accepted and authoritative, else it is told; other people's domains are nobody's business", () => {
  expect(said({}, { domains: ["contoso.example", "fabrikam.example", "tailspin.example"] })).toEqual([
    "warning AcceptedDomainNotAuthoritative",
    "error AcceptedDomainMissing",
  ]);
  expect(said({ acceptedDomains: unknown("ExchangeBusy", "asks to wait") })).toEqual(["information MailFlowNotRead"]);
});

test("whatever is found has its evidence and its remedy", () => {
  const all = found(
    {
      rules: present([
        rule("stops", 0, { StopRuleProcessing: true, RemoveHeader: "x-IQSUITE-process" }),
        guard(1),
        forwarding(2),
      ]),
      connectionFilter: present([{ Name: "Default", IPAllowList: [], IPBlockList: [] }]),
      organization: present([{ ...configured, IsDehydrated: true, RejectDirectSend: true }]),
      inboundConnectors: present([{ ...inbound, Enabled: false }]),
    },
    { exchangeWebServices: {} },
    november,
  );
  expect(new Set(all.map(({ code }) => code)).size).toBe(all.length);
  for (const { message, remedy } of all) {
    expect(message.length).toBeGreaterThan(40);
    expect(remedy.length).toBeGreaterThan(20);
  }
});

test("the onboarding's page has each code with what to do about it", () => {
  const text = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const sources = text("shared/exchange/findings/interactions.ts") + text("shared/exchange/findings/senders.ts");
  const codes = [...sources.matchAll(/(?:finding\(\s*|budget\(\s*|code(?::| =) )"([A-Z]\w+)"/g)].map(([, code = ""]) => code);
  expect(codes.length).toBeGreaterThan(15);
  const page = text("functions/onboarding/README.md");
  expect(codes.filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
});

describe("rules above ours", () => {
  const above = (more: Record<string, unknown>): Partial<Surroundings> => ({
    rules: present([rule("theirs", 0, more), guard(1), forwarding(2)]),
  });

  test("that stop the processing, lead elsewhere or change the loop header are told, with name and place", () => {
    expect(found(above({ StopRuleProcessing: true }))).toMatchObject([
      { code: "RuleAboveStops", severity: "warning", message: expect.stringMatching(/"theirs" \(priority 0\).*\(2\)/) },
    ]);
    expect(said(above({ RouteMessageOutboundConnector: "Archive" }))).toEqual(["warning RuleAboveReroutes"]);
    expect(said(above({ RedirectMessageTo: ["archive@contoso.example"] }))).toEqual(["warning RuleAboveReroutes"]);
    expect(said(above({ RemoveHeader: "x-iqsuite-PROCESS" }))).toEqual(["error RuleTouchesLoopHeader"]);
    expect(said(above({ SetHeaderName: "X-iqsuite-process", SetHeaderValue: "1" }))).toEqual(["error RuleTouchesLoopHeader"]);
  });

  test("that are switched off, only watched, or do something else are no matter", () => {
    for (const more of [{ State: "Disabled" }, { Mode: "Audit" }])
      expect(said(above({ StopRuleProcessing: true, ...more }))).toEqual([]);
    expect(said(above({ PrependSubject: "[EXTERN] ", RedirectMessageTo: [] }))).toEqual([]);
  });

  test("for any order of any rules, exactly those above ours are told", () => {
    const kinds = fc.array(fc.boolean(), { maxLength: 12 });
    fc.assert(
      fc.property(kinds, kinds, (over, under) => {
        const theirs = (stops: boolean, at: number) => rule(`r${at}`, at, { StopRuleProcessing: stops });
        const place = over.length;
        const rules = [...over.map(theirs), forwarding(place), ...under.map((stops, index) => theirs(stops, place + 1 + index))];
        const names = found({ rules: present(rules) }).map(({ message }) => /"(r\d+)"/.exec(message)?.[1]);
        expect(names).toEqual(over.flatMap((stops, at) => (stops ? [`r${at}`] : [])));
      }),
    );
  });
});

describe("the way back", () => {
  test("RejectDirectSend is harmless while our inbound connector knows the gateways, and an error once it doesn't", () => {
    const organization = present([{ ...configured, RejectDirectSend: true }]);
    expect(said({ organization })).toEqual(["information DirectSendRejected"]);
    expect(said({ organization }, { egressIps: ["203.0.113.7", "203.0.113.8"], connectionFilter: false })).toEqual([
      "error DirectSendRejected",
    ]);
    const second = { ...inbound, Guid: "2", Comment: markerOf(owner, "certificateInboundConnector"), SenderIPAddresses: [] };
    const both = present([
      { ...inbound, SenderIPAddresses: [] },
      { ...second, TlsSenderCertificateName: "gateway.contoso.example" },
    ]);
    expect(said({ organization, inboundConnectors: both })).toEqual(["information DirectSendRejected"]);
    expect(said({ organization, inboundConnectors: present([{ ...inbound, Enabled: false }]) })).toEqual([
      "error ConnectorDisabled",
      "error DirectSendRejected",
    ]);
  });

  test("a disabled connector of ours is told; a stranger's is their own affair", () => {
    expect(said({ inboundConnectors: present([{ ...inbound, Enabled: false }]) })).toEqual(["error ConnectorDisabled"]);
    expect(said({ inboundConnectors: present([inbound, { ...inbound, Comment: "theirs", Enabled: false }]) })).toEqual([]);
  });

  test("who takes addresses off the allow list is guessed from what is left of it", () => {
    const left = (...IPAllowList: string[]) => ({
      connectionFilter: present([{ Name: "Default", IPAllowList, IPBlockList: [] }]),
    });
    expect(found(left())).toMatchObject([
      { code: "AllowListCleared", message: expect.stringContaining("EmptyFilterIPAllowList") },
    ]);
    expect(found(left("198.51.100.9"))).toMatchObject([
      { code: "AllowListCleared", message: expect.stringContaining("just ours") },
    ]);
    expect(said(left(), { onboarded: false })).toEqual([]);
    expect(said(left(), { connectionFilter: false })).toEqual([]);
    expect(said(left("203.0.113.7/32"))).toEqual([]);
  });
});

describe("Exchange Web Services", () => {
  const application = "0e8e0000-0000-4000-8000-00000000000e";
  const ews = (EwsEnabled: boolean | null, EwsAllowedAppIDs: string | null): Partial<Surroundings> => ({
    organization: present([{ ...configured, EwsEnabled, EwsAllowedAppIDs }]),
  });
  const asked = { exchangeWebServices: { applicationId: application } };

  test("are spoken of only where the spec asks for them", () => {
    for (const now of [june, november, after]) expect(said(ews(false, null), {}, now)).toEqual([]);
  });

  test.each([
    ["before they close, undecided", june, ews(null, null), []],
    ["before they close, switched off", june, ews(false, null), ["error EwsSwitchedOff"]],
    ["before they close, with others listed", june, ews(true, "1, 2"), ["warning EwsNotAllowListed"]],
    ["once they have closed, undecided", november, ews(null, application), ["error EwsSwitchedOff"]],
    ["once they have closed, with nobody listed", november, ews(true, null), ["error EwsNotAllowListed"]],
    ["once they have closed, listed", november, ews(true, `1, ${application.toUpperCase()}`), []],
  ])("%s", (_, now, seen, codes) => {
    expect(said(seen, asked, now)).toEqual(["warning EwsEnding", ...codes]);
  });

  test("are gone in the end, whatever is set", () => {
    expect(said(ews(true, application), asked, after)).toEqual(["error EwsEnding"]);
  });
});

describe("what can't be read", () => {
  test("is said, and nothing else about it", () => {
    const dark = unknown("ExchangeBusy", "throttled");
    const seen = { rules: dark, inboundConnectors: dark, connectionFilter: dark, organization: dark };
    expect(found(seen)).toMatchObject([
      { code: "MailFlowNotRead", severity: "information", message: expect.stringContaining("transport rules (ExchangeBusy)") },
    ]);
    expect(failed({ rules: dark, limits: dark, mailboxes: [{ address: "probe@contoso.example", found: dark }] })).toEqual([
      "unknown SenderNotLicensed",
      "unknown SendingLimitReached",
      "unknown TransportRulesFull",
    ]);
  });
});

describe("senders (mission C10)", () => {
  const mailboxes = (...all: (object | undefined)[]): Partial<Surroundings> => ({
    mailboxes: all.map((one, index) => ({
      address: flow.senders[index] ?? "",
      found: present(one === undefined ? [] : [{ ...mailbox, ...one }]),
    })),
  });

  test("need a mailbox with a licence, unless it is of a kind that needs none", () => {
    expect(failed(mailboxes({ SKUAssigned: false }))).toEqual(["fail SenderNotLicensed"]);
    expect(failed(mailboxes({ SKUAssigned: false, RecipientTypeDetails: "SharedMailbox" }))).toEqual([]);
    expect(failed(mailboxes({ SKUAssigned: null }))).toEqual(["unknown SenderNotLicensed"]);
    expect(failed(mailboxes(undefined))).toEqual(["fail ProbeMailboxMissing"]);
    expect(failed(mailboxes({}, undefined))).toEqual(["unknown PilotMailboxMissing"]);
  });

  test("may not have sent as much as the organisation's licences allow", () => {
    const limit = (ObservedValue: number | null) => ({ limits: present([{ ObservedValue, Threshold: 100 }]) });
    expect([limit(99), limit(100), limit(null)].map(failed)).toEqual([
      [],
      ["fail SendingLimitReached"],
      ["unknown SendingLimitReached"],
    ]);
  });
});

describe("budgets of an organisation's rules", () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => rule(`r${at}`, at));

  test("have room for ours, or an onboarding would end halfway; ours that stand need no more", () => {
    expect(failed({ rules: present(many(MOST_RULES - 10)) })).toEqual([]);
    expect(failed({ rules: present(many(MOST_RULES)) })).toEqual(["fail TransportRulesFull"]);
    expect(failed({ rules: present([...many(MOST_RULES - 10), guard(298), forwarding(299)]) })).toEqual([]);
  });

  test("count the characters of words and patterns in conditions and exceptions", () => {
    const long = (length: number) => ({
      rules: present([
        rule("words", 0, {
          ExceptIfSubjectMatchesPatterns: ["x".repeat(length / 2)],
          HeaderContainsWords: ["y".repeat(length / 2)],
        }),
      ]),
    });
    expect(failed(long(MOST_PATTERN_CHARACTERS - 1000))).toEqual([]);
    expect(failed(long(MOST_PATTERN_CHARACTERS))).toEqual(["fail RulePatternsFull"]);
  });
});

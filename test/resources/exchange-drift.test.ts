/**
 * The objects of Exchange Online against chance: whatever an administrator changes of ours is found under its name and repaired by one
 * write of nothing else; and whatever form Exchange shows our own values in, they are our own values.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import { ruleProperties } from "../../shared/exchange/rule-properties.ts";
import { createResources } from "../../shared/resources/index.ts";
import type { PropertyChange, Resource } from "../../shared/resources/resource.ts";
import type { Row } from "./conformance.ts";
import { type Json, startWorld, type World } from "./ground.ts";
import { microsoft365Rows } from "./rows-microsoft365.ts";

const kinds = ["inboundConnector", "outboundConnector", "guardRule", "approvalRule", "forwardingRule", "stripRule"] as const;
type Kind = (typeof kinds)[number];
type Any = Resource<{ organization: string }, { guid: string; name: string }>;

/** What somebody sets, by the property of ours that it spoils, and the parameters of the write that repairs it. */
interface ByHand {
  set: Json;
  repair: string[];
}
const byHand = (set: Json, repair = Object.keys(set)): ByHand => ({ set, repair });

const connector = { enabled: byHand({ Enabled: false }), cloudServicesMailEnabled: byHand({ CloudServicesMailEnabled: true }) };
const rule = {
  mode: byHand({ Mode: "Audit" }),
  stopRuleProcessing: (to: boolean) => byHand({ StopRuleProcessing: to }),
  ruleErrorAction: (to: "Ignore" | "Defer") => byHand({ RuleErrorAction: to }),
};
const changes: Record<Kind, Record<string, ByHand>> = {
  inboundConnector: {
    ...connector,
    senderDomains: byHand({ SenderDomains: ["fabrikam.example"] }),
    senderIpAddresses: byHand({ SenderIPAddresses: ["198.51.100.1"] }),
    efSkipLastIp: byHand({ EFSkipLastIP: false }),
  },
  outboundConnector: {
    ...connector,
    smartHosts: byHand({ SmartHosts: ["elsewhere.example"] }, ["SmartHosts", "UseMXRecord"]),
    tlsSettings: byHand({ TlsSettings: "CertificateValidation" }),
    allAcceptedDomains: byHand({ AllAcceptedDomains: true }),
    routeAllMessagesViaOnPremises: byHand({ RouteAllMessagesViaOnPremises: true }),
    testMode: byHand({ TestMode: true }),
  },
  guardRule: {
    mode: rule.mode,
    stopRuleProcessing: rule.stopRuleProcessing(true),
    ruleErrorAction: rule.ruleErrorAction("Ignore"),
    removeHeader: byHand({ RemoveHeader: "X-Another" }),
    exceptIfSenderIpRanges: byHand({ ExceptIfSenderIpRanges: ["198.51.100.1"] }),
  },
  approvalRule: {
    mode: rule.mode,
    stopRuleProcessing: rule.stopRuleProcessing(true),
    ruleErrorAction: rule.ruleErrorAction("Defer"),
    setScl: byHand({ SetSCL: "5" }),
    fromScope: byHand({ FromScope: "NotInOrganization" }),
    senderIpRanges: byHand({ SenderIpRanges: ["198.51.100.1"] }),
    loopGuid: byHand({ HeaderContainsWords: ["yesterdays-guid"] }, ["HeaderContainsMessageHeader", "HeaderContainsWords"]),
  },
  stripRule: {
    mode: rule.mode,
    stopRuleProcessing: rule.stopRuleProcessing(true),
    ruleErrorAction: rule.ruleErrorAction("Defer"),
    removeHeader: byHand({ RemoveHeader: "X-Another" }),
    sentToScope: byHand({ SentToScope: "InOrganization" }),
  },
  forwardingRule: {
    mode: rule.mode,
    stopRuleProcessing: rule.stopRuleProcessing(false),
    ruleErrorAction: rule.ruleErrorAction("Ignore"),
    loopGuid: byHand({ ExceptIfHeaderContainsWords: ["yesterdays-guid"] }, [
      "ExceptIfHeaderContainsMessageHeader",
      "ExceptIfHeaderContainsWords",
    ]),
    outboundConnector: byHand({ RouteMessageOutboundConnector: "Elsewhere" }),
    exceptEgressIps: byHand({ ExceptIfSenderIpRanges: ["198.51.100.1"] }),
    exceptSizeOver: byHand({ ExceptIfMessageSizeOver: "10 MB" }),
    exceptMessageType: byHand({ ExceptIfMessageTypeMatches: null }),
    exceptReports: byHand({
      ExceptIfHeaderMatchesMessageHeader: "Subject",
      ExceptIfHeaderMatchesPatterns: ["^urgent"],
    }),
  },
};

/** Somebody's own conditions, exceptions and actions, of all that the simulated Exchange Online knows. */
const words = fc.array(fc.stringMatching(/^[a-z]{3,9}$/), { minLength: 1, maxLength: 3 });
const additions: Record<string, fc.Arbitrary<unknown>> = {
  SubjectContainsWords: words,
  ExceptIfSubjectContainsWords: words,
  SubjectMatchesPatterns: words,
  ExceptIfFromAddressMatchesPatterns: words,
  SCLOver: fc.integer({ min: 0, max: 9 }).map(String),
  ExceptIfSCLOver: fc.integer({ min: 0, max: 9 }).map(String),
  SentToScope: fc.constantFrom("InOrganization", "NotInOrganization"),
  ExceptIfFromScope: fc.constantFrom("InOrganization", "NotInOrganization"),
  RecipientDomainIs: fc.constant(["fabrikam.example"]),
  ExceptIfSenderDomainIs: fc.constant(["fabrikam.example"]),
  ExceptIfSentTo: fc.constant(["sales@contoso.example"]),
  MessageSizeOver: fc.integer({ min: 1, max: 150 }).map((size) => `${size} MB`),
  MessageTypeMatches: fc.constantFrom("Calendaring", "Signed"),
  PrependSubject: fc.constant("[checked] "),
  DeleteMessage: fc.constant(true),
  ActivationDate: fc.constant("2031-01-01T00:00:00.0000000Z"),
  ExpiryDate: fc.constant("2026-01-01T00:00:00.0000000Z"),
};
const someAdditions = fc
  .subarray(Object.keys(additions), { maxLength: 4 })
  .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, additions[name] ?? fc.constant(null)]))));

/** Each is some requests. */
const RUNS = 6;

const nounOf = (kind: Kind): string =>
  ({ inboundConnector: "InboundConnector", outboundConnector: "OutboundConnector" })[kind as string] ?? "TransportRule";
const isRule = (kind: Kind): boolean => nounOf(kind) === "TransportRule";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

interface Made {
  desired: { organization: string };
  resource: Any;
  set(parameters: Json): Promise<unknown>;
}
const standing = new Map<Kind, Promise<Made>>();
const made = (kind: Kind): Promise<Made> => {
  const known = standing.get(kind) ?? make(kind);
  standing.set(kind, known);
  return known;
};
async function make(kind: Kind): Promise<Made> {
  const row = microsoft365Rows[kind] as unknown as Row<{ organization: string }, object>;
  const desired = await row.prepare(world);
  const { guid } = (await world.ensure(kind, desired as never)) as { guid: string };
  const caller = await world.exchange(desired.organization);
  return {
    desired,
    resource: world.resources[kind] as unknown as Any,
    set: (parameters) => caller.run(`Set-${nounOf(kind)}`, { Identity: guid, ...parameters }),
  };
}

async function differences({ resource, desired }: Pick<Made, "resource" | "desired">): Promise<PropertyChange[]> {
  const observed = await resource.observe(desired);
  if (observed.state !== "present") throw new Error(`${resource.kind} is ${JSON.stringify(observed)}`);
  return resource.diff(desired, observed.actual);
}

let last = 0;
const sinceOf = async (): Promise<number> => (last = (await world.clouds.requests("exchange", last)).at(-1)?.seq ?? last);

describe.each(kinds)("%s", (kind) => {
  test("whatever is changed by hand is found under its name, and repaired by one write that says nothing else", async () => {
    const { desired, resource, set } = await made(kind);
    const known = changes[kind];
    const ours = new Set(Object.values(known).flatMap(({ set: properties }) => Object.keys(properties)));
    const spoiled = fc
      .tuple(fc.subarray(Object.keys(known)), isRule(kind) ? someAdditions : fc.constant({}))
      .filter(([names, added]) => names.length + Object.keys(added).length > 0);
    await fc.assert(
      fc.asyncProperty(spoiled, async ([names, wanted]) => {
        const own = names.map((name) => known[name] ?? byHand({}));
        const added: Json = Object.fromEntries(Object.entries(wanted).filter(([name]) => !ours.has(name)));
        fc.pre(own.length > 0 || Object.keys(added).length > 0);
        await set(Object.assign({}, ...own.map((one) => one.set), added));
        const found = await differences({ resource, desired });
        const expected = [...names, ...(Object.keys(added).length > 0 ? ["addedByOthers"] : [])];
        expect(found.map(({ path }) => path).toSorted()).toEqual(expected.toSorted());
        const theirs = found.find(({ path }) => path === "addedByOthers");
        expect(Object.keys(theirs?.from ?? {}).toSorted()).toEqual(Object.keys(added).toSorted());

        const before = await sinceOf();
        await world.ensure(kind, desired as never);
        const writes = (await world.clouds.requests("exchange", before)).filter(({ effect }) => effect === "write");
        const sent = writes.map(
          ({ requestBody }) => (requestBody as { CmdletInput: { CmdletName: string; Parameters: Json } }).CmdletInput,
        );
        expect(sent.map(({ CmdletName }) => CmdletName)).toEqual([`Set-${nounOf(kind)}`]);
        const { Identity: _identity, ...parameters } = sent[0]?.Parameters ?? {};
        expect(Object.keys(parameters).toSorted()).toEqual(
          [...new Set([...own.flatMap(({ repair }) => repair), ...Object.keys(added)])].toSorted(),
        );
        expect(await differences({ resource, desired })).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test("whatever form Exchange Online shows them in, our own values are no drift", async () => {
    const { desired } = await made(kind);
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat()), async (chance) => {
        const { azure, vaults, graph, credentials } = world;
        const { environment } = world.clouds;
        const exchange: Exchange = createExchange({ environment, credentials, fetch: shownOtherwise(chance) });
        const resources = createResources({ ...world, azure, vaults, graph, exchange });
        expect(await differences({ resource: resources[kind] as unknown as Any, desired })).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});

/** Reaches the simulated Exchange Online, and changes of its answers what the real one is known to show in several forms. */
const shownOtherwise =
  (chance: fc.Stream<number>): typeof fetch =>
  async (url, init) => {
    const response = await fetch(url, init);
    const { value, ...rest } = (await response.json()) as { value?: Json[] };
    const sometimes = (): boolean => (chance.next().value ?? 0) % 2 === 0;
    const body = JSON.stringify({ ...rest, value: value?.map((object) => otherwise(object, sometimes)) });
    return new Response(body, { status: response.status, headers: response.headers });
  };

const addresses = new Set(["SenderIPAddresses", "SenderIpRanges", "ExceptIfSenderIpRanges"]);
const people = new Set(["From", "SentTo", "SenderDomains", "SmartHosts"]);
const unset: string[] = [...ruleProperties.filter((name) => name !== "DeleteMessage"), "SenderIPAddresses", "TlsDomain"];

function otherwise(object: Json, sometimes: () => boolean): Json {
  const shown = Object.entries(object).flatMap(([name, value]): [string, unknown][] => {
    if (Array.isArray(value) && value.length > 0) return [[name, listOtherwise(name, value.map(String), sometimes)]];
    if (value === null || (Array.isArray(value) && value.length === 0)) return missingOtherwise(name, sometimes);
    if (name === "SetSCL") return [[name, sometimes() ? Number(value) : value]];
    if (name === "UseMXRecord") return [[sometimes() ? "UseMxRecord" : name, value]];
    if (name === "Comment" || name === "Comments") return [[name, sometimes() ? `${value as string}\r\n` : value]];
    // A switch that is off may not be shown at all.
    if (value === false && name !== "Enabled") return sometimes() ? [[name, value]] : [[name, null]];
    return [[name, value]];
  });
  const noise = sometimes() ? { "From@odata.type": "#Collection(String)", "Name@data.type": "System.String" } : {};
  return { ...Object.fromEntries(shown), ...noise };
}

function listOtherwise(name: string, values: string[], sometimes: () => boolean): string[] {
  const shaped = values.map((value) => {
    if (addresses.has(name)) return sometimes() ? `${value.replace(/\/32$/, "")}/32` : value;
    if (name === "SenderDomains" && !value.startsWith("smtp:")) return sometimes() ? `smtp:${value};1` : value;
    if (name === "SmartHosts" && sometimes()) return `${value}.`;
    return people.has(name) && sometimes() ? value.toUpperCase() : value;
  });
  const repeated = people.has(name) && sometimes() ? [...shaped, ...shaped] : shaped;
  return sometimes() ? repeated.toReversed() : repeated;
}

/** Never set: null, an empty list, an empty text, or not there. */
function missingOtherwise(name: string, sometimes: () => boolean): [string, unknown][] {
  if (!unset.includes(name)) return [[name, null]];
  if (sometimes()) return [];
  const list = /Words|Patterns|From$|SentTo$|MemberOf|Ranges|Addresses|DomainIs/.test(name);
  return [[name, sometimes() ? null : list ? [] : ""]];
}

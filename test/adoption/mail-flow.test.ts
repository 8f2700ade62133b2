/** What a person made is told by what it does: which connectors and rules are meant, and whose mail runs. */
import { expect, test } from "vitest";
import { addressesNamed, approving, deliveringTo, meant, routingBy, stageBy } from "../../functions/adoption/mail-flow.ts";
import { markedComment, markerOf, ownAmong } from "../../shared/exchange/ownership.ts";
import { outboundConnectorSchema, transportRuleSchema } from "../../shared/exchange/cmdlets.ts";

const address = {
  id: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/ip",
  ipAddress: "203.0.113.7",
  fqdn: "iqsuite.westeurope.cloudapp.azure.example",
  dnsLabel: "iqsuite",
  usedBy: "",
};
const domains = ["contoso.example", "contoso.test"];
const connector = (Name: string, ...SmartHosts: string[]) =>
  outboundConnectorSchema.parse({ Guid: `guid-of-${Name}`, Name, SmartHosts });
const rule = (Name: string, more: Record<string, unknown> = {}) =>
  transportRuleSchema.parse({ Guid: `guid-of-${Name}`, Name, State: "Enabled", Mode: "Enforce", Priority: 0, ...more });

test("a connector delivers to an address by its name, by itself, or in brackets; another's name is nobody of ours", () => {
  const ours = [
    connector("by name", "IQSuite.westeurope.cloudapp.azure.example."),
    connector("by address", "[203.0.113.7]"),
    connector("both", address.ipAddress, address.fqdn),
  ];
  expect(deliveringTo([...ours, connector("elsewhere", "mail.fabrikam.example"), connector("nowhere")], [address])).toEqual(ours);
  expect(addressesNamed([address.ipAddress, address.fqdn], [address])).toEqual([address]);
});

test("a rule routes by a connector's name or its GUID", () => {
  const rules = [
    rule("a", { RouteMessageOutboundConnector: "To VM" }),
    rule("b", { RouteMessageOutboundConnector: "guid-of-To VM" }),
  ];
  expect(routingBy([...rules, rule("c"), rule("d", { RouteMessageOutboundConnector: "Other" })], connector("To VM"))).toEqual(
    rules,
  );
});

test("only what spares the gateway's own mail approves it", () => {
  const approves = rule("approves", { SenderIpRanges: ["203.0.113.7/32"], SetSCL: -1 });
  const others = [
    rule("scl 5", { SenderIpRanges: ["203.0.113.7"], SetSCL: 5 }),
    rule("elsewhere", { SenderIpRanges: ["198.51.100.1"], SetSCL: -1 }),
  ];
  expect(approving([approves, ...others], address.ipAddress)).toEqual([approves]);
});

test("one is meant where there is one, or where it is chosen; a choice that is none of them is nothing", () => {
  const [one, other] = [connector("One"), connector("Other")];
  expect(meant([one], undefined)).toEqual({ one, candidates: [one] });
  expect(meant([one, other], undefined)).toEqual({ candidates: [one, other] });
  expect(meant([one, other], "GUID-OF-OTHER").one).toBe(other);
  expect(meant([one, other], "third")).toEqual({ candidates: [] });
});

test.each([
  ["without a condition, everybody's", {}, "live"],
  ["of everybody inside", { FromScope: "InOrganization" }, "live"],
  ["of all the tenant's domains", { SenderDomainIs: ["CONTOSO.example", "contoso.test"] }, "live"],
  ["of one of two domains", { SenderDomainIs: ["contoso.example"] }, "pilot"],
  ["of one address", { From: ["pilot@contoso.example"] }, "pilot"],
  ["to a group", { SentToMemberOf: ["pilots@contoso.example"] }, "pilot"],
  ["of everybody inside whose subject says so", { FromScope: "InOrganization", SubjectContainsWords: ["test"] }, "pilot"],
  ["of nobody: it is switched off", { State: "Disabled" }, undefined],
  ["of nobody: it is only tested", { Mode: "Audit" }, undefined],
])("a rule that forwards mail %s", (_whose, settings, stage) => {
  expect(stageBy(rule("forwarding", settings), domains)).toBe(stage);
});

const owner = { partnerId: "northwind", tenantId: "contoso" };
const wanted = { name: "Ours", marker: markerOf(owner, "inboundConnector"), what: "connector" };
const found = (Comment: string | null) => ({ Name: "By hand", Guid: "1", Comment });
const commentOf = ({ Comment }: ReturnType<typeof found>) => Comment;

test("an object counts as ours before it is marked only when it is named, and never when it is another tenant's", () => {
  expect(ownAmong([found("by hand")], wanted, commentOf)).toBeUndefined();
  expect(ownAmong([found("by hand")], { ...wanted, adopting: "1" }, commentOf)).toBeDefined();
  const theirs = found(markerOf({ partnerId: "tailspin", tenantId: "contoso" }, "inboundConnector"));
  expect(() => ownAmong([theirs], { ...wanted, adopting: "1" }, commentOf)).toThrow("marks of another tenant");
});

test("the person's words stay before the mark, as far as Exchange has room", () => {
  expect(markedComment(null, wanted.marker)).toBe(wanted.marker);
  expect(markedComment(" by hand ", wanted.marker)).toBe(`by hand; ${wanted.marker}`);
  const long = markedComment("x".repeat(2000), wanted.marker);
  expect(long).toHaveLength(1024);
  expect(long.endsWith(wanted.marker)).toBe(true);
});

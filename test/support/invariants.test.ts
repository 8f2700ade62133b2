/** The checker catches what it is there for: mutants of a run that was recorded just now, each wrong in one thing. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { violations } from "./invariants.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "./onboarding.ts";

const contoso = customer("contoso");
let platform: OnboardingPlatform;
/** Up to where the tenant leaves; and its whole life. */
let record: Exchange[];
let life: Exchange[];
beforeAll(async () => {
  platform = await startOnboarding({ settings: { OFFBOARDING_SETTLE: "PT0.1S" } });
  expect(await platform.onboard(contoso)).toMatchObject({ status: "Succeeded" });
  const { tenantId } = contoso;
  await platform.fire("sweepCredentials");
  await untilRotated(2);
  await platform.northwind.rotateCredential({ tenantId, name: "clientSecret" });
  await untilRotated(3);
  await succeeded(platform.northwind.startPromotion({ tenantId }));
  record = await platform.record();
  await succeeded(platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } }));
  life = await platform.record();
});
afterAll(() => platform.stop());

async function untilRotated(generation: number): Promise<void> {
  for (;;) {
    const [credential] = (await platform.northwind.listCredentials({ tenantId: contoso.tenantId })).body.value;
    if (credential?.generation === generation && !credential.operationId) return;
    await pause(100);
  }
}

const succeeded = async (asked: Promise<{ body: Operation }>): Promise<void> =>
  expect((await platform.untilEnded((await asked).body)).error).toBeUndefined();

/** A run that was recorded, but for what `change` does to a copy of it. */
type Mutation = (record: Exchange[]) => Exchange[];

interface Cmdlet {
  CmdletName: string;
  Parameters: Record<string, unknown>;
}
const cmdletOf = ({ requestBody }: Exchange): Cmdlet | undefined =>
  (requestBody as { CmdletInput?: Cmdlet } | undefined)?.CmdletInput;
const runs =
  (name: string, where: (parameters: Record<string, unknown>) => boolean = () => true) =>
  (exchange: Exchange): boolean => {
    const cmdlet = cmdletOf(exchange);
    return cmdlet?.CmdletName === name && where(cmdlet.Parameters);
  };
const asks =
  (cloud: string, method: string, path: RegExp) =>
  (exchange: Exchange): boolean =>
    exchange.cloud === cloud && exchange.method === method && path.test(exchange.url);

/** Each of these insists that it changes something: a mutant that is the original proves nothing. */
function without(concerns: (exchange: Exchange) => boolean): Mutation {
  return (all) => {
    expect(all.some(concerns)).toBe(true);
    return all.filter((exchange) => !concerns(exchange));
  };
}
function changed(concerns: (exchange: Exchange) => boolean, change: (exchange: Exchange) => void): Mutation {
  return (all) => {
    expect(all.some(concerns)).toBe(true);
    for (const exchange of all.filter(concerns)) change(exchange);
    return all;
  };
}
/** The first of one kind happens right before the first of another. */
function moved(what: (exchange: Exchange) => boolean, before: (exchange: Exchange) => boolean): Mutation {
  return (all) => {
    const one = all.find(what);
    if (!one) throw new Error("there is nothing to move");
    const rest = all.filter((exchange) => exchange !== one);
    const at = rest.findIndex(before);
    expect(at).toBeGreaterThan(-1);
    return [...rest.slice(0, at), one, ...rest.slice(at)];
  };
}
/** Something that did not happen: what `make` says right before the first of `before`. */
function inserted(make: (all: Exchange[]) => Exchange[], before: (exchange: Exchange) => boolean): Mutation {
  return (all) => {
    const at = all.findIndex(before);
    expect(at).toBeGreaterThan(-1);
    return [...all.slice(0, at), ...make(all), ...all.slice(at)];
  };
}
/** Happens once more at the end. */
function repeated(what: (exchange: Exchange) => boolean): Mutation {
  return (all) => {
    const one = all.findLast(what);
    if (!one) throw new Error("there is nothing to repeat");
    return [...all, structuredClone(one)];
  };
}

const parametersOf = (exchange: Exchange): Record<string, unknown> => cmdletOf(exchange)?.Parameters ?? {};
const bodyOf = ({ requestBody }: Exchange) => requestBody as { location?: string; properties: Record<string, unknown> };
const forwards = runs("New-TransportRule", (parameters) => "RouteMessageOutboundConnector" in parameters);
const approves = runs("New-TransportRule", (parameters) => "SetSCL" in parameters);
const widens = runs("Set-TransportRule", (parameters) => "From" in parameters);
const probeSeen = (exchange: Exchange): boolean =>
  asks("graph", "GET", /\/messages\?/)(exchange) && JSON.stringify(exchange.responseBody).includes("X-iqsuite-process");

const takesEverybody = runs("New-TransportRule", (parameters) => "SenderDomainIs" in parameters);
const removesForwarding = runs("Remove-TransportRule");
const removesGroup = asks("arm", "DELETE", /\/resource[gG]roups\/[^/]+\?/);
const appliesSecret = asks("arm", "PUT", /\/runCommands\/gatehouse-set-3/);
const revokes = asks("graph", "POST", /\/removePassword/);
const seenAround = (exchange: Exchange): boolean =>
  asks("graph", "GET", /%20around%20/)(exchange) && JSON.stringify(exchange.responseBody).includes("internetMessageHeaders");
/** Of what the gateway sent on, the mail with which everybody's way was proven. */
const sentOn = (exchange: Exchange): boolean =>
  asks("mail", "SMTP", /mail\.protection/)(exchange) && JSON.stringify(exchange.requestBody).includes("liveProbeMail");

const exchange = (more: Partial<Exchange>): Exchange => ({
  seq: 0,
  at: "",
  cloud: "dns",
  method: "QUERY",
  url: "",
  status: 0,
  responseHeaders: {},
  effect: "none",
  ...more,
});
/** What a list says of the first address of the simulated Azure. */
const listing = (responseBody: string[]): Exchange =>
  exchange({ url: "dns:10.113.0.203.psbl.surriel.com?type=A", status: responseBody.length > 0 ? 0 : 3, responseBody });
function stopped(all: Exchange[]): Exchange[] {
  const [vm] = all.filter(asks("arm", "PUT", /\/virtualMachines\/[^/]+\?/));
  const url = vm?.url ?? "";
  const statuses = [{ code: "PowerState/deallocated" }];
  const responseBody = { id: new URL(url).pathname, properties: { instanceView: { statuses } } };
  return [exchange({ cloud: "arm", method: "GET", url, status: 200, responseBody })];
}
function unreachable(all: Exchange[]): Exchange[] {
  const failed = structuredClone(all.filter(runs("Validate-OutboundConnector")).slice(0, 1));
  for (const one of failed) one.responseBody = { value: [{ IsTaskSuccessful: false, TlsUsed: false }] };
  return failed;
}
/** The rule that approves, by the GUID that Exchange Online has given it. */
function removesApproval(all: Exchange[]): (exchange: Exchange) => boolean {
  const { value: [rule] = [] } = (all.find(approves)?.responseBody ?? {}) as { value?: { Guid: string }[] };
  return runs("Remove-TransportRule", ({ Identity }) => Identity === rule?.Guid);
}
/** The last secret once more, under another id: made and stored. */
function oneMoreSecret(all: Exchange[]): Exchange[] {
  const [made, stored] = [asks("graph", "POST", /\/addPassword/), asks("vault", "PUT", /webclient-client-secret/)].map((one) =>
    all.findLast(one),
  );
  const { keyId = "" } = (made?.responseBody ?? {}) as { keyId?: string };
  expect(keyId).not.toBe("");
  return JSON.parse(JSON.stringify([made, stored]).replaceAll(keyId, "ffffffff-0000-4000-8000-000000000000")) as Exchange[];
}

test("the run itself violates nothing", () => {
  expect(violations(numbered(structuredClone(life)), contoso.watched)).toEqual([]);
});

describe.each<[number, string, Mutation]>([
  [1, "the forwarding rule concerns everybody from birth", changed(forwards, (one) => delete parametersOf(one)["From"])],
  [
    1,
    "the forwarding rule has the pilot in it from birth",
    changed(forwards, (one) => (parametersOf(one)["From"] = ["pilot@contoso.example"])),
  ],
  [1, "its senders are cleared before the proof", moved(widens, asks("graph", "POST", /\/sendMail/))],
  [
    1,
    "clearing the senders counts as widening",
    (all) => moved(widens, runs("Validate-OutboundConnector"))(changed(widens, (one) => (parametersOf(one)["From"] = null))(all)),
  ],
  [1, "nobody validated the outbound connector", without(runs("Validate-OutboundConnector"))],
  [
    1,
    "the connector's validation failed",
    changed(runs("Validate-OutboundConnector"), (one) => {
      one.responseBody = { value: [{ IsTaskSuccessful: false, TlsUsed: true }] };
    }),
  ],
  [
    1,
    "the connector's validation met no STARTTLS",
    changed(runs("Validate-OutboundConnector"), (one) => {
      one.responseBody = { value: [{ IsTaskSuccessful: true, TlsUsed: false }] };
    }),
  ],
  [1, "no probe mail came back", without(probeSeen)],
  [
    1,
    "the probe mail had another tenant's header",
    changed(probeSeen, (one) => {
      one.responseBody = JSON.parse(JSON.stringify(one.responseBody).replaceAll("[redacted]", "somebody-else")) as unknown;
    }),
  ],
  [1, "the probe mail was another organisation's", changed(probeSeen, (one) => (one.tenant = "another"))],
  [
    1,
    "the inbound connector was never read back",
    (all) => withoutAfter(all, runs("New-InboundConnector"), runs("Get-InboundConnector")),
  ],
  [1, "the approval rule was never read back", (all) => withoutAfter(all, approves, runs("Get-TransportRule"), widens)],
  [1, "the approval rule was changed after it was read back", moved(approves, widens)],
  [2, "a second loop GUID was made", repeated(asks("vault", "PUT", /\/secrets\/loop-guid/))],
  [
    2,
    "a rule has a GUID that no vault has",
    changed(forwards, (one) => (parametersOf(one)["ExceptIfHeaderContainsWords"] = ["0ff1ce00-0000-4000-8000-000000000000"])),
  ],
  [
    3,
    "the outbound connector took everybody's mail at birth",
    changed(runs("New-OutboundConnector"), (one) => (parametersOf(one)["IsTransportRuleScoped"] = false)),
  ],
  [
    3,
    "the outbound connector said nothing of its scope",
    changed(runs("New-OutboundConnector"), (one) => delete parametersOf(one)["IsTransportRuleScoped"]),
  ],
  [
    4,
    "a network interface without a security group",
    changed(asks("arm", "PUT", /\/networkInterfaces\//), (one) => delete bodyOf(one).properties["networkSecurityGroup"]),
  ],
  [4, "a VM without a place", changed(asks("arm", "PUT", /\/virtualMachines\/[^/]+\?/), (one) => delete bodyOf(one).location)],
  [
    4,
    "a VM that is moved",
    (all) => {
      const [vm] = structuredClone(all.filter(asks("arm", "PUT", /\/virtualMachines\/[^/]+\?/)));
      if (!vm) throw new Error("there is no VM");
      bodyOf(vm).location = "northeurope";
      return [...all, { ...vm, status: 200 }];
    },
  ],
  [
    7,
    "the directory was written before the domains were seen",
    moved(asks("graph", "PATCH", /\/applications/), asks("graph", "GET", /\/domains/)),
  ],
  [
    7,
    "Exchange was written before the domains were seen",
    moved(runs("New-InboundConnector"), asks("graph", "GET", /\/domains/)),
  ],
  [7, "nobody looked whose the domains are", without(asks("graph", "GET", /\/domains\?/))],
  [
    7,
    "a declared domain was not verified there",
    changed(asks("graph", "GET", /\/domains\?/), (one) => {
      one.responseBody = { value: [{ id: "contoso.example", isVerified: false }] };
    }),
  ],
  [
    7,
    "the domains were looked up in another organisation",
    changed(asks("graph", "GET", /\/domains\?/), (one) => (one.tenant = "another")),
  ],
  [8, "a VM was made twice", repeated(asks("arm", "PUT", /\/virtualMachines\/[^/]+\?/))],
  [8, "a rule was made twice", repeated(forwards)],
  [8, "a permission was granted twice", repeated(asks("graph", "POST", /\/appRoleAssignedTo/))],
  [8, "the administrator's password was made twice", repeated(asks("vault", "PUT", /gateway-admin-password/))],
  [8, "a client secret of one generation was stored twice", repeated(asks("vault", "PUT", /webclient-client-secret/))],
  [8, "a probe mail was sent again although it had arrived", repeated(asks("graph", "POST", /\/sendMail/))],
])("invariant %i", (invariant, what, mutate) => {
  test(`is violated when ${what}`, () => {
    const found = violations(numbered(mutate(structuredClone(record))), contoso.watched);
    expect(found.map((violation) => violation.invariant)).toContain(invariant);
  });
});

describe.each<[number, string, Mutation]>([
  [5, "everybody's mail was sent to an address that a blocklist has", inserted(() => [listing(["127.0.0.2"])], takesEverybody)],
  [5, "everybody's mail was sent to a machine that was last seen stopped", inserted(stopped, takesEverybody)],
  [5, "Exchange Online could not talk to the gateway", inserted(unreachable, takesEverybody)],
  [6, "the outbound connector went before the rule", moved(runs("Remove-OutboundConnector"), removesForwarding)],
  [6, "the inbound connector went before the rule", moved(runs("Remove-InboundConnector"), removesForwarding)],
  [6, "the approval rule went before the rule that forwards", (all) => moved(removesApproval(all), removesForwarding)(all)],
  [6, "the machine went before the rule", moved(removesGroup, removesForwarding)],
  [6, "nobody saw mails go round the gateway", without(seenAround)],
  [6, "a mail never left the gateway that was removed", without(sentOn)],
  [6, "the address went while mail from it was still accepted", moved(removesGroup, runs("Remove-InboundConnector"))],
  [
    6,
    "the guard rule did not have the gateway's address",
    changed(
      runs("New-TransportRule", (parameters) => "RemoveHeader" in parameters && "ExceptIfSenderIpRanges" in parameters),
      (one) => (parametersOf(one)["ExceptIfSenderIpRanges"] = ["203.0.113.99"]),
    ),
  ],
  [9, "the old secret was revoked before the machine had the new one", moved(revokes, appliesSecret)],
  [9, "three secrets were valid", inserted(oneMoreSecret, revokes)],
  [9, "the machine was given the old one back", inserted((all) => all.filter(asks("arm", "PUT", /-set-2-/)), takesEverybody)],
])("invariant %i", (invariant, what, mutate) => {
  test(`is violated when ${what}`, () => {
    const found = violations(numbered(mutate(structuredClone(life))), contoso.watched);
    expect(found.map((violation) => violation.invariant)).toContain(invariant);
  });
});

test("an address that a blocklist had, and has no more, may have everybody's mail", () => {
  const cleared = inserted(() => [listing(["127.0.0.2"]), listing([])], takesEverybody);
  expect(violations(numbered(cleared(structuredClone(life))), contoso.watched)).toEqual([]);
});

test("a write that had no effect violates nothing", () => {
  const refused = { ...structuredClone(record.find(forwards)), effect: "none", status: 503 } as Exchange;
  delete parametersOf(refused)["From"];
  expect(violations(numbered([...structuredClone(record), refused]), contoso.watched)).toEqual([]);
});

test("a probe mail whose answer was lost may be sent once more while it is under way", () => {
  const all = structuredClone(record);
  const at = all.findIndex(asks("graph", "POST", /\/sendMail/));
  const twice = [...all.slice(0, at), structuredClone(all[at] as Exchange), ...all.slice(at)];
  expect(violations(numbered(twice), contoso.watched)).toEqual([]);
  const thrice = [...twice.slice(0, at), structuredClone(all[at] as Exchange), ...twice.slice(at)];
  expect(violations(numbered(thrice), contoso.watched)).toMatchObject([{ invariant: 8 }]);
});

test("a VM that was taken away may be made elsewhere; one that was not stays where it is", () => {
  const [vm] = structuredClone(record.filter(asks("arm", "PUT", /\/virtualMachines\/[^/]+\?/)));
  if (!vm) throw new Error("there is no VM");
  bodyOf(vm).location = "northeurope";
  const elsewhere = { ...vm, status: 200 };
  const removed = { ...vm, method: "DELETE", status: 202 };
  const found = violations(numbered([...record, removed, elsewhere]), contoso.watched);
  expect(found.map(({ invariant }) => invariant)).not.toContain(4);
  expect(violations(numbered([...record, elsewhere]), contoso.watched)).toMatchObject([{ invariant: 4 }]);
});

/** What concerns `what` is left out between the first `after` and the first `before`. */
function withoutAfter(
  all: Exchange[],
  after: (exchange: Exchange) => boolean,
  what: (exchange: Exchange) => boolean,
  before: (exchange: Exchange) => boolean = () => false,
): Exchange[] {
  const from = all.findIndex(after);
  const until = all.findIndex(before);
  const kept = all.filter((exchange, index) => !(what(exchange) && index > from && (until === -1 || index < until)));
  expect(kept.length).toBeLessThan(all.length);
  return kept;
}

const numbered = (all: Exchange[]): Exchange[] => all.map((exchange, index) => ({ ...exchange, seq: index + 1 }));

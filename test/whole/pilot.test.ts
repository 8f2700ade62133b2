/** A pilot of groups in both directions, and canary mails in the proof: an onboarding with all of it, and what it leaves. */
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import type { Group, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { exchangeOf } from "../support/exchange.ts";
import { violations } from "../support/invariants.ts";
import { type Customer, customer, customerOf, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

const outside = { tenantId: "c0ffee00-0000-4000-8000-00000000000f", address: "canary@canary.example" };
let platform: OnboardingPlatform;
let contoso: Customer;
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding({ settings: { CANARY_MAILBOX: `${outside.tenantId}/${outside.address}` } });
  await platform.clouds.organize({ tenantId: outside.tenantId, domains: ["canary.example"], mailboxes: [outside.address] });
  await platform.clouds.consent(outside.tenantId);
  // The platform's own mailbox has been open for long.
  const { environment, application } = platform.clouds;
  const graph = createGraph({ environment, credentials: createCredentials(environment, application) });
  for (let look = 0; look < 5; look++)
    await graph.get(outside.tenantId, `/users/${outside.address}/messages`, z.unknown()).catch(() => undefined);
  const { tenantId, body } = customer("contoso");
  const pilot = { addresses: body.pilot.addresses ?? [], groups: ["pilots@contoso.example"], incoming: true };
  contoso = customerOf(tenantId, { ...body, pilot, canary: true, forwarding: { largestMessageInMegabytes: 35 } });
  await platform.organize(contoso);
  const { organization } = contoso.watched;
  await platform.clouds.consent(organization);
  const guid = "9a0b0000-0000-4000-8000-000000000001";
  const when = { whenCreated: "2026-01-01T00:00:00Z", whenChanged: "2026-01-01T00:00:00Z" };
  const group = { tenantId: organization, guid, name: "Pilots", address: "pilots@contoso.example", members: [], security: false };
  platform.clouds.platform.collection<Group>("exchange.groups").set(`${organization}/${guid}`, { ...group, ...when });
  operation = await platform.onboard(contoso);
});
afterAll(() => platform.stop());

const rules = (): TransportRule[] =>
  platform.clouds.platform
    .collection<TransportRule>("exchange.transport-rules")
    .values()
    .filter(({ tenantId }) => tenantId === contoso.watched.organization)
    .toSorted((one, other) => one.priority - other.priority);

test("guard, four ways of forwarding, approval and strip stand in this order; each way has its scope", () => {
  expect(operation.error).toBeUndefined();
  expect(
    rules().map(({ name, settings }) => [
      name,
      settings["From"] ?? settings["FromMemberOf"] ?? settings["SentTo"] ?? settings["SentToMemberOf"],
    ]),
  ).toEqual([
    ["Guard loop header of own Azure VM", undefined],
    ["Route all Mails to own Azure VM", ["gatehouse-probe@contoso.example", "pilot@contoso.example"]],
    ["Route all Mails to own Azure VM, groups", ["pilots@contoso.example"]],
    ["Route all Mails to own Azure VM, incoming", ["gatehouse-probe@contoso.example", "pilot@contoso.example"]],
    ["Route all Mails to own Azure VM, incoming, groups", ["pilots@contoso.example"]],
    ["Approve all Mails from own SMTP Server on Azure VM", undefined],
    ["Strip loop header of own Azure VM", undefined],
  ]);
});

test("the result says what a mail in each direction showed, and that nobody may trace it", () => {
  const { proof, pilots } = operation.result as { pilots: string[]; proof: { canary: Record<string, unknown>[] } };
  expect(pilots).toEqual(["pilot@contoso.example", "pilots@contoso.example"]);
  expect(
    proof.canary.map(({ direction, verdict, throughGateway, loopHeaders }) => [direction, verdict, throughGateway, loopHeaders]),
  ).toEqual([
    ["internal", "pass", 1, 1],
    ["out", "pass", 1, 0],
    ["in", "pass", 1, 1],
  ]);
  for (const { trace } of proof.canary) expect(trace).toMatchObject({ verdict: "unknown" });
  expect(operation.steps.find(({ name }) => name === "canaryMail")).toMatchObject({ status: "Succeeded" });
});

test("nobody's mail but the probe mailbox's moved before the proof, in either direction", async () => {
  expect(violations(await platform.record(), contoso.watched)).toEqual([]);
});

test("onboarded again, nothing is written, nothing is sent, and the evidence stands", async () => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(again.result).toEqual(operation.result);
});

test("ways that the spec has no more are removed by the plan, closed the widest first, and stay closed; other people's rules stay", async () => {
  const { tenantId, body } = contoso;
  const promoted = (await platform.northwind.startPromotion({ tenantId })).body;
  expect((await platform.untilEnded(promoted)).error).toBeUndefined();
  const theirs = await exchangeOf(platform.clouds, contoso.watched.organization);
  await platform.asStranger(() =>
    theirs.run("New-TransportRule", {
      Name: "Theirs",
      SubjectContainsWords: ["secret"],
      SetHeaderName: "X-Theirs",
      SetHeaderValue: "1",
    }),
  );
  await platform.northwind.putTenant({ tenantId, body: { ...body, pilot: { addresses: body.pilot.addresses ?? [] } } });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  const going = ["incomingDomainForwardingRule", "incomingGroupForwardingRule", "groupForwardingRule", "incomingForwardingRule"];
  expect(plan.resources.filter(({ action }) => action !== "none").map(({ kind, action }) => [kind, action])).toEqual(
    going.map((kind) => [kind, "remove"]),
  );

  const before = await platform.now();
  const closed = await platform.untilEnded(await platform.start(contoso));
  expect(closed.error).toBeUndefined();
  expect(closed.steps.filter(({ change }) => change === "removed").map(({ name }) => name)).toEqual(
    going.map((kind) => `drop${kind.charAt(0).toUpperCase()}${kind.slice(1)}`),
  );
  const cmdlets = (await platform.record(before)).flatMap(({ effect, requestBody }) => {
    const { CmdletInput: input } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string } };
    return effect === "write" && input ? [input.CmdletName] : [];
  });
  expect(cmdlets).toEqual(["Validate-OutboundConnector", ...going.map(() => "Remove-TransportRule")]);
  expect(rules().map(({ name }) => name)).toEqual([
    "Guard loop header of own Azure VM",
    "Route all Mails to own Azure VM",
    "Route all Mails to own Azure VM, domains",
    "Approve all Mails from own SMTP Server on Azure VM",
    "Strip loop header of own Azure VM",
    "Theirs",
  ]);
  const since = await platform.now();
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(again.steps.some(({ name }) => name.startsWith("drop"))).toBe(false);
  expect(writes(await platform.record(since))).toEqual([]);
});

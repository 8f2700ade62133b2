/**
 * Our rules at work: mail that really travels between mailboxes, a gateway and the world, by the connectors and rules that our resources
 * make in the simulated Exchange Online.
 */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { headerValues, subjectOf } from "../../infra/local/clouds/mail/message.ts";
import type { TestClouds } from "../support/clouds.ts";
import type { ExchangeCaller } from "../support/exchange.ts";
import {
  colleague,
  ensure,
  forwarded,
  GUID,
  HEADER,
  type MailWorld,
  MX,
  organization,
  pilot,
  startMailWorld,
  target,
  throughGateway,
} from "../support/mail-world.ts";

const stranger = "stranger@fourth-coffee.example";

let world: MailWorld;
let clouds: TestClouds;
let byHand: ExchangeCaller;
let ours: MailWorld["ours"];
beforeAll(async () => {
  world = await startMailWorld();
  ({ clouds, byHand, ours } = world);
});
afterAll(() => clouds.stop());
beforeEach(() => world.reset());
const allRules: MailWorld["allRules"] = (more) => world.allRules(more);

interface Sent {
  from?: string;
  to?: string;
  headers?: string[];
  body?: string;
  envelopeFrom?: string;
}
const compose = (subject: string, { from = pilot, to = colleague, headers = [], body = "Hello." }: Sent): string =>
  [
    `From: <${from}>`,
    `To: <${to}>`,
    `Subject: ${subject}`,
    `Message-ID: <${subject}@test.example>`,
    ...headers,
    "",
    body,
    "",
  ].join("\r\n");

/** From a mailbox, as Exchange Online takes it from its own. */
const submit = async (subject: string, sent: Sent = {}): Promise<void> => {
  const { from = pilot, to = colleague, envelopeFrom = from } = sent;
  const message = { envelopeFrom, recipients: to.split(", "), mime: compose(subject, sent) };
  // A mailbox's own replies are submitted by Exchange Online for it, and have nobody to be returned to.
  await clouds.platform.peers.submitMail?.(organization, { ...message, envelopeFrom: from });
};
/** From somewhere in the world, to Exchange Online's door. */
const comeIn = async (subject: string, sent: Sent, address = "198.51.100.9"): Promise<void> => {
  const { from = stranger, to = colleague, envelopeFrom = from } = sent;
  const message = { envelopeFrom, recipients: [to], mime: compose(subject, { ...sent, from, to }) };
  await clouds.platform.peers.deliverMail?.({
    from: { name: "sender.example", address },
    to: { host: MX, port: 25 },
    message,
    tls: "required",
  });
};

const eventually = async <T>(look: () => T | Promise<T>): Promise<T> => vi.waitFor(look, { interval: 10, timeout: 25_000 });
const found = (texts: string[], subject: string, where: string): string => {
  const text = texts.find((mime) => subjectOf(mime) === subject);
  if (text === undefined) throw new Error(`nothing with the subject ${subject} ${where}`);
  return text;
};
const inside = (subject: string, mailbox = colleague): Promise<string> =>
  eventually(() => {
    const messages = clouds.platform.peers.messagesIn?.(organization, mailbox) ?? [];
    return found(
      messages.map(({ mime }) => mime),
      subject,
      `in ${mailbox}`,
    );
  });
const outside = (subject: string): Promise<string> =>
  eventually(async () => {
    const kept = (await clouds.requests("mail")).flatMap(({ method, url, requestBody }) => {
      const { mime } = (requestBody ?? {}) as { mime?: string };
      return method === "SMTP" && url.includes("mx.outside.example") && mime !== undefined ? [mime] : [];
    });
    return found(kept, subject, "outside");
  });
const seen = (mime: string) => ({ gateway: throughGateway(mime), header: headerValues(mime, HEADER) });
const handled = { gateway: 1, header: [GUID] };
const untouched = { gateway: 0, header: [] };

test("the header is there exactly once inside, and on nothing that leaves, whichever rule was made first", async () => {
  await allRules();
  await submit("inner");
  await submit("outer", { to: stranger });
  await submit("both", { to: `${colleague}, ${stranger}` });
  expect(seen(await inside("inner"))).toEqual(handled);
  expect(seen(await outside("outer"))).toEqual({ gateway: 1, header: [] });
  expect(seen(await outside("both"))).toEqual({ gateway: 1, header: [] });
  expect(throughGateway(await inside("both"))).toBe(1);
});

test("with the strip rule at the top mail would go round: back in its place, it goes once", async () => {
  await allRules();
  await byHand.run("Set-TransportRule", { Identity: "Strip loop header of own Azure VM", Priority: 0 });
  await byHand.run("Set-TransportRule", { Identity: "Route all Mails to own Azure VM", ExceptIfSenderIpRanges: [] });
  await submit("round-and-round", { to: stranger });
  expect(await inside("Undeliverable: round-and-round", pilot)).toContain(
    "554 5.4.14 Hop count exceeded - possible mail loop ATTR34",
  );
  expect(await ensure(ours.strip, target)).toMatchObject({ change: "updated" });
  await submit("once", { to: stranger });
  expect(seen(await outside("once"))).toEqual({ gateway: 1, header: [] });
});

test("a gateway that lost its header sends mail round no more than once, by its address", async () => {
  await allRules();
  world.guest.registry = {};
  await submit("unmarked");
  expect(seen(await inside("unmarked"))).toEqual({ gateway: 1, header: [] });
});

test("a gateway at an address that no rule knows makes mail loop, which is caught and told", async () => {
  await allRules({ egressIps: ["203.0.113.99"] });
  await ensure(ours.guard, { ...target, egressIps: ["203.0.113.99"] });
  await submit("moved-gateway");
  expect(await inside("Undeliverable: moved-gateway", pilot)).toContain("554 5.4.14 Hop count exceeded");
});

test("a forged header from outside is taken away, and is no way past the gateway", async () => {
  await allRules();
  await ensure(ours.incoming, { ...forwarded, scope: { mailboxes: [colleague] } });
  await comeIn("forged", { headers: [`${HEADER}: ${GUID}`] });
  expect(seen(await inside("forged"))).toEqual(handled);
});

test("automatic replies and read receipts leave without the gateway, which could not return them to the world", async () => {
  await allRules();
  const reply = ["Auto-Submitted: auto-replied"];
  const receipt = ['Content-Type: multipart/report; report-type=disposition-notification; boundary="b"'];
  await submit("away", { to: stranger, headers: reply, envelopeFrom: "" });
  await submit("was-read", { to: stranger, headers: receipt, envelopeFrom: "" });
  expect(seen(await outside("away"))).toEqual(untouched);
  expect(seen(await outside("was-read"))).toEqual(untouched);
  const { virtualMachineId } = world.guest;
  expect(clouds.platform.peers.mailQueue?.(virtualMachineId)).toMatchObject({ queued: 0, badmail: 0 });
});

test("reports that come in meet the gateway as everything does: nobody outside chooses to pass by it", async () => {
  await allRules();
  await ensure(ours.incoming, { ...forwarded, scope: { mailboxes: [colleague] } });
  const headers = ['Content-Type: multipart/report; report-type=delivery-status; boundary="b"', "Auto-Submitted: auto-replied"];
  await comeIn("bounce", { headers, envelopeFrom: "" });
  expect(seen(await inside("bounce"))).toEqual(handled);
});

test("mail that is larger than the gateway takes goes without it, where the spec says so", async () => {
  await allRules({ largestMessageInMegabytes: 1 });
  await submit("large", { body: "x".repeat(1024 ** 2) });
  await submit("small");
  expect(seen(await inside("large"))).toEqual(untouched);
  expect(seen(await inside("small"))).toEqual(handled);
});

test("a group's members are forwarded in both directions, and nobody else; who joins needs no other rule", async () => {
  await byHand.run("New-DistributionGroup", { Name: "Pilots", Members: [pilot] });
  await ensure(ours.guard, target);
  const scope = { mailboxes: ["pilots@contoso.example"] };
  await ensure(ours.incomingGroups, { ...forwarded, scope });
  await ensure(ours.groups, { ...forwarded, scope });
  await submit("from-a-member");
  await comeIn("to-a-member", { to: pilot });
  await comeIn("to-another", { to: colleague });
  expect(seen(await inside("from-a-member"))).toEqual(handled);
  expect(seen(await inside("to-a-member", pilot))).toEqual(handled);
  expect(seen(await inside("to-another"))).toEqual(untouched);
  await byHand.run("Add-DistributionGroupMember", { Identity: "Pilots", Member: colleague });
  await comeIn("to-a-new-member", { to: colleague });
  expect(seen(await inside("to-a-new-member"))).toEqual(handled);
});

/** In the order in which an onboarding closes ways that the pilot's spec has no more. */
test("a way that the pilot leaves closes rule by rule: its own mail goes round again, nobody else's changes, and no other rule is touched", async () => {
  await byHand.run("New-DistributionGroup", { Name: "Leavers", Members: [colleague] });
  await allRules();
  const scope = { mailboxes: ["leavers@contoso.example"] };
  await ensure(ours.groups, { ...forwarded, scope });
  await ensure(ours.incomingGroups, { ...forwarded, scope });
  await ensure(ours.incoming, forwarded);
  await byHand.run("New-TransportRule", {
    Name: "Theirs",
    SubjectContainsWords: ["secret"],
    SetHeaderName: "X-Theirs",
    SetHeaderValue: "1",
  });
  const settings = ({ Priority: _priority, ...rule }: Record<string, unknown>) => rule;
  const named = async () => (await byHand.list("Get-TransportRule")).map(settings);
  let rules = await named();
  const closing = [
    [ours.incomingGroups, "Route all Mails to own Azure VM, incoming, groups"],
    [ours.groups, "Route all Mails to own Azure VM, groups"],
    [ours.incoming, "Route all Mails to own Azure VM, incoming"],
  ] as const;
  for (const [index, [rule, name]] of closing.entries()) {
    await rule.remove(forwarded);
    rules = rules.filter(({ Name }) => Name !== name);
    expect(await named()).toEqual(rules);
    await submit(`stays-${index}`, { to: stranger });
    expect(seen(await outside(`stays-${index}`))).toEqual({ gateway: 1, header: [] });
  }
  await submit("left-from", { from: colleague, to: stranger });
  await comeIn("left-to", { to: colleague });
  await comeIn("pilot-to", { to: pilot });
  expect(seen(await outside("left-from"))).toEqual(untouched);
  expect(seen(await inside("left-to"))).toEqual(untouched);
  expect(seen(await inside("pilot-to", pilot))).toEqual(untouched);

  await byHand.run("New-TransportRule", {
    Name: "Route all Mails to own Azure VM, groups",
    SubjectContainsWords: ["x"],
    SetHeaderName: "X-Y",
    SetHeaderValue: "1",
  });
  await ours.groups.remove(forwarded).catch(() => undefined);
  expect((await named()).map(({ Name }) => Name)).toContain("Route all Mails to own Azure VM, groups");
});

/** Mission F5. */
const letPast = { ...target, spared: [] as string[] };
const past = { gateway: 0, header: [`bypassed ${GUID}`] };
const ruleWrites = async (since: number): Promise<string[]> =>
  (await clouds.requests("exchange", since)).flatMap(({ effect, requestBody }) => {
    const { CmdletInput: input } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string } };
    return effect === "write" && input?.CmdletName.endsWith("-TransportRule") ? [input.CmdletName] : [];
  });

test("one write lets everybody's mail past the gateway however many rules forward it, one more brings it back, and no other rule is touched", async () => {
  await byHand.run("New-DistributionGroup", { Name: "Sales", Members: [colleague] });
  await allRules();
  const scope = { mailboxes: ["sales@contoso.example"] };
  await ensure(ours.groups, { ...forwarded, scope });
  await ensure(ours.incomingGroups, { ...forwarded, scope });
  await ensure(ours.incoming, { ...forwarded, scope: { mailboxes: [pilot] } });
  const rules = await byHand.list("Get-TransportRule");
  const since = (await clouds.requests()).at(-1)?.seq ?? 0;

  await ensure(ours.bypass, letPast);
  await submit("past-inside");
  await comeIn("past-in", { to: pilot });
  await submit("past-out", { to: stranger });
  expect(seen(await inside("past-inside"))).toEqual(past);
  expect(seen(await inside("past-in", pilot))).toEqual(past);
  expect(seen(await outside("past-out"))).toEqual({ gateway: 0, header: [] });
  expect((await ensure(ours.bypass, letPast)).change).toBe("unchanged");

  await ours.bypass.remove(letPast);
  expect(await ruleWrites(since)).toEqual(["New-TransportRule", "Remove-TransportRule"]);
  expect(await byHand.list("Get-TransportRule")).toEqual(rules);
  await submit("back-inside");
  expect(seen(await inside("back-inside"))).toEqual(handled);
});

test("what is at the gateway when the bypass begins comes back as ever, and a forged mark opens nothing", async () => {
  await allRules();
  await ensure(ours.incoming, { ...forwarded, scope: { mailboxes: [colleague] } });
  await comeIn("forged-mark", { headers: [`${HEADER}: bypassed ${GUID}`] });
  expect(seen(await inside("forged-mark"))).toEqual(handled);
  await ensure(ours.bypass, letPast);
  const returned = { to: colleague, from: pilot, headers: [`${HEADER}: ${GUID}`] };
  await comeIn("was-there-already", returned, target.egressIps[0]);
  expect(seen(await inside("was-there-already"))).toEqual({ gateway: 0, header: [GUID] });
});

test("who is spared by the bypass proves the way through the gateway while everybody else goes round it", async () => {
  await allRules({ scope: { mailboxes: [pilot, colleague] } });
  await ensure(ours.bypass, { ...letPast, spared: [pilot] });
  await submit("probe");
  await submit("others", { from: colleague, to: pilot });
  expect(seen(await inside("probe"))).toEqual(handled);
  expect(seen(await inside("others", pilot))).toEqual(past);
  expect((await ensure(ours.bypass, letPast)).change).toBe("updated");
  await submit("nobody-spared");
  expect(seen(await inside("nobody-spared"))).toEqual(past);
});

test("a forwarding rule that looks for no header any more is told of, and nothing is written", async () => {
  await allRules();
  await byHand.run("Set-TransportRule", {
    Identity: "Route all Mails to own Azure VM",
    ExceptIfHeaderContainsMessageHeader: null,
    ExceptIfHeaderContainsWords: [],
  });
  const since = (await clouds.requests()).at(-1)?.seq ?? 0;
  await expect(ensure(ours.bypass, letPast)).rejects.toMatchObject({ code: "BypassNotPossible" });
  expect(await ruleWrites(since)).toEqual([]);
});

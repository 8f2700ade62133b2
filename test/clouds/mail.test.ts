/**
 * Mail really travels: mailbox, forwarding rule, gateway and back, over SMTP with STARTTLS. Rules as the manual (chapter 4) has them, and
 * requests written by hand from the research on Exchange Online's REST endpoint.
 */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { headerValues, hops } from "../../infra/local/clouds/mail/message.ts";
import type { MailboxMessage, MailDelivery, SimulatedGuest } from "../../infra/local/clouds/simulator.ts";
import { exchangeOf, type ExchangeCaller } from "../support/exchange.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const pilot = "pilot@contoso.example";
const colleague = "colleague@contoso.example";
const GATEWAY = "203.0.113.7";
const FQDN = "gw-contoso.westeurope.cloudapp.azure.example";
const HEADER = "X-iqsuite-process";
const GUID = "5f0c2f3e-9a52-4b61-8d1c-6e0a3a2b7c11";
const MX = "contoso-example.mail.protection.outlook.com";

let clouds: TestClouds;
let exchange: ExchangeCaller;
let guest: SimulatedGuest;
let listening = true;

beforeAll(async () => {
  clouds = await startClouds({ tempo: 0 });
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: [pilot, colleague] });
  await clouds.consent(contoso);
  exchange = await exchangeOf(clouds, contoso);
  // The gateway's inside and its public address stand in for ARM: this is the mail internet's test.
  clouds.platform.peers.gatewayAt = (address, port) => (listening && address === GATEWAY && port === 25 ? guest : undefined);
  clouds.platform.peers.publicAddresses = () => [{ fqdn: FQDN, reverseFqdn: FQDN, address: GATEWAY }];
});
afterAll(() => clouds.stop());

beforeEach(() => {
  listening = true;
  guest = {
    virtualMachineId: "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/gw1",
    computerName: "gw1",
    egressAddress: GATEWAY,
    smtp: {
      running: true,
      fqdn: FQDN,
      smartHost: MX,
      inboundTls: true,
      outboundTls: true,
      relayFor: ["contoso.example"],
      relayFrom: ["52.100.0.0/24"],
    },
    registry: {
      "hklm\\software\\gbs\\iq.suite\\inject": { AdditionalInjectHeaders: { type: "String", data: `${HEADER}:${GUID}` } },
    },
    firewall: [],
  };
});
afterEach(async () => {
  for (const rule of await exchange.list("Get-TransportRule"))
    await exchange.run("Remove-TransportRule", { Identity: rule["Name"], Confirm: false });
  for (const connector of await exchange.list("Get-OutboundConnector", { IsTransportRuleScoped: true }))
    await exchange.run("Remove-OutboundConnector", { Identity: connector["Name"], Confirm: false });
  for (const connector of await exchange.list("Get-InboundConnector"))
    await exchange.run("Remove-InboundConnector", { Identity: connector["Name"], Confirm: false });
});

const connect = async (): Promise<void> => {
  await exchange.run("New-InboundConnector", {
    Name: "FROM Azure VM to M365",
    ConnectorType: "OnPremises",
    SenderDomains: ["*"],
    SenderIPAddresses: [GATEWAY],
  });
  await exchange.run("New-OutboundConnector", {
    Name: "M365 to Azure VM",
    ConnectorType: "OnPremises",
    IsTransportRuleScoped: true,
    UseMXRecord: false,
    SmartHosts: [FQDN],
    TlsSettings: "EncryptionOnly",
  });
};
const forward = async (more: Record<string, unknown> = {}): Promise<void> => {
  await exchange.run("New-TransportRule", {
    Name: "Route all Mails to own Azure VM",
    From: [pilot],
    RouteMessageOutboundConnector: "M365 to Azure VM",
    ExceptIfHeaderContainsMessageHeader: HEADER,
    ExceptIfHeaderContainsWords: [GUID],
    StopRuleProcessing: true,
    ...more,
  });
};
const guard = async (): Promise<void> => {
  await exchange.run("New-TransportRule", {
    Name: "Guard",
    Priority: 0,
    RemoveHeader: HEADER,
    ExceptIfSenderIpRanges: [GATEWAY],
  });
};

const compose = (from: string, to: string, subject: string, more: string[] = []): string =>
  [
    `From: <${from}>`,
    `To: <${to}>`,
    `Subject: ${subject}`,
    `Message-ID: <${subject}@test.example>`,
    ...more,
    "",
    "Hello.",
    "",
  ].join("\r\n");

const send = async (from: string, to: string, subject: string, more: string[] = []): Promise<void> => {
  await clouds.platform.peers.submitMail?.(contoso, {
    envelopeFrom: from,
    recipients: [to],
    mime: compose(from, to, subject, more),
  });
};

const sendFrom = async (
  address: string,
  from: string,
  to: string,
  subject: string,
  more: string[] = [],
): Promise<MailDelivery> => {
  const message = { envelopeFrom: from, recipients: [to], mime: compose(from, to, subject, more) };
  const party = { name: "sender.example", address };
  const fate = await clouds.platform.peers.deliverMail?.({ from: party, to: { host: MX, port: 25 }, message, tls: "required" });
  if (!fate) throw new Error("there is no mail internet");
  return fate;
};

const arrived = async (mailbox: string, subject: string): Promise<MailboxMessage> =>
  eventually(() => {
    const found = clouds.platform.peers
      .messagesIn?.(contoso, mailbox)
      ?.find(({ mime }) => headerValues(mime, "Subject").includes(subject));
    if (!found) throw new Error(`nothing with subject ${subject} in ${mailbox}`);
    return found;
  });

/** Looks again until it is there. */
const eventually = async <T>(look: () => T | Promise<T>): Promise<T> => vi.waitFor(look, { interval: 20, timeout: 25_000 });

const subjectsOf = (mailbox: string): string[] =>
  (clouds.platform.peers.messagesIn?.(contoso, mailbox) ?? []).flatMap(({ mime }) => headerValues(mime, "Subject"));

const hopsOver = async (host: string): Promise<unknown[]> =>
  (await clouds.requests("mail")).filter(({ method, url }) => method === "SMTP" && url.includes(host));

test("a pilot's mail runs through the gateway and back, with the header exactly once", async () => {
  await connect();
  await guard();
  await forward();
  await send(pilot, colleague, "through-the-loop");

  const { mime, folder } = await arrived(colleague, "through-the-loop");
  expect(headerValues(mime, HEADER)).toEqual([GUID]);
  expect(folder).toBe("inbox");
  expect(headerValues(mime, "X-MS-Exchange-Organization-AuthAs")).toEqual(["Internal"]);
  // Exchange Online, the gateway, Exchange Online again; the last hop is on top.
  const received = headerValues(mime, "Received");
  expect(received).toHaveLength(3);
  expect(received[0]).toContain(`from ${FQDN} (${GATEWAY})`);
  expect(received[1]).toContain(`by ${FQDN}`);
});

test("a group scopes the rule: who joins it is forwarded without another change of the rule", async () => {
  await connect();
  await exchange.run("New-DistributionGroup", { Name: "Pilots", Members: [colleague] });
  await exchange.run("New-TransportRule", {
    Name: "By group",
    FromMemberOf: ["pilots@contoso.example"],
    RouteMessageOutboundConnector: "M365 to Azure VM",
    ExceptIfHeaderContainsMessageHeader: HEADER,
    ExceptIfHeaderContainsWords: [GUID],
  });
  await send(pilot, colleague, "not-a-member");
  expect(headerValues((await arrived(colleague, "not-a-member")).mime, HEADER)).toEqual([]);
  await exchange.run("Add-DistributionGroupMember", { Identity: "Pilots", Member: pilot });
  await send(pilot, colleague, "a-member");
  expect(headerValues((await arrived(colleague, "a-member")).mime, HEADER)).toEqual([GUID]);
});

test("each hop was encrypted and seen from its modelled address", async () => {
  await connect();
  await forward();
  await send(pilot, colleague, "seen-hops");
  await arrived(colleague, "seen-hops");

  const sessions = (await clouds.requests("mail")).filter(({ requestBody }) => JSON.stringify(requestBody).includes("seen-hops"));
  expect(sessions.map(({ requestBody }) => requestBody)).toMatchObject([
    { source: { address: "52.100.0.20" }, tls: { used: true, subject: FQDN } },
    { source: { address: GATEWAY }, tls: { used: true } },
  ]);
});

test("mail of others doesn't move while the rule names the pilot only", async () => {
  await connect();
  await forward();
  await send(colleague, pilot, "not-moved");
  const { mime } = await arrived(pilot, "not-moved");
  expect(hops(mime)).toBe(1);
});

test("mail that returns without the header loops, is caught, and its sender is told", async () => {
  guest.registry = {};
  await connect();
  await forward();
  await send(pilot, colleague, "without-header");

  const { mime, envelopeFrom } = await arrived(pilot, "Undeliverable: without-header");
  expect(envelopeFrom).toBe("");
  expect(mime).toContain("554 5.4.14 Hop count exceeded - possible mail loop ATTR34");
  expect(await clouds.requests("exchange")).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ method: "NDR", status: 554, responseBody: expect.stringContaining("ATTR34") }),
    ]),
  );
  expect(
    clouds.platform.peers.messagesIn?.(contoso, colleague)?.some(({ mime: text }) => text.includes("Subject: without-header")),
  ).toBe(false);
});

test("exceptions are OR-ed: a spoofed header alone keeps mail from the gateway", async () => {
  await connect();
  await forward({ From: null, ExceptIfSenderIpRanges: [GATEWAY] });
  await sendFrom("198.51.100.9", "stranger@fourth-coffee.example", colleague, "spoofed", [`${HEADER}: ${GUID}`]);
  const { mime } = await arrived(colleague, "spoofed");
  expect(headerValues(mime, "Received")[0]).toContain("198.51.100.9");
  expect(hops(mime)).toBe(1);
});

test("a guard rule above removes a spoofed header from outside, and the mail takes the way through the gateway", async () => {
  await connect();
  await forward({ From: null });
  await guard();
  await sendFrom("198.51.100.9", "stranger@fourth-coffee.example", colleague, "spoofed-and-guarded", [`${HEADER}: ${GUID}`]);
  const { mime } = await arrived(colleague, "spoofed-and-guarded");
  expect(headerValues(mime, HEADER)).toEqual([GUID]);
  expect(headerValues(mime, "Received")[0]).toContain(GATEWAY);
});

test("a foreign source may not relay for the organisation", async () => {
  await connect();
  const { accepted, refused, tls } = await sendFrom("198.51.100.9", pilot, "somebody@fourth-coffee.example", "relay");
  expect({ accepted, tls: tls.used }).toEqual({ accepted: [], tls: true });
  expect(refused[0]?.reply).toMatch(/^550 5\.7\.64 TenantAttribution; Relay Access Denied/);
});

test("the gateway's own address relays to the outside world", async () => {
  await connect();
  const { accepted } = await sendFrom(GATEWAY, pilot, "somebody@fourth-coffee.example", "relayed");
  expect(accepted).toEqual(["somebody@fourth-coffee.example"]);
  await eventually(async () => expect(JSON.stringify(await clouds.state("mail"))).toContain("relayed@test.example"));
});

test("a report with an empty sender can't be relayed to the outside", async () => {
  await connect();
  const { refused } = await sendFrom(GATEWAY, "", "somebody@fourth-coffee.example", "empty-sender");
  expect(refused[0]?.reply).toContain("5.7.64");
});

test("who isn't on a gateway's relay list gets nothing relayed", async () => {
  const fate = await clouds.platform.peers.deliverMail?.({
    from: { name: "spammer.example", address: "198.51.100.66" },
    to: { host: FQDN, port: 25 },
    message: {
      envelopeFrom: "a@fourth-coffee.example",
      recipients: ["b@fourth-coffee.example"],
      mime: compose("a@x.example", "b@x.example", "open"),
    },
    tls: "opportunistic",
  });
  expect(fate?.refused[0]?.reply).toBe("550 5.7.1 Unable to relay for b@fourth-coffee.example");
});

test("a gateway without inbound TLS gets no mail over a connector that wants encryption; the mail waits and then comes back", async () => {
  guest.smtp.inboundTls = false;
  await connect();
  await forward();
  await send(pilot, colleague, "no-tls");
  const { mime } = await arrived(pilot, "Undeliverable: no-tls");
  expect(mime).toContain("Message expired, STARTTLS is required to send mail");
});

test("mail waits for a closed gateway and goes on when it opens", async () => {
  listening = false;
  await connect();
  await forward();
  await send(pilot, colleague, "waiting");
  await eventually(() => expect(JSON.stringify(clouds.platform.collection("exchange.queue").values())).toContain("waiting"));
  listening = true;
  const { mime } = await arrived(colleague, "waiting");
  expect(headerValues(mime, HEADER)).toEqual([GUID]);
  expect(await hopsOver(FQDN)).not.toHaveLength(0);
});

test("what Exchange Online refuses from the gateway comes back as the gateway's report", async () => {
  await connect();
  await forward();
  await exchange.run("Remove-InboundConnector", { Identity: "FROM Azure VM to M365", Confirm: false });
  await send(pilot, "nobody@fourth-coffee.example", "refused-relay");
  const { mime } = await arrived(pilot, "Undeliverable: refused-relay");
  expect(mime).toContain(`Reporting-MTA: dns;${FQDN}`);
  expect(mime).toContain("550 5.7.64 TenantAttribution; Relay Access Denied");
});

test("what a gateway can neither deliver nor return is badmail", async () => {
  const { virtualMachineId } = guest;
  await clouds.platform.peers.deliverMail?.({
    from: { name: "mail.outbound.protection.outlook.com", address: "52.100.0.20" },
    to: { host: FQDN, port: 25 },
    message: {
      envelopeFrom: "stranger@fourth-coffee.example",
      recipients: ["somebody@fourth-coffee.example"],
      mime: compose("stranger@fourth-coffee.example", "somebody@fourth-coffee.example", "badmail"),
    },
    tls: "required",
  });
  await eventually(() => expect(clouds.platform.peers.mailQueue?.(virtualMachineId)).toMatchObject({ queued: 0, badmail: 1 }));
});

const BLOCK =
  "550 5.7.606 Access denied, banned sending IP [198.51.100.44]. To request removal from this list please visit https://sender.office.com/";

test.each([
  ["throttle", "421 4.3.2 The maximum number of concurrent server connections"],
  ["421", "421 4.3.2 Service not active"],
  [{ kind: "reply", reply: BLOCK }, BLOCK],
  [{ kind: "reply", phase: "sender", reply: "421 4.7.0 Try again later" }, "421 4.7.0 Try again later"],
  [{ kind: "reply", phase: "recipient", reply: BLOCK }, BLOCK],
  [{ kind: "reply", phase: "data", reply: "451 4.7.500 Server busy" }, "451 4.7.500 Server busy"],
  ["refuse", "450 4.4.316 Connection refused"],
  ["cut-before-effect", "450 4.4.317"],
])("a session that meets %j tells its sender, and brings nothing", async (fault, reply) => {
  const subject = `fault-${randomUUID()}`;
  await clouds.fault("mail", fault, { path: "source=198.51.100.44" });
  const { accepted, refused } = await sendFrom("198.51.100.44", "stranger@outside.example", pilot, subject);
  expect({ accepted, reply: refused[0]?.reply.replaceAll(/\s+/g, " ") }).toEqual({
    accepted: [],
    reply: expect.stringContaining(reply),
  });
  // The next session is as good as ever, so whatever the first one brought would be there as well.
  expect((await sendFrom("198.51.100.44", "stranger@outside.example", pilot, `${subject}-after`)).accepted).toEqual([pilot]);
  await arrived(pilot, `${subject}-after`);
  expect(subjectsOf(pilot)).not.toContain(subject);
});

test("a connection cut after DATA was taken: the sender can't know, and sends again", async () => {
  await clouds.fault("mail", "cut-after-effect", { path: "source=198.51.100.44" });
  const lost = await sendFrom("198.51.100.44", "stranger@outside.example", pilot, "twice");
  expect(lost).toMatchObject({ accepted: [], refused: [{ reply: expect.stringMatching(/^4/) }] });
  expect((await sendFrom("198.51.100.44", "stranger@outside.example", pilot, "twice")).accepted).toEqual([pilot]);
  await eventually(() => expect(subjectsOf(pilot).filter((one) => one === "twice")).toHaveLength(2));
});

test("a block of Microsoft's against the gateway comes back to the sender as a report", async () => {
  await connect();
  await forward();
  const block = BLOCK.replace("198.51.100.44", GATEWAY);
  await clouds.fault("mail", { kind: "reply", reply: block }, { path: `source=${GATEWAY}` });
  await send(pilot, colleague, "blocked-gateway");
  const report = await eventually(() => {
    const found = clouds.platform.peers.messagesIn?.(contoso, pilot)?.find(({ mime }) => mime.includes("5.7.606"));
    if (!found) throw new Error("no report yet");
    return found;
  });
  expect(report.mime).toContain(GATEWAY);
});

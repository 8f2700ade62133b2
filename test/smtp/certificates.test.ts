/**
 * Certificates between a gateway and Exchange Online, over real TLS: what a look from outside sees, what an outbound connector asks for,
 * and whose mail it is that a server with a certificate brings.
 */
import { createHash, X509Certificate } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { MailDelivery, SimulatedGuest } from "../../infra/local/clouds/simulator.ts";
import { readPem, writePkcs12 } from "../../infra/local/clouds/vault/pkcs12.ts";
import { createStartTls } from "../../shared/smtp/starttls.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { exchangeOf, type ExchangeCaller } from "../support/exchange.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const GATEWAY = "203.0.113.7";
const SMART_HOST = "gw-contoso.westeurope.cloudapp.azure.example";
const NAME = "gateway.contoso.example";
const MX = "contoso-example.mail.protection.outlook.com";
const SERVER = "1.3.6.1.5.5.7.3.1";
const CLIENT = "1.3.6.1.5.5.7.3.2";

let clouds: TestClouds;
let exchange: ExchangeCaller;
let pkcs12: string | undefined;

beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  await clouds.consent(contoso);
  exchange = await exchangeOf(clouds, contoso);
  const guest = (): SimulatedGuest => ({
    virtualMachineId: "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/gw1",
    computerName: "gw1",
    egressAddress: GATEWAY,
    smtp: {
      running: true,
      fqdn: NAME,
      smartHost: MX,
      inboundTls: true,
      outboundTls: true,
      relayFor: ["contoso.example"],
      pkcs12,
    },
    registry: {},
    firewall: [],
  });
  clouds.platform.peers.gatewayAt = (address, port) => (address === GATEWAY && port === 25 ? guest() : undefined);
  clouds.platform.peers.publicAddresses = () => [{ fqdn: SMART_HOST, reverseFqdn: SMART_HOST, address: GATEWAY }];
});
afterAll(() => clouds.stop());

beforeEach(async () => {
  pkcs12 = undefined;
  for (const connector of await exchange.list("Get-InboundConnector"))
    await exchange.run("Remove-InboundConnector", { Identity: connector["Name"], Confirm: false });
});

async function made(
  name: string,
  { selfSigned = false, usages = [SERVER, CLIENT] }: { selfSigned?: boolean; usages?: string[] } = {},
): Promise<{ pkcs12: string; thumbprint: string }> {
  const { certificate, key } = await clouds.platform.certificates.certify({ names: [name], selfSigned, usages });
  const contents = readPem(certificate + key);
  if (!contents) throw new Error("the certificate can't be read");
  const thumbprint = createHash("sha1").update(new X509Certificate(certificate).raw).digest("hex").toUpperCase();
  return { pkcs12: writePkcs12(contents).toString("base64"), thumbprint };
}

const look = (address = GATEWAY, name = NAME) =>
  createStartTls({ proxy: clouds.environment.smtpProxy }).certificateAt({ address, name });

/** As the transport delivers by an outbound connector with these settings. */
const deliver = async (validate: { domain: string | undefined } | undefined): Promise<MailDelivery | undefined> =>
  clouds.platform.peers.deliverMail?.({
    from: { name: "mail.outbound.protection.outlook.com", address: "52.100.0.20" },
    to: { host: SMART_HOST, port: 25 },
    message: message("postmaster@contoso.example", "pilot@contoso.example"),
    tls: "required",
    validate,
  });

const message = (envelopeFrom: string, recipient: string) => ({
  envelopeFrom,
  recipients: [recipient],
  mime: `From: <${envelopeFrom}>\r\nTo: <${recipient}>\r\nSubject: test\r\n\r\nHello.\r\n`,
});

test("from outside, the certificate is seen that the gateway shows, and whether the world trusts it", async () => {
  const trusted = await made(NAME);
  pkcs12 = trusted.pkcs12;
  expect(await look()).toEqual({ thumbprint: trusted.thumbprint });
  expect(await look(GATEWAY, "elsewhere.contoso.example")).toEqual({
    thumbprint: trusted.thumbprint,
    distrust: "ERR_TLS_CERT_ALTNAME_INVALID",
  });
  pkcs12 = (await made(NAME, { selfSigned: true })).pkcs12;
  expect(await look()).toMatchObject({ distrust: expect.stringMatching(/SELF_SIGNED|VERIFY/) });
});

test("where nobody answers, the look fails, and trying again may help", async () => {
  await expect(look("203.0.113.99")).rejects.toMatchObject({ code: "GatewayUnreachable", transient: true });
  await expect(
    createStartTls({ proxy: "http://127.0.0.1:1" }).certificateAt({ address: GATEWAY, name: NAME }),
  ).rejects.toMatchObject({
    code: "GatewayUnreachable",
  });
});

test("what an outbound connector asks for: anything, a public authority's, one for the name", async () => {
  const replyTo = async (validate: { domain: string | undefined } | undefined): Promise<string> =>
    (await deliver(validate))?.refused[0]?.reply ?? "accepted";
  pkcs12 = undefined;
  expect(await replyTo(undefined)).toBe("accepted");
  expect(await replyTo({ domain: undefined })).toContain("450 4.7.320 Certificate validation failed [Message=UntrustedRoot]");
  pkcs12 = (await made("other.contoso.example")).pkcs12;
  expect(await replyTo({ domain: undefined })).toBe("accepted");
  expect(await replyTo({ domain: NAME })).toContain("[Message=SubjectMismatch]");
  pkcs12 = (await made(NAME)).pkcs12;
  expect(await replyTo({ domain: NAME })).toBe("accepted");
});

/** A server with that certificate brings a mail for the outside world. */
async function relayed(certificate: string | undefined, envelopeFrom = "pilot@contoso.example"): Promise<string> {
  const fate = await clouds.platform.peers.deliverMail?.({
    from: { name: NAME, address: GATEWAY, pkcs12: certificate },
    to: { host: MX, port: 25 },
    message: message(envelopeFrom, "somebody@elsewhere.example"),
    tls: "required",
  });
  return fate?.refused[0]?.reply ?? "accepted";
}

test("mail is an organisation's by the certificate that its connector names, whatever the sender and the address", async () => {
  await exchange.run("New-InboundConnector", {
    Name: "By certificate",
    ConnectorType: "OnPremises",
    SenderDomains: ["*"],
    TlsSenderCertificateName: NAME,
    RequireTls: true,
    RestrictDomainsToCertificate: true,
  });
  const denied = expect.stringContaining("550 5.7.64 TenantAttribution; Relay Access Denied");
  expect(await relayed(undefined)).toEqual(denied);
  const { pkcs12: right } = await made(NAME);
  expect(await relayed(right)).toBe("accepted");
  // Reports of what could not be delivered have no sender: by address they could not be attributed.
  expect(await relayed(right, "")).toBe("accepted");
  expect(await relayed((await made("other.contoso.example")).pkcs12)).toEqual(denied);
  expect(await relayed((await made(NAME, { selfSigned: true })).pkcs12)).toEqual(denied);
  expect(await relayed((await made(NAME, { usages: [SERVER] })).pkcs12)).toEqual(denied);
});

test("a certificate of a domain that the organisation has not accepted attributes nothing (MC1226222)", async () => {
  await exchange.run("New-InboundConnector", {
    Name: "By somebody else's certificate",
    ConnectorType: "OnPremises",
    SenderDomains: ["*"],
    TlsSenderCertificateName: "gateway.partner.example",
  });
  expect(await relayed((await made("gateway.partner.example")).pkcs12)).toContain("5.7.64");
});

/** The certificate gets another name, goes back, and gets it again, while mail goes on: none lost, none twice, none past a gateway. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";
import { exchangeWrites, type MailStream, streamOfMail } from "../support/mail-stream.ts";

const [FIRST, SECOND, THIRD] = ["gateway.contoso.example", "mail.contoso.example", "post.contoso.example"] as const;
const contoso = customer(
  "contoso",
  "contoso",
  { regions: [{ name: "westeurope", machines: 2 }], certificate: { name: FIRST } },
  { pilot: { addresses: ["pilot@contoso.example"], incoming: true } },
);
const { tenantId, spec } = contoso;
const vault = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions }).vault;

const A_SECOND = 1000;
const LONG = { timeout: 600_000 };

let platform: OnboardingPlatform;
let stream: MailStream;

async function importFor(name: string): Promise<void> {
  const response = await fetch(`${platform.clouds.control}/certificates`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ vault, name: "smtp-certificate", names: [name] }),
  });
  if (response.status !== 201) throw new Error(await response.text());
}

interface Connector {
  tenantId: string;
  name: string;
  settings: Record<string, unknown>;
}
const connectors = (which: "inbound" | "outbound"): Connector[] =>
  platform.clouds.platform
    .collection<Connector>(`exchange.${which}-connectors`)
    .values()
    .filter(({ tenantId: of }) => of === spec.microsoft365.tenantId);
/** By which names Exchange Online knows the gateways, and what it asks of theirs. */
const known = () => ({
  inbound: Object.fromEntries(
    connectors("inbound").map(({ settings }) => [settings["TlsSenderCertificateName"], settings["Enabled"]]),
  ),
  outbound: connectors("outbound").map(({ settings }) => settings["TlsDomain"] ?? settings["TlsSettings"]),
});
const greeting = (): (string | undefined)[] =>
  platform.clouds.platform
    .collection<{ virtualMachineId: string; metabase?: { fqdn: string } }>("arm.guests")
    .values()
    .filter(({ virtualMachineId }) => virtualMachineId.toLowerCase().includes(spec.azure.subscriptionId))
    .map(({ metabase }) => metabase?.fqdn);

const rotate = async (body: { certificateName?: string; back?: boolean }): Promise<Operation> =>
  platform.untilEnded((await platform.northwind.rotateCredential({ tenantId, name: "smtpCertificate", body })).body);
const written = async (since: number): Promise<string[]> =>
  writes(await platform.record(since)).filter((what) => !/ (DELIVER|SMTP) /.test(what));

beforeAll(async () => {
  platform = await startOnboarding({ tempo: 0.001, settings: { ADDRESS_SETTLE: "PT2S" } });
  await platform.organize(contoso);
  await platform.register(contoso);
  const started = await platform.start(contoso);
  const ended = platform.untilEnded(started);
  await platform.untilWaitingFor(started, "certificate");
  await importFor(FIRST);
  expect((await ended).error).toBeUndefined();
  expect((await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body)).error).toBeUndefined();
  stream = streamOfMail(platform, contoso, A_SECOND);
});
afterAll(() => platform.stop());

test("a spec with another name is refused, and says how it gets one", async () => {
  const { spec: known } = (await platform.northwind.getTenant({ tenantId })).body;
  const other = { ...known, gateway: { ...known.gateway, certificate: { ...known.gateway.certificate, name: SECOND } } };
  await expect(platform.northwind.putTenant({ tenantId, body: other })).rejects.toMatchObject({
    code: "TenantInUse",
    message: expect.stringContaining("rotate with certificateName"),
  });
});

test("without a certificate for it nothing changes, and the operation says what to import", async () => {
  const before = await platform.now();
  const { error, status } = await rotate({ certificateName: SECOND });
  expect({ status, error }).toMatchObject({
    status: "Failed",
    error: { message: expect.stringContaining(`import a certificate for ${SECOND}`) },
  });
  expect(await written(before)).toEqual([]);
});

test(
  "both names are accepted until every machine was seen with the new one; the former connector is kept, disabled",
  LONG,
  async () => {
    await importFor(SECOND);
    const { error, steps } = await rotate({ certificateName: SECOND });
    expect(error).toBeUndefined();
    const machine = ["leavesPool", "applyToGateway", "verifyGateway", "certificateShown", "joinsPool", "probeMail"];
    const order = [
      "newCertificate",
      "secondConnector",
      "eitherName",
      "acceptedEverywhere",
      ...machine,
      ...machine.map((step) => `${step}-m2`),
      "flip",
      "onlyName",
      "formerConnector",
    ];
    expect(steps.map(({ name }) => name)).toEqual(order);
    const times = order.map((step) => steps.find(({ name }) => name === step)?.endedAt ?? `no ${step}`);
    expect(times.toSorted()).toEqual(times);
    expect(known()).toEqual({ inbound: { [FIRST]: false, [SECOND]: true }, outbound: [SECOND] });
    expect(greeting()).toEqual([SECOND, SECOND]);
    const { spec: now } = (await platform.northwind.getTenant({ tenantId })).body;
    expect(now.gateway.certificate?.name).toBe(SECOND);
    expect(await stream.one("between")).toBe("through");
  },
);

test("meanwhile nobody takes the former connector for a stranger's, nor for one that was switched off", LONG, async () => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual([]);
  const { differences } = (await platform.northwind.lookForDriftNow({ tenantId })).body;
  expect(differences).toEqual([]);
  const { conditions } = (await platform.northwind.getTenant({ tenantId })).body;
  expect(conditions.find(({ type }) => type === "MailFlowUndisturbed")).toMatchObject({ status: "True" });
  await expect(rotate({ certificateName: THIRD })).rejects.toMatchObject({ code: "CredentialOverlapping" });
});

test("it goes back the same way, and then gets the name after all", LONG, async () => {
  expect((await rotate({ back: true })).error).toBeUndefined();
  expect(known()).toEqual({ inbound: { [FIRST]: true }, outbound: [FIRST] });
  expect(greeting()).toEqual([FIRST, FIRST]);
  await importFor(SECOND);
  expect((await rotate({ certificateName: SECOND })).error).toBeUndefined();
  expect(known()).toEqual({ inbound: { [FIRST]: false, [SECOND]: true }, outbound: [SECOND] });
});

test("when nobody would go back any more, the former connector goes", LONG, async () => {
  await expect
    .poll(async () => (await rotate({}).catch(({ code }: { code: string }) => ({ status: code }))).status, {
      timeout: 60_000,
      interval: 1000,
    })
    .toBe("Succeeded");
  expect(known().inbound).toEqual({ [SECOND]: true });
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual([]);
});

test("all mail of all that time arrived once, and had been at a gateway", LONG, async () => {
  const { through, around, unmarked } = await stream.end();
  expect({ around, unmarked }).toEqual({ around: 0, unmarked: 0 });
  expect(through).toBeGreaterThan(10);
});

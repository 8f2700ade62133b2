/** The gateways' certificate is replaced, taken back and replaced again while mail goes on all the time: none is lost, none comes twice. */
import { createHash, X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { type MailStream, streamOfMail } from "../support/mail-stream.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
let stream: MailStream;
/** As they were imported, by their thumbprints. */
const imported: string[] = [];
const contoso = customer(
  "contoso",
  "contoso",
  { regions: [{ name: "westeurope", machines: 2 }], certificate: { name: "gateway.contoso.example" } },
  { pilot: { addresses: ["pilot@contoso.example"], incoming: true } },
);
const { tenantId, spec } = contoso;
const vault = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions }).vault;

/** The customer's person imports a certificate of a public authority. */
async function importOne(more: Record<string, unknown> = {}): Promise<void> {
  const response = await fetch(`${platform.clouds.control}/certificates`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ vault, name: "smtp-certificate", names: ["gateway.contoso.example"], ...more }),
  });
  if (response.status !== 201) throw new Error(await response.text());
  const { certificate } = (await response.json()) as { certificate: string };
  imported.push(createHash("sha1").update(new X509Certificate(certificate).raw).digest("hex").toUpperCase());
}

/** What the machines have, by the numbers of their imports; the one that they show first. */
function onMachines(): number[][] {
  const guests = platform.clouds.platform.collection<{
    virtualMachineId: string;
    certificates: { thumbprint: string; notAfter: number }[];
  }>("arm.guests");
  return guests
    .values()
    .filter(({ virtualMachineId }) => virtualMachineId.toLowerCase().includes(spec.azure.subscriptionId))
    .map(({ certificates }) =>
      certificates
        .toSorted((one, other) => other.notAfter - one.notAfter)
        .map(({ thumbprint }) => imported.indexOf(thumbprint) + 1)
        .filter((number) => number > 0),
    );
}

/** Apart from mail. */
const written = async (since: number): Promise<string[]> =>
  writes(await platform.record(since)).filter((what) => !/ (DELIVER|SMTP) /.test(what));

const credential = async () => {
  const { value } = (await platform.northwind.listCredentials({ tenantId })).body;
  return value.find(({ name }) => name === "smtpCertificate");
};

/** The operation that a sweep begins. */
async function swept(): Promise<Operation> {
  const renewals = async () =>
    (await platform.northwind.listOperations({ tenantId })).body.value.filter(({ kind }) => kind === "renewal");
  const before = new Set((await renewals()).map(({ id }) => id));
  await platform.fire("sweepCredentials");
  const begun = await vi.waitUntil(async () => (await renewals()).find(({ id }) => !before.has(id)), {
    timeout: 60_000,
    interval: 100,
  });
  const ended = await platform.untilEnded((await platform.northwind.getOperation({ operationId: begun.id })).body);
  expect(ended.error, JSON.stringify(ended)).toBeUndefined();
  return ended;
}

beforeAll(async () => {
  platform = await startOnboarding({ tempo: 0.001 });
  await platform.organize(contoso);
  await platform.register(contoso);
  const started = await platform.start(contoso);
  const ended = platform.untilEnded(started);
  await platform.untilWaitingFor(started, "certificate");
  await importOne({ days: 80 });
  expect((await ended).error).toBeUndefined();
  expect((await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body)).error).toBeUndefined();
  stream = streamOfMail(platform, contoso);
});
afterAll(() => platform.stop());

test("a newer one in the vault is shown by one machine after another, out of the balancer meanwhile; they keep the old one", async () => {
  expect(await credential()).toMatchObject({ state: "current", generation: 1, overlapping: false });
  expect(onMachines()).toEqual([[1], [1]]);
  await importOne({ days: 90 });
  const before = await platform.now();
  const { steps } = await swept();
  const at = (step: string): string => steps.find(({ name }) => name === step)?.endedAt ?? `no ${step}`;
  const order = ["leavesPool", "applyToGateway", "verifyGateway", "certificateShown", "joinsPool"];
  expect(steps.map(({ name }) => name)).toEqual(["newCertificate", ...order, ...order.map((step) => `${step}-m2`), "flip"]);
  const times = [...order, ...order.map((step) => `${step}-m2`), "flip"].map(at);
  expect(times.toSorted()).toEqual(times);
  expect(onMachines()).toEqual([
    [2, 1],
    [2, 1],
  ]);
  expect(await credential()).toMatchObject({ state: "overlapping", generation: 2 });
  expect((await written(before)).filter((url) => url.includes("InvokeCommand"))).toEqual([]);
  expect(await stream.one("between")).toBe("through");
});

test("it can be taken back meanwhile, and nobody gives it to a machine again", async () => {
  const { body } = await platform.northwind.rotateCredential({ tenantId, name: "smtpCertificate", body: { back: true } });
  expect((await platform.untilEnded(body)).error).toBeUndefined();
  expect(onMachines()).toEqual([[1], [1]]);
  expect(await credential()).toMatchObject({ state: "current", generation: 3 });
  await expect(
    platform.northwind.rotateCredential({ tenantId, name: "smtpCertificate", body: { back: true } }),
  ).rejects.toMatchObject({ code: "NothingToGoBackTo" });

  const before = await platform.now();
  await platform.fire("sweepCredentials");
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again.error).toBeUndefined();
  expect(await written(before)).toEqual([]);
  expect(onMachines()).toEqual([[1], [1]]);
});

test("the next one comes into use, and a later sweep takes the old one from the machines", async () => {
  await importOne({ days: 91 });
  await swept();
  expect(onMachines()).toEqual([
    [3, 1],
    [3, 1],
  ]);
  await expect(platform.northwind.rotateCredential({ tenantId, name: "smtpCertificate" })).rejects.toMatchObject({
    code: "CredentialOverlapping",
  });
  await pause(5000);
  const { steps } = await swept();
  expect(steps.map(({ name }) => name)).not.toContain("flip");
  expect(onMachines()).toEqual([[3], [3]]);
  expect(await credential()).toMatchObject({ state: "current", generation: 4, overlapping: false });
});

test("one that is of no use is asked for anew, and no machine hears of it", async () => {
  await importOne({ selfSigned: true });
  await platform.fire("sweepCredentials");
  await expect
    .poll(async () => (await platform.northwind.listTasks({ tenantId, kind: "certificate" })).body.value, { timeout: 60_000 })
    .toContainEqual(expect.objectContaining({ state: "open", instructions: expect.stringContaining("of no use (selfSigned)") }));
  expect(onMachines()).toEqual([[3], [3]]);
});

test("all mail of all that time arrived once, and had been at a gateway", async () => {
  const { through, around, unmarked } = await stream.end();
  expect({ around, unmarked }).toEqual({ around: 0, unmarked: 0 });
  expect(through).toBeGreaterThan(10);
});

test("where the vault has an issuer, it is asked for the next one on request, and the old one is kept beside it", async () => {
  const issued = customer("contoso", "geneva", { certificate: { name: "geneva.example", issuer: "Self" } });
  await platform.organize(issued);
  await platform.register(issued);
  expect((await platform.untilEnded(await platform.start(issued))).error).toBeUndefined();
  const held = () =>
    platform.clouds.platform
      .collection<{ virtualMachineId: string; certificates: { thumbprint: string }[] }>("arm.guests")
      .values()
      .filter(({ virtualMachineId }) => virtualMachineId.toLowerCase().includes(issued.spec.azure.subscriptionId))
      .flatMap(({ certificates }) => certificates.map(({ thumbprint }) => thumbprint));
  const before = held();
  expect(before).toHaveLength(1);
  const { body } = await platform.northwind.rotateCredential({ tenantId: issued.tenantId, name: "smtpCertificate" });
  const ended = await platform.untilEnded(body);
  expect(ended.error, JSON.stringify(ended)).toBeUndefined();
  expect(held()).toHaveLength(2);
  expect(held()).toEqual(expect.arrayContaining(before));
  const { value } = (await platform.northwind.listCredentials({ tenantId: issued.tenantId })).body;
  expect(value.find(({ name }) => name === "smtpCertificate")).toMatchObject({ state: "overlapping", generation: 2 });
});

/** Credentials are replaced on request while mail goes on all the time: none is lost, none comes twice, none goes by unprocessed. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Application } from "../../infra/local/clouds/entra/directory.ts";
import { hashOf } from "../../infra/local/clouds/entra/directory.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { exchangeOf } from "../support/exchange.ts";
import { type MailStream, streamOfMail } from "../support/mail-stream.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
let stream: MailStream;
const contoso = customer(
  "contoso",
  "contoso",
  { exchangeWebServices: { access: "allMailboxes" } },
  { pilot: { addresses: ["pilot@contoso.example"], incoming: true } },
);
const { tenantId } = contoso;
beforeAll(async () => {
  platform = await startOnboarding({ tempo: 0.001 });
  expect((await platform.onboard(contoso)).error).toBeUndefined();
  expect((await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body)).error).toBeUndefined();
  stream = streamOfMail(platform, contoso);
});
afterAll(() => platform.stop());

const credential = async (name: string) => {
  const { value } = (await platform.northwind.listCredentials({ tenantId })).body;
  return value.find((one) => one.name === name);
};
async function rotated(name: string, emergency?: true): Promise<Operation> {
  const { body } = await platform.northwind.rotateCredential({ tenantId, name, ...(emergency && { body: { emergency } }) });
  const ended = await platform.untilEnded(body);
  expect(ended.error, JSON.stringify(ended)).toBeUndefined();
  return ended;
}

test("nobody else's, and none that there is not", async () => {
  await expect(platform.tailspin.rotateCredential({ tenantId, name: "clientSecret" })).rejects.toMatchObject({
    code: "TenantNotFound",
  });
  await expect(platform.northwind.rotateCredential({ tenantId, name: "nothing" })).rejects.toMatchObject({
    code: "CredentialNotFound",
  });
});

test("a client secret on request, once for each Operation-Id", async () => {
  expect(await credential("clientSecret")).toMatchObject({ state: "missing", generation: 1, overlapping: false });
  const headers = { "operation-id": "rotation-asked-for-once" };
  const [first, second] = [
    await platform.northwind.rotateCredential({ tenantId, name: "clientSecret" }, { headers }),
    await platform.northwind.rotateCredential({ tenantId, name: "clientSecret" }, { headers }),
  ];
  expect(second.body.id).toBe(first.body.id);
  expect(first.body.risk).toBeUndefined();
  expect((await platform.untilEnded(first.body)).error).toBeUndefined();
  const made = await credential("clientSecret");
  expect(made).toMatchObject({ state: "current", generation: 2, overlapping: false });
  expect(Date.parse(made?.nextRotationAt ?? "")).toBeLessThan(Date.parse(made?.expiresAt ?? ""));
  await rotated("clientSecret");
  const next = await credential("clientSecret");
  expect(next?.generation).toBe(3);
  expect(next?.version).not.toBe(made?.version);
});

test("a compromised one says what its rotation risks, in the answer and in a task that a person ends", async () => {
  const { body } = await platform.northwind.rotateCredential({ tenantId, name: "clientSecret", body: { emergency: true } });
  expect(body.risk).toContain("refused as soon as");
  expect((await platform.untilEnded(body)).error).toBeUndefined();
  const { value } = (await platform.northwind.listTasks({ tenantId, kind: "emergencyRotation" })).body;
  expect(value).toMatchObject([{ state: "open", operationId: body.id }]);
  expect(value[0]?.instructions).toContain(body.risk);
  await platform.northwind.completeTask({ taskId: value[0]?.id ?? "" });
  const after = (await platform.northwind.listTasks({ tenantId, kind: "emergencyRotation" })).body.value;
  expect(after).toMatchObject([{ state: "done" }]);
});

const guests = () => platform.clouds.platform.collection<GuestState>("arm.guests");
const machines = (): [string, GuestState][] =>
  guests()
    .entries()
    .filter(([id]) => id.toLowerCase().includes(contoso.spec.azure.subscriptionId));

/** What the gateway reads mailboxes with, and what Entra takes from the application that it reads them as. */
const mailboxSecret = (): { held: string; valid: string[] } => {
  const [[, machine] = []] = machines();
  const { OAuthClientId: client, OAuthClientSecret: secret } = machine?.registry["hklm\\software\\gbs\\iq.suite\\ewsscan"] ?? {};
  const application = platform.clouds.platform
    .collection<Application>("entra.applications")
    .values()
    .find(({ appId }) => appId === client?.data);
  return { held: hashOf(String(secret?.data)), valid: (application?.passwordCredentials ?? []).map(({ hash }) => hash) };
};

test("the secret that mailboxes are read with: the gateway has the new one, and the old one is dead", async () => {
  await rotated("exchangeWebServicesSecret");
  const first = mailboxSecret();
  expect(first.valid).toEqual([first.held]);
  expect(await stream.one("mailboxes")).toBe("through");
  const { body } = await platform.northwind.rotateCredential({
    tenantId,
    name: "exchangeWebServicesSecret",
    body: { emergency: true },
  });
  expect(body.risk).toContain("a mailbox that is being read is read again later");
  expect((await platform.untilEnded(body)).error).toBeUndefined();
  const second = mailboxSecret();
  expect(second.valid).toEqual([second.held]);
  expect(second.held).not.toBe(first.held);
  // The WebClient's own was not touched by it.
  expect(await credential("clientSecret")).toMatchObject({ state: "current", generation: 4 });
});

const guidsInRules = async (): Promise<Record<string, number>> => {
  const rules = await (await exchangeOf(platform.clouds, contoso.watched.organization)).list("Get-TransportRule");
  const counted = rules.map(({ Name, HeaderContainsWords, ExceptIfHeaderContainsWords }) => {
    const words = [...asList(HeaderContainsWords), ...asList(ExceptIfHeaderContainsWords)];
    return [String(Name), words.filter((word) => /^[0-9a-f-]{36}$/.test(word)).length] as const;
  });
  return Object.fromEntries(counted.filter(([, count]) => count > 0));
};
const asList = (words: unknown): string[] => (Array.isArray(words) ? words.map(String) : []);

test("the loop GUID: rules accept both, machines write the new one, and the next sweep drops the old one", async () => {
  const before = await credential("loopGuid");
  expect(before).toMatchObject({ state: "current", generation: 1, overlapping: false });
  const operation = await rotated("loopGuid");
  expect(operation).toMatchObject({ kind: "renewal", status: "Succeeded" });
  expect(operation.steps.filter(({ status }) => status !== "Succeeded")).toEqual([]);
  const between = await credential("loopGuid");
  expect(between).toMatchObject({ state: "overlapping", generation: 2 });
  expect(between?.version).not.toBe(before?.version);
  const both = await guidsInRules();
  expect(Object.keys(both).length).toBeGreaterThan(2);
  expect(new Set(Object.values(both))).toEqual(new Set([2]));
  expect(await stream.one("between")).toBe("through");

  await platform.fire("sweepCredentials");
  const dropped = await platform.untilEndedOf("renewal", contoso);
  expect(dropped.error).toBeUndefined();
  await expect.poll(async () => (await credential("loopGuid"))?.state, { timeout: 60_000 }).toBe("current");
  expect(new Set(Object.values(await guidsInRules()))).toEqual(new Set([1]));
  expect(await stream.one("after")).toBe("through");
});

test("a compromised loop GUID is accepted nowhere when its rotation ends", async () => {
  await rotated("loopGuid", true);
  expect(await credential("loopGuid")).toMatchObject({ state: "current", generation: 3, overlapping: false });
  expect(new Set(Object.values(await guidsInRules()))).toEqual(new Set([1]));
  expect(await stream.one("compromised")).toBe("through");
});

/** Of the administrator on each machine, and that of the vault's version which is shown to the partner. */
const administrator = async () => {
  const { version } = (await credential("administratorPassword")) ?? {};
  const secrets = platform.clouds.platform.collection<{ versions: { id: string; value: string; enabled: boolean }[] }>(
    "vault.secrets",
  );
  const versions = secrets
    .entries()
    .find(([id]) => id.includes(tenantId.slice(0, 6)) && id.endsWith("/gateway-admin-password"))?.[1].versions;
  return {
    onMachines: machines().map(([, { passwords }]) => passwords["gatehouse"]),
    shown: hashOf(versions?.find(({ id }) => id === version)?.value ?? ""),
    versions: versions?.map(({ id, enabled }) => (enabled ? id : "off")),
  };
};

test("the administrator's password: it is in the vault before a machine has it, and the old one is switched off", async () => {
  const before = await credential("administratorPassword");
  expect(before).toMatchObject({ state: "current", generation: 1 });
  const operation = await rotated("administratorPassword");
  expect(operation).toMatchObject({ kind: "renewal", status: "Succeeded" });
  expect(operation.steps.map(({ name, status }) => `${name} ${status}`)).toEqual(
    ["createPassword", "changeOnGateway", "logOnToGateway", "flip", "revoke"].map((name) => `${name} Succeeded`),
  );
  expect(await credential("administratorPassword")).toMatchObject({ state: "current", generation: 2, overlapping: false });
  const after = await administrator();
  expect(after.onMachines).toEqual([after.shown]);
  expect(after.versions).toEqual(["off", expect.not.stringMatching(/^off$/)]);
  // The machines' own document is none of its business: nothing differs, and an onboarding writes nothing.
  const since = await platform.now();
  expect((await platform.untilEnded(await platform.start(contoso))).error).toBeUndefined();
  expect(writes(await platform.record(since)).filter((one) => one.startsWith("arm "))).toEqual([]);
});

test("one that somebody has changed by hand is left alone, until it is said to be compromised", async () => {
  const [[id, machine] = []] = machines();
  if (!id || !machine) throw new Error("there is no machine");
  guests().set(id, { ...machine, passwords: { ...machine.passwords, gatehouse: hashOf("By-hand-1") } });
  const { body } = await platform.northwind.rotateCredential({ tenantId, name: "administratorPassword" });
  expect((await platform.untilEnded(body)).error).toMatchObject({ code: "GuestFailed", target: "PasswordUnknown" });
  expect((await administrator()).onMachines).toEqual([hashOf("By-hand-1")]);
  expect(await credential("administratorPassword")).toMatchObject({ state: "current", generation: 2 });
  await rotated("administratorPassword", true);
  expect(await credential("administratorPassword")).toMatchObject({ state: "current", generation: 3 });
  const after = await administrator();
  expect(after.onMachines).toEqual([after.shown]);
});

test("all mail of all that time arrived once, and had been at the gateway", async () => {
  await pause(1000);
  const { through, around, unmarked } = await stream.end();
  expect({ around, unmarked }).toEqual({ around: 0, unmarked: 0 });
  expect(through).toBeGreaterThan(10);
});

/** Credentials are replaced on request while mail goes on all the time: none is lost, none comes twice, none goes by unprocessed. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { exchangeOf } from "../support/exchange.ts";
import { type MailStream, streamOfMail } from "../support/mail-stream.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
let stream: MailStream;
const contoso = customer("contoso", "contoso", {}, { pilot: { addresses: ["pilot@contoso.example"], incoming: true } });
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

test("all mail of all that time arrived once, and had been at the gateway", async () => {
  await pause(1000);
  const { through, around, unmarked } = await stream.end();
  expect({ around, unmarked }).toEqual({ around: 0, unmarked: 0 });
  expect(through).toBeGreaterThan(10);
});

/** Admin consent: proven by tokens and verified domains, never by what a browser brings. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { grantConsent } from "../../infra/local/administrator.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { about, customer, type Customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

/** It looks for consent by itself once an hour: what happens sooner was woken by a callback. */
let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding({ settings: { CONSENT_CHECK_INTERVAL: "PT1H", CONSENT_EXPIRY: "P14D" } });
});
afterAll(() => platform.stop());

const waiting = async (name: string): Promise<{ tenant: Customer; operation: Operation }> => {
  const tenant = customer("contoso", name);
  await platform.organize(tenant);
  await platform.register(tenant);
  return { tenant, operation: await platform.untilWaitingFor(await platform.start(tenant), "consent") };
};
const linkFor = async ({ tenantId }: Customer): Promise<string> => (await platform.northwind.getConsent({ tenantId })).body.url;
const stateOf = (link: string): string => new URL(link).searchParams.get("state") ?? "";
const callback = async (parameters: Record<string, string>): Promise<{ status: number; text: string }> => {
  const response = await fetch(`${platform.url}/api/consent/callback?${new URLSearchParams(parameters).toString()}`);
  return { status: response.status, text: await response.text() };
};
const read = async ({ id }: Operation): Promise<Operation> => (await platform.northwind.getOperation({ operationId: id })).body;

test("an administrator who declines stops nothing: a new link is accepted, and the onboarding goes on", async () => {
  const { tenant, operation } = await waiting("alpine");
  const before = await platform.now();
  const link = await linkFor(tenant);
  expect(await grantConsent(link, "cancel")).toMatch(/Consent was not granted/);
  expect((await read(operation)).waitingFor).toMatchObject({ kind: "consent", url: expect.stringContaining(tenant.tenantId) });
  expect(writes(about(tenant, await platform.record(before)))).toEqual([]);

  await expect(grantConsent(link)).rejects.toThrow(/400.*used already/);
  expect(await grantConsent(await linkFor(tenant))).toMatch(/Thank you/);
  await platform.untilDone(operation, "consent");
});

describe("a callback that brings no good state of ours", () => {
  let tenant: Customer;
  let operation: Operation;
  beforeAll(async () => {
    ({ tenant, operation } = await waiting("tasmanian"));
    await platform.register(customer("contoso", "traders"));
  });

  const forged = (state: string): string => {
    const [header = "", payload = "", signature = ""] = state.split(".");
    const claims = Buffer.from(payload, "base64url").toString("utf8").replace(tenant.tenantId, "contoso");
    return [header, Buffer.from(claims).toString("base64url"), signature].join(".");
  };
  /** The same key signs paging links. */
  const pagingToken = async (): Promise<string> => {
    const { nextLink = "" } = (await platform.northwind.listTenants({ maxpagesize: 1 })).body;
    return [...new URL(nextLink).searchParams.values()].find((value) => value.includes(".")) ?? "";
  };

  test.each<[string, () => Promise<string>]>([
    ["nothing", async () => ""],
    ["something made up", async () => "contoso"],
    ["another tenant's name under a genuine signature", async () => forged(stateOf(await linkFor(tenant)))],
    ["a signature cut short", async () => stateOf(await linkFor(tenant)).slice(0, -4)],
    ["what we signed for another purpose", pagingToken],
  ])("is refused: %s", async (_, state) => {
    const made = await state();
    const { status, text } = await callback({ admin_consent: "True", tenant: tenant.watched.organization, state: made });
    expect({ status, text }).toMatchObject({ status: 400, text: expect.stringContaining("not ours or no longer valid") });
  });

  test("is refused an hour after the link was made", async () => {
    const state = stateOf(await linkFor(tenant));
    const later = Date.now() + 3_601_000;
    const clock = vi.spyOn(Date, "now").mockReturnValue(later);
    const { status, text } = await callback({ admin_consent: "True", tenant: tenant.watched.organization, state }).finally(() =>
      clock.mockRestore(),
    );
    expect({ status, text }).toMatchObject({ status: 400, text: expect.stringContaining("no longer valid") });
  });

  test("wakes nobody: consent is there by now, and the onboarding hasn't looked", async () => {
    await platform.clouds.consent(tenant.watched.organization);
    await callback({ admin_consent: "True", tenant: tenant.watched.organization, state: "contoso" });
    await pause(300);
    expect((await read(operation)).waitingFor?.kind).toBe("consent");
    expect((await callback({ admin_consent: "True", state: stateOf(await linkFor(tenant)) })).status).toBe(200);
    await platform.untilDone(operation, "consent");
  });
});

test("the tenant that a callback names is not believed: consent is looked for where the spec says", async () => {
  const { tenant, operation } = await waiting("lucerne");
  const stranger = customer("contoso", "stranger");
  await platform.organize(stranger);
  await platform.clouds.consent(stranger.watched.organization);
  const before = await platform.now();
  const state = stateOf(await linkFor(tenant));
  const answer = { admin_consent: "True", tenant: stranger.watched.organization, state };
  expect((await callback(answer)).status).toBe(200);
  await vi.waitFor(async () => {
    expect(about(tenant, await platform.record(before)).length).toBeGreaterThan(1);
  });
  await pause(100);
  const record = await platform.record(before);
  expect((await read(operation)).waitingFor?.kind).toBe("consent");
  expect(about(stranger, record)).toEqual([]);
  expect(writes(about(tenant, record))).toEqual([]);

  expect(await callback(answer)).toMatchObject({ status: 400, text: expect.stringContaining("used already") });
  expect(await callback({ ...answer, state: randomUUID() })).toMatchObject({ status: 400 });
});

test("another partner's genuine link changes nothing here: it answers for that partner's own tenant only", async () => {
  const { tenant, operation } = await waiting("proseware");
  const theirs = { ...customer("contoso", "proseware-theirs"), tenantId: tenant.tenantId };
  await platform.organize(theirs);
  await platform.register(theirs, platform.tailspin);
  const link = (await platform.tailspin.getConsent({ tenantId: theirs.tenantId })).body.url;
  await platform.clouds.consent(tenant.watched.organization);
  const before = [await read(operation), (await platform.northwind.getTenant({ tenantId: tenant.tenantId })).body];

  const answer = { admin_consent: "True", tenant: tenant.watched.organization, state: stateOf(link) };
  expect((await callback(answer)).status).toBe(200);
  await pause(300);
  expect([await read(operation), (await platform.northwind.getTenant({ tenantId: tenant.tenantId })).body]).toEqual(before);
  expect(await callback(answer)).toMatchObject({ status: 400, text: expect.stringContaining("nothing was changed") });

  await platform.register({ ...tenant, tenantId: "proseware-stolen" }, platform.tailspin);
  await expect(platform.tailspin.getConsent({ tenantId: "proseware-stolen" })).rejects.toMatchObject({ code: "CustomerTaken" });
  await callback({ admin_consent: "True", state: stateOf(await linkFor(tenant)) });
  await platform.untilDone(operation, "consent");
});

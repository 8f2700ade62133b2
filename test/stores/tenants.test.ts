/** Tenants: a partner's own partition, and no write lost. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { testStores, unique } from "../support/stores.ts";

const clock = { time: Date.parse("2026-11-01T00:00:00Z"), now: () => clock.time };
const { tenants } = testStores(clock);
const { tenantId: _, ...example } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const spec = tenantSpecSchema.parse(example);

async function tenantOf(partnerId: string, id = "contoso") {
  const tenant = await tenants.add(partnerId, id, spec);
  if (!tenant) throw new Error("there was one already");
  return tenant;
}

test("a tenant comes back as it was added", async () => {
  const partnerId = unique("partner");
  const added = await tenantOf(partnerId);
  expect(await tenants.get(partnerId, "contoso")).toEqual(added);
  expect(added).toMatchObject({
    partnerId,
    id: "contoso",
    stage: "registered",
    facts: {},
    conditions: [{ type: "Ready", status: "False" }],
  });
  expect(JSON.parse(JSON.stringify(added.spec))).toEqual(JSON.parse(JSON.stringify(spec)));
});

test("the largest spec that is allowed fits", async () => {
  const partnerId = unique("partner");
  const domains = Array.from(
    { length: 50 },
    (_, index) => `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.d${index}.example`,
  );
  const addresses = domains.map((domain) => `pilot@${domain}`);
  const sources = Array.from({ length: 100 }, (_, index) => `203.0.113.${index}/32`);
  const largest = tenantSpecSchema.parse({
    ...example,
    microsoft365: { ...example.microsoft365, domains, probeMailbox: addresses[0] },
    pilot: { addresses },
    gateway: {
      ...example.gateway,
      services: {
        smtp: { sources },
        rdp: { sources },
        webClient: { sources },
        keyManager: { sources },
        http: { sources },
        https: { sources },
      },
    },
  });
  await tenants.add(partnerId, "largest", largest);
  expect((await tenants.get(partnerId, "largest")).spec).toEqual(largest);
});

test("an id is taken once a partner, and free for another partner", async () => {
  const [one, other] = [unique("one"), unique("other")];
  await tenantOf(one);
  expect(await tenants.add(one, "contoso", spec)).toBeUndefined();
  await tenantOf(other);
  expect((await tenants.list(one, 10)).items.map(({ partnerId }) => partnerId)).toEqual([one]);
});

test("changes at once all count", async () => {
  const partnerId = unique("partner");
  await tenantOf(partnerId);
  const names = ["a", "b", "c"];
  await Promise.all(
    names.map((name) => tenants.change(partnerId, "contoso", ({ facts }) => ({ facts: { ...facts, [name]: true } }))),
  );
  expect((await tenants.get(partnerId, "contoso")).facts).toEqual({ a: true, b: true, c: true });
});

test("a decision to change nothing writes nothing", async () => {
  const partnerId = unique("partner");
  const before = await tenantOf(partnerId);
  expect(await tenants.change(partnerId, "contoso", () => undefined)).toEqual(before);
});

test("a refusal in a decision leaves the tenant as it is", async () => {
  const partnerId = unique("partner");
  const before = await tenantOf(partnerId);
  const refusing = tenants.change(partnerId, "contoso", () => {
    throw new Error("no");
  });
  await expect(refusing).rejects.toThrow("no");
  expect(await tenants.get(partnerId, "contoso")).toEqual(before);
});

test("a condition's since moves with its status, not with its words", async () => {
  const partnerId = unique("partner");
  await tenantOf(partnerId);
  const set = async (status: "True" | "False", reason: string) => {
    clock.time += 60_000;
    const { conditions } = await tenants.setConditions(partnerId, "contoso", [
      { type: "ConsentGranted", status, reason, message: reason },
    ]);
    return conditions.find(({ type }) => type === "ConsentGranted");
  };
  const first = await set("False", "Waiting");
  const second = await set("False", "StillWaiting");
  const third = await set("True", "Granted");
  expect(second).toMatchObject({ reason: "StillWaiting", since: first?.since });
  expect(third?.since).not.toBe(first?.since);
});

test("a tenant that was changed since it was read is not deleted", async () => {
  const partnerId = unique("partner");
  const read = await tenantOf(partnerId);
  const changed = await tenants.change(partnerId, "contoso", () => ({ stage: "onboarding" }));
  expect(await tenants.delete(read)).toBe(false);
  expect(await tenants.delete(changed)).toBe(true);
  await expect(tenants.get(partnerId, "contoso")).rejects.toMatchObject({ code: "TenantNotFound" });
});

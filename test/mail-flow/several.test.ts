/** The doors of many tenants: each is told what became of it, and nobody reaches another partner's. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Stage } from "../../shared/api/tenant.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const reason = { reason: "the region is down" };
let api: TestApi;
let owner: TestPartner;
let stranger: TestPartner;
beforeAll(async () => {
  api = await startApi();
  [owner, stranger] = [await api.partner(), await api.partner()];
  const stages: Record<string, Stage> = { alpine: "bypassed", contoso: "live", fabrikam: "pilot", tailwind: "registered" };
  for (const [tenantId, stage] of Object.entries(stages)) {
    await owner.api.putTenant({ tenantId, body: spec });
    await api.world.stores.tenants.change(owner.partnerId, tenantId, () => ({ stage }));
  }
});
afterAll(() => api.stop());

test("whoever goes that way already is left alone, whoever can't is told why, and whoever has no mail there isn't meant", async () => {
  const { partnerId } = owner;
  const { status, body } = await owner.api.startPartnerBypass({ partnerId, body: reason });
  expect(status).toBe(202);
  expect(body.value).toEqual([
    { tenantId: "alpine", outcome: "already" },
    // Nothing is known of their gateways.
    { tenantId: "contoso", outcome: "refused", error: expect.objectContaining({ code: "NothingToBypass" }) },
    { tenantId: "fabrikam", outcome: "refused", error: expect.objectContaining({ code: "NothingToBypass" }) },
  ]);
});

test("one whose operation runs keeps no other from being answered", async () => {
  const { partnerId } = owner;
  const id = randomUUID();
  const running = { partnerId, tenantId: "contoso", id, kind: "bypass" as const, requestHash: "hash", steps: [] };
  await api.world.stores.operations.create(running);
  await api.world.stores.operations.recordProgress(partnerId, id, { status: "Running" });
  await api.world.stores.tenants.change(partnerId, "contoso", () => ({ operationId: id }));
  const { body } = await owner.api.startPartnerBypass({ partnerId, body: reason });
  expect(body.value.map(({ tenantId, outcome, operation }) => [tenantId, outcome, operation?.id])).toEqual([
    ["alpine", "already", undefined],
    ["contoso", "underway", id],
    ["fabrikam", "refused", undefined],
  ]);
  const restored = (await owner.api.startPartnerRestore({ partnerId })).body.value;
  expect(restored.map(({ tenantId, outcome }) => `${tenantId} ${outcome}`)).toContain("fabrikam already");
});

test("an operator may, another partner may not, and learns nothing", async () => {
  const { partnerId } = owner;
  expect((await api.operator.api.startPartnerBypass({ partnerId, body: reason })).body.value).toHaveLength(3);
  for (const named of [partnerId, "nobody-at-all"])
    await expect(stranger.api.startPartnerBypass({ partnerId: named, body: reason })).rejects.toMatchObject({
      status: 404,
      code: "PartnerNotFound",
      message: `there is no partner ${named}`,
    });
  const nobodys = api.operator.api.startPartnerRestore({ partnerId: "nobody-at-all" });
  await expect(nobodys).rejects.toMatchObject({ code: "PartnerNotFound" });
  await expect(owner.api.startPartnerBypass({ partnerId, body: { reason: " " } })).rejects.toMatchObject({ status: 400 });
});

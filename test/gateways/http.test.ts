/** Gateways and events over the wire: lists in pages, one gateway, and nobody else's. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

let api: TestApi;
let owner: TestPartner;
let stranger: TestPartner;
beforeAll(async () => {
  api = await startApi();
  [owner, stranger] = [await api.partner(), await api.partner()];
  for (const tenantId of ["contoso", "fabrikam", "tailspin"]) {
    await api.world.stores.gateways.put({
      partnerId: owner.partnerId,
      tenantId,
      virtualMachineId: `/subscriptions/s/resourceGroups/${tenantId}/providers/Microsoft.Compute/virtualMachines/gateway-1`,
      entraTenantId: randomUUID(),
      subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
      address: "203.0.113.10",
      fqdn: `${tenantId}.westeurope.cloudapp.azure.example`,
      region: "westeurope",
      state: { health: "healthy", power: "PowerState/running", availability: "Available", reason: "Running" },
    });
    await api.world.stores.events.add({
      partnerId: owner.partnerId,
      tenantId,
      id: randomUUID(),
      type: "gateway.health.changed",
      subject: `${tenantId}-gateway-1`,
      at: new Date().toISOString(),
      data: { before: { health: "healthy" }, after: { health: "stopped" } },
    });
  }
});
afterAll(() => api.stop());

const get = async (path: string, token: string) => {
  const response = await api.request("GET", path, { token });
  return { status: response.status, text: await response.text() };
};

test("the list is paged, and shows how each gateway is", async () => {
  const { body: first } = await owner.api.listGateways({ maxpagesize: 2 });
  expect(first.value.map(({ id }) => id)).toEqual(["contoso-gateway-1", "fabrikam-gateway-1"]);
  expect(first.value[0]).toMatchObject({ tenantId: "contoso", state: { health: "healthy", since: expect.any(String) } });
  const second = await fetch(first.nextLink ?? "", { headers: { authorization: `Bearer ${owner.token}` } });
  expect(await second.json()).toMatchObject({ value: [{ id: "tailspin-gateway-1" }] });
});

test("one gateway, without what is inside", async () => {
  const { status, text } = await get("/api/gateways/contoso-gateway-1", owner.token);
  expect(status).toBe(200);
  for (const inner of ["partnerId", "entraTenantId", "misses", "owed"]) expect(text).not.toContain(inner);
});

test("events come newest first, by tenant and type", async () => {
  const { body } = await owner.api.listEvents({});
  expect(body.value.map(({ tenantId }) => tenantId).toSorted()).toEqual(["contoso", "fabrikam", "tailspin"]);
  expect(body.value.map(({ at }) => at)).toEqual(
    body.value
      .map(({ at }) => at)
      .toSorted()
      .toReversed(),
  );
  const { body: one } = await owner.api.listEvents({ tenantId: "contoso", type: "gateway.health.changed" });
  expect(one.value).toMatchObject([{ subject: "contoso-gateway-1", data: { after: { health: "stopped" } } }]);
  const { body: none } = await owner.api.listEvents({ type: "listing.confirmed" });
  expect(none.value).toEqual([]);
});

test("another partner sees none of it, and a gateway of another's is as one that isn't there", async () => {
  expect((await stranger.api.listGateways({})).body.value).toEqual([]);
  expect((await stranger.api.listEvents({})).body.value).toEqual([]);
  const theirs = await get("/api/gateways/contoso-gateway-1", stranger.token);
  const nobodys = await get("/api/gateways/nowhere-gateway-1", stranger.token);
  expect(theirs.status).toBe(404);
  expect(theirs.text.replaceAll("contoso", "nowhere")).toBe(nobodys.text);
  for (const path of ["/api/gateways", "/api/events"])
    expect((await get(`${path}?partnerId=${owner.partnerId}`, stranger.token)).status).toBe(403);
});

test("a gateway's history comes in pages that follow each other through one window, and to its partner alone", async () => {
  const gatewayId = "contoso-gateway-1";
  const { body: all } = await owner.api.getGatewayHistory({ gatewayId, resolution: "PT1H" });
  expect(all.value).toHaveLength(90 * 24);
  expect(all.value.at(-1)).toMatchObject({ health: "healthy", reported: false });
  expect(all.nextLink).toBeUndefined();

  const times: string[] = [];
  let page: { value: { at: string }[]; nextLink?: string | undefined; from: string; to: string };
  page = (await owner.api.getGatewayHistory({ gatewayId, maxpagesize: 60 })).body;
  const { from, to } = page;
  while (true) {
    times.push(...page.value.map(({ at }) => at));
    expect(page).toMatchObject({ from, to, resolution: "PT10M" });
    if (page.nextLink === undefined) break;
    const response = await fetch(page.nextLink, { headers: { authorization: `Bearer ${owner.token}` } });
    page = (await response.json()) as typeof page;
  }
  expect(times).toHaveLength(144);
  expect(new Set(times).size).toBe(144);
  expect(times[0]).toBe(from);

  const theirs = await get("/api/gateways/contoso-gateway-1/history", stranger.token);
  const nobodys = await get("/api/gateways/nowhere-gateway-1/history", stranger.token);
  expect(theirs.status).toBe(404);
  expect(theirs.text.replaceAll("contoso", "nowhere")).toBe(nobodys.text);
  const wrong = await get("/api/gateways/contoso-gateway-1/history?resolution=PT5M&from=yesterday&maxpagesize=9999", owner.token);
  expect(wrong.status).toBe(400);
  for (const target of ["resolution", "from", "maxpagesize"]) expect(wrong.text).toContain(`"target":"${target}"`);
  const operators = await get(`/api/gateways/contoso-gateway-1/history?partnerId=${owner.partnerId}`, api.operator.token);
  expect(operators.status).toBe(200);
});

test("an operator names the partner", async () => {
  const { body } = await api.operator.api.listGateways({ partnerId: owner.partnerId });
  expect(body.value).toHaveLength(3);
  expect((await get("/api/gateways", api.operator.token)).status).toBe(400);
});

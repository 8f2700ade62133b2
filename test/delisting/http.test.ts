/** Blocklists, listings and delisting cases over the wire. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { unique } from "../support/stores.ts";

let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const since = "2030-01-01T00:00:00.000Z";
async function openCase(list = unique("list"), address = "203.0.113.7"): Promise<string> {
  const { partnerId } = partner;
  const { id } = await api.world.stores.cases.open({
    id: `delisting-${list}-${address}-20300101t000000z`,
    partnerId,
    tenantId: "contoso",
    list,
    listTitle: "A list",
    address,
    codes: ["127.0.0.2"],
    listedSince: since,
    deadline: "2030-01-03T00:00:00.000Z",
  });
  return id;
}

test("a case is read with its state; one that isn't there is not found", async () => {
  const caseId = await openCase();
  const { body, headers } = await partner.api.getDelisting({ caseId });
  expect(body).toMatchObject({ id: caseId, state: "opened", address: "203.0.113.7", codes: ["127.0.0.2"], findings: [] });
  expect(headers.get("etag")).toMatch(/^"/);
  expect(body).not.toHaveProperty("partnerId");
  await expect(partner.api.getDelisting({ caseId: `${caseId}0` })).rejects.toMatchObject({ code: "DelistingNotFound" });
  await expect(partner.api.getDelisting({ caseId: "delisting-..%2Fx" })).rejects.toMatchObject({ status: 400 });
});

test("cases are listed by state and tenant", async () => {
  const caseId = await openCase();
  const ids = async (query: object) =>
    (await partner.api.listDelistings({ ...query, maxpagesize: 200 })).body.value.map(({ id }) => id);
  expect(await ids({ state: "opened", tenantId: "contoso" })).toContain(caseId);
  expect(await ids({ state: "closed" })).not.toContain(caseId);
  expect(await ids({ tenantId: "fabrikam" })).toEqual([]);
});

test("an acknowledgement counts once, whoever gives it; a ticket may be added; a closed case stays as it is", async () => {
  const caseId = await openCase();
  const { partnerId } = partner;
  await expect(partner.api.acknowledgeDelisting({ caseId })).rejects.toMatchObject({ status: 409, code: "DelistingNotReady" });
  await api.world.stores.cases.change(partnerId, caseId, () => ({
    state: "ready",
    task: {
      kind: "askForRemoval",
      title: "Ask",
      link: "https://lists.example/",
      text: "",
      note: "",
      steps: [],
      fields: [],
      since,
      reminders: 0,
    },
  }));
  const first = await api.operator.api.acknowledgeDelisting({ caseId, partnerId });
  expect(first.body).toMatchObject({ state: "waiting", acknowledged: { by: "Operator" } });
  const again = await partner.api.acknowledgeDelisting({ caseId });
  expect(again.body).toEqual(first.body);
  const ticket = await partner.api.acknowledgeDelisting({ caseId, body: { ticket: "SR-1" } });
  expect(ticket.body.acknowledged).toEqual({ ...first.body.acknowledged, ticket: "SR-1" });
  expect(ticket.body.history).toEqual(first.body.history);

  const closed = await openCase();
  await api.world.stores.cases.change(partnerId, closed, () => ({ state: "closed", outcome: "delisted", message: "gone" }));
  expect((await partner.api.acknowledgeDelisting({ caseId: closed })).body).toMatchObject({ state: "closed" });
  expect((await partner.api.getDelisting({ caseId: closed })).body.acknowledged).toBeUndefined();
});

test("listings are shown with what their codes mean, page by page", async () => {
  const { partnerId } = partner;
  const { listings } = api.world.stores;
  for (const address of ["203.0.113.1", "203.0.113.2", "203.0.113.3"])
    await listings.change({ partnerId, tenantId: "contoso", address }, () => ({
      sightings: { spamcop: { state: "listed", codes: ["127.0.0.2"], since } },
      past: {},
    }));
  const first = await partner.api.listListings({ maxpagesize: 2 });
  expect(first.body.value[0]).toEqual({
    address: "203.0.113.1",
    tenantId: "contoso",
    lists: [
      {
        list: "spamcop",
        title: "SpamCop",
        weight: "high",
        state: "listed",
        codes: [{ code: "127.0.0.2", meaning: "reported as a spam source" }],
        since,
      },
    ],
  });
  const next = await fetch(first.body.nextLink ?? "", { headers: { authorization: `Bearer ${partner.token}` } });
  expect(((await next.json()) as { value: { address: string }[] }).value.map(({ address }) => address)).toEqual(["203.0.113.3"]);
});

test("lists that can't be believed are blind, and so are those that were never asked", async () => {
  const { listings } = api.world.stores;
  await listings.changeHealth("spamcop", () => ({ health: "refused", since }));
  await listings.changeHealth("psbl", () => ({ health: "ok", since }));
  const lists = Object.fromEntries((await partner.api.listBlocklists({})).body.value.map(({ id, ...rest }) => [id, rest]));
  expect(lists.spamcop).toEqual({ title: "SpamCop", weight: "high", health: "refused", blind: true, since });
  expect(lists.psbl).toMatchObject({ health: "ok", blind: false });
  expect(lists.mailspike).toMatchObject({ health: "unknown", blind: true });
});

test("the time of the last run is kept", async () => {
  const { listings } = api.world.stores;
  await listings.recordPoll(Date.parse(since));
  await listings.recordPoll(Date.parse(since) + 60_000);
  expect(await listings.lastPolledAt()).toBe(Date.parse(since) + 60_000);
});

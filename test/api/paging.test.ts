/** Paging links lead to the next page, for the caller and the query that they were made for, and nowhere else. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const names = ["alpha", "beta", "delta", "epsilon", "gamma"];
let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
  for (const tenantId of names) await partner.api.putTenant({ tenantId, body: spec });
});
afterAll(() => api.stop());

const follow = async (link: string, token: string) => {
  const response = await fetch(link, { headers: { authorization: `Bearer ${token}` } });
  return {
    status: response.status,
    body: (await response.json()) as { value: { id: string }[]; nextLink?: string; error?: { details: { target: string }[] } },
  };
};
const firstLink = async () => (await partner.api.listTenants({ maxpagesize: 2 })).body.nextLink ?? "";

test("following the links gives every item once, and the last page has no link", async () => {
  const seen: string[] = [];
  let link: string | undefined = `${api.url}/api/tenants?api-version=2026-11-01&maxpagesize=2`;
  while (link !== undefined) {
    const { body } = await follow(link, partner.token);
    seen.push(...body.value.map(({ id }) => id));
    expect(Object.hasOwn(body, "nextLink")).toBe(body.nextLink !== undefined);
    link = body.nextLink;
  }
  expect(seen).toEqual(names);
});

test("a link is absolute and works as it is", async () => {
  expect((await follow(await firstLink(), partner.token)).body.value.map(({ id }) => id)).toEqual(["delta", "epsilon"]);
});

const refused = { status: 400, body: { error: { code: "InvalidRequest", details: [{ target: "skipToken" }] } } };

test("another partner's link is refused, even by an operator", async () => {
  const stranger = await api.partner();
  expect(await follow(await firstLink(), stranger.token)).toMatchObject(refused);
  expect(await follow(`${await firstLink()}&partnerId=${partner.partnerId}`, api.operator.token)).toMatchObject(refused);
});

test("a link of one query or list doesn't work in another", async () => {
  const link = await firstLink();
  expect(await follow(link.replace("/api/tenants", "/api/operations"), partner.token)).toMatchObject(refused);
  expect(await follow(`${link}&partnerId=${partner.partnerId}`, partner.token)).toMatchObject(refused);
});

test("a link that was made up is refused", async () => {
  const link = new URL(await firstLink());
  for (const token of ["x", `${link.searchParams.get("skipToken")}x`, "eyJhbGciOiJub25lIn0.eyJwYXlsb2FkIjp7fX0."]) {
    link.searchParams.set("skipToken", token);
    expect(await follow(link.href, partner.token)).toMatchObject(refused);
  }
});

/** The edge over the wire: versions, bodies, conditions, headers and refusals, the same on every route. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { HttpRequest, InvocationContext } from "@azure/functions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endpoint } from "../../shared/api/endpoint.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const errorOf = async (response: Response) => {
  const { error } = (await response.json()) as {
    error: { code: string; message: string; target?: string; details?: { code: string; target: string; message: string }[] };
  };
  expect(response.headers.get("x-ms-error-code")).toBe(error.code);
  expect(response.headers.get("x-ms-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  return { status: response.status, ...error };
};
const put = (body: unknown, headers: Record<string, string> = {}, path = "/api/tenants/contoso") =>
  api.request("PUT", path, { token: partner.token, body, headers });

test("a request without api-version is told which there are", async () => {
  const response = await fetch(`${api.url}/api/tenants`, { headers: { authorization: `Bearer ${partner.token}` } });
  expect(await errorOf(response)).toMatchObject({
    status: 400,
    code: "MissingApiVersionParameter",
    message: expect.stringContaining("2026-11-01"),
  });
});

test("a request for a version that doesn't exist is told which there are", async () => {
  const response = await api.request("GET", "/api/tenants?api-version=2020-01-01", { token: partner.token });
  expect(await errorOf(response)).toMatchObject({
    status: 400,
    code: "UnsupportedApiVersionValue",
    message: expect.stringContaining("2026-11-01"),
  });
});

test("without a token the answer is 401 and says where to get one", async () => {
  const response = await api.request("GET", "/api/tenants");
  expect(response.headers.get("www-authenticate")).toContain(
    `Bearer authorization_uri="${api.issuer.authorityHost}/common/oauth2/v2.0/authorize"`,
  );
  expect(await errorOf(response)).toMatchObject({ status: 401, code: "TokenInvalid" });
});

test("who is authenticated is asked before what is requested", async () => {
  const response = await fetch(`${api.url}/api/tenants/Not%20An%20Id`, {
    method: "PUT",
    body: "{",
    headers: { "content-type": "application/json" },
  });
  expect((await errorOf(response)).code).toBe("TokenInvalid");
});

test("a role that the route isn't for is refused", async () => {
  expect(await errorOf(await api.request("GET", "/api/partners", { token: partner.token }))).toMatchObject({
    status: 403,
    code: "RoleRequired",
  });
  expect(
    await errorOf(await api.request("PUT", "/api/tenants/contoso", { token: api.operator.token, body: spec })),
  ).toMatchObject({ status: 403, code: "RoleRequired" });
});

test("every wrong field is named with its path and what it has to be", async () => {
  const wrong = {
    ...spec,
    displayname: "Contoso",
    microsoft365: { ...spec.microsoft365, domains: ["Contoso.example"] },
    gateway: { region: "westeurope", services: { rdp: { sources: ["0.0.0.0/0"] } } },
  };
  const error = await errorOf(await put(wrong));
  expect(error).toMatchObject({ status: 400, code: "InvalidRequest" });
  expect(error.details).toEqual(
    expect.arrayContaining([
      { code: "UnknownField", target: "displayname", message: "is not known here; remove it or correct its spelling" },
      {
        code: "InvalidField",
        target: "microsoft365.domains[0]",
        message: "must be a lower-case domain name such as contoso.example",
      },
      {
        code: "InvalidField",
        target: "gateway.services.rdp.sources[0]",
        message: expect.stringContaining("admits the whole internet"),
      },
    ]),
  );
});

test("what is missing, of the wrong type or none of the choices is said in plain words", async () => {
  const error = await errorOf(
    await put({ ...spec, pilot: undefined, connectionFilter: "yes", gateway: { ...spec.gateway, disk: "Floppy", regions: {} } }),
  );
  expect(error.details).toEqual(
    expect.arrayContaining([
      { code: "InvalidField", target: "pilot", message: "is missing, and must be an object" },
      { code: "InvalidField", target: "connectionFilter", message: "must be true or false" },
      { code: "InvalidField", target: "gateway.disk", message: expect.stringMatching(/^must be one of .*Premium_LRS/) },
      { code: "InvalidField", target: "gateway.regions", message: "must be an array" },
    ]),
  );
});

test("a path segment and a query parameter that are wrong are named too", async () => {
  expect(await errorOf(await put(spec, {}, "/api/tenants/C"))).toMatchObject({
    code: "InvalidRequest",
    details: [{ target: "tenantId" }],
  });
  const listing = (query: string) => api.request("GET", `/api/tenants?${query}`, { token: partner.token });
  expect(await errorOf(await listing("maxpagesize=0"))).toMatchObject({
    code: "InvalidRequest",
    details: [{ target: "maxpagesize" }],
  });
  expect(await errorOf(await listing("filter=all"))).toMatchObject({ details: [{ code: "UnknownField", target: "filter" }] });
});

test("a body that is no JSON, of another type, or too large is refused as what it is", async () => {
  expect(await errorOf(await put("{ displayName: 'x' }"))).toMatchObject({ status: 400, code: "InvalidRequest", target: "body" });
  expect(await errorOf(await put(JSON.stringify(spec), { "content-type": "text/plain" }))).toMatchObject({
    status: 415,
    code: "UnsupportedMediaType",
  });
  expect(await errorOf(await put(JSON.stringify(spec), { "content-type": "application/json; charset=utf-16" }))).toMatchObject({
    status: 415,
  });
  expect(await errorOf(await put({ ...spec, displayName: "x".repeat(300_000) }))).toMatchObject({
    status: 413,
    code: "PayloadTooLarge",
  });
  expect(await errorOf(await put(""))).toMatchObject({ status: 400, code: "InvalidRequest" });
});

test("names that mean something to JavaScript are only names", async () => {
  const error = await errorOf(await put(`{"__proto__":{"stage":"live"},"constructor":1,${JSON.stringify(spec).slice(1)}`));
  expect(error.details?.map(({ target }) => target)).toContain("constructor");
});

test("an ETag is strong, and what is known already is not sent again", async () => {
  const path = "/api/tenants/etagged";
  const created = await put(spec, {}, path);
  const etag = created.headers.get("etag") ?? "";
  expect([created.status, etag]).toEqual([201, expect.stringMatching(/^"[A-Za-z0-9_-]+"$/)]);
  const read = (headers: Record<string, string>) => api.request("GET", path, { token: partner.token, headers });
  const unchanged = await read({ "if-none-match": etag });
  expect([unchanged.status, await unchanged.text(), unchanged.headers.get("etag")]).toEqual([304, "", etag]);
  expect((await read({ "if-none-match": `"b3RoZXI"` })).status).toBe(200);
  expect(await (await read({})).json()).toMatchObject({ etag });
});

test("a condition that doesn't hold is 412, and nothing is changed", async () => {
  const path = "/api/tenants/conditional";
  expect((await put(spec, { "if-match": "*" }, path)).status).toBe(412);
  const etag = (await put(spec, { "if-none-match": "*" }, path)).headers.get("etag") ?? "";
  const changed = { ...spec, displayName: "Contoso Ltd" };
  expect(await errorOf(await put(changed, { "if-none-match": "*" }, path))).toMatchObject({
    status: 412,
    code: "PreconditionFailed",
    target: "If-None-Match",
  });
  expect(await errorOf(await put(changed, { "if-match": `W/${etag}` }, path))).toMatchObject({ status: 412, target: "If-Match" });
  expect((await put(changed, { "if-match": etag }, path)).status).toBe(200);
  expect((await put(spec, { "if-match": etag }, path)).status).toBe(412);
  expect((await partner.api.getTenant({ tenantId: "conditional" })).body.spec.displayName).toBe("Contoso Ltd");
});

test("the caller's trace goes into the log", async () => {
  const traceId = randomUUID().replaceAll("-", "");
  const world = { ...api.world, authenticate: () => Promise.reject(new Error("the key is AccountKey=abc;")) };
  const request = new HttpRequest({
    method: "GET",
    url: `${api.url}/api/me?api-version=2026-11-01`,
    query: { "api-version": "2026-11-01" },
    headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
  });
  const answer = await endpoint("getMe", world, ({ caller }) => ({ body: caller }))(
    request,
    new InvocationContext({ invocationId: randomUUID() }),
  );
  expect(answer.status).toBe(500);
  const line = api.logged.find((logged) => logged.includes(traceId));
  expect(JSON.parse(line ?? "{}")).toMatchObject({ level: "error", route: "getMe", traceId });
});

const refusedBy = async (reason: Error) => {
  const world = { ...api.world, authenticate: () => Promise.reject(reason) };
  const request = new HttpRequest({ method: "GET", url: `${api.url}/api/me` });
  const { status, headers, body } = await endpoint("getMe", world, ({ caller }) => ({ body: caller }))(
    request,
    new InvocationContext({ invocationId: "i" }),
  );
  return { status, headers: headers as Record<string, string>, body: JSON.parse(typeof body === "string" ? body : "{}").error };
};

test("an error that nobody foresaw tells the caller nothing of the inside", async () => {
  const { status, body } = await refusedBy(new Error("https://account.table.core.windows.net/partners?sig=secret"));
  expect({ status, body }).toEqual({
    status: 500,
    body: { code: "InternalServerError", message: "something went wrong on our side" },
  });
});

test("an error outside the catalogue is ours to read; the caller learns whether trying again can help", async () => {
  const busy = await refusedBy(
    new ControlPlaneError("ExchangeBusy", "creating a connector in 203.0.113.7", 503, true, { retryAfterInSeconds: 17 }),
  );
  expect(busy).toMatchObject({ status: 503, body: { code: "ServiceUnavailable" }, headers: { "retry-after": "17" } });
  expect(await refusedBy(new ControlPlaneError("Odd", "inner text", 400))).toMatchObject({
    status: 500,
    body: { code: "InternalServerError" },
  });
});

test("storage that is busy or does not answer is no fault of ours, and trying again can help", async () => {
  const storageError = (statusCode?: number) => Object.assign(new Error("inner text"), { name: "RestError", statusCode });
  for (const statusCode of [undefined, 429, 500, 503])
    expect(await refusedBy(storageError(statusCode))).toMatchObject({ status: 503, body: { code: "ServiceUnavailable" } });
  expect(await refusedBy(storageError(400))).toMatchObject({ status: 500, body: { code: "InternalServerError" } });
});

test("a path that doesn't exist and a method that a path doesn't have are 404", async () => {
  expect((await api.request("GET", "/api/nothing", { token: partner.token })).status).toBe(404);
  expect((await api.request("POST", "/api/tenants/contoso", { token: partner.token })).status).toBe(404);
});

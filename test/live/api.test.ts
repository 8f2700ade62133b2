/**
 * The API as any host serves it: this project's own, `func start`, or Azure. Nothing here changes anything.
 * `npm run test:live` asks the app at BASE_URL, as the partner whose access token is TOKEN; `npm test` asks an app of its own.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apiVersion, routes } from "../../shared/api/routes.ts";
import { startApi, type TestApi } from "../support/api.ts";

/** Set by vitest.config.ts for `npm run test:live`. */
const { LIVE_URL: given, LIVE_TOKEN: givenToken } = process.env;

let url: string;
let token: string;
let own: TestApi | undefined;

beforeAll(async () => {
  if (given !== undefined) {
    if (given === "") throw new Error("BASE_URL must say where the app is, for example http://127.0.0.1:7071");
    url = given.replace(/\/+$/, "");
    token = givenToken ?? "";
    return;
  }
  own = await startApi();
  ({ url } = own);
  ({ token } = await own.partner());
});
afterAll(() => own?.stop());

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

const ask = (path: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Response> =>
  fetch(url + path, { method, headers, redirect: "manual", ...(body === undefined ? {} : { body }) });

/** As a partner, in the current version. */
const askAsPartner = (path: string, { headers, ...asked }: Asked = {}): Promise<Response> =>
  ask(`${path}${path.includes("?") ? "&" : "?"}api-version=${apiVersion}`, {
    ...asked,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });

async function refusalOf(response: Response): Promise<unknown> {
  const { error } = (await response.json()) as { error: { code: string; details?: { target?: string }[] } };
  expect(response.headers.get("x-ms-error-code")).toBe(error.code);
  expect(response.headers.get("x-ms-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  return { status: response.status, code: error.code, targets: error.details?.map(({ target }) => target) };
}

/** For people's and partners' programs; a machine's door has another lock. */
const closed = Object.entries(routes)
  .filter(([, { roles }]) => roles !== "anyone" && roles.some((role) => role === "Partner" || role === "Operator"))
  .map(([name, { method, path }]) => ({
    name,
    method,
    path: path.replaceAll(/\{\w+\}/g, "00000000-0000-4000-8000-000000000000"),
  }));

describe("anybody", () => {
  test("learns that the service is alive and ready", async () => {
    const [health, readiness] = await Promise.all([ask("/healthz"), ask("/readyz")]);
    expect([health.status, await health.json()]).toEqual([200, { status: "alive" }]);
    expect([readiness.status, await readiness.json()]).toMatchObject([200, { status: "ready" }]);
  });

  test("reads the API's description, once", async () => {
    const first = await ask("/api/openapi.json");
    const document = (await first.json()) as { openapi: string; paths: Record<string, unknown> };
    expect(first.headers.get("content-type")).toMatch(/^application\/json/);
    expect(document.openapi).toBe("3.1.1");
    expect(Object.keys(document.paths).toSorted()).toEqual(
      [...new Set(Object.values(routes).map(({ path }) => path))].toSorted(),
    );
    const again = await ask("/api/openapi.json", { headers: { "if-none-match": first.headers.get("etag") ?? "" } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  });

  test.each(closed)("is refused at $name, and told where to get a token", async ({ method, path }) => {
    const response = await ask(`${path}?api-version=${apiVersion}`, { method });
    expect(response.headers.get("www-authenticate")).toMatch(/^Bearer authorization_uri="https?:\/\//);
    expect(await refusalOf(response)).toMatchObject({ status: 401, code: "TokenInvalid" });
  });

  test.each(["Bearer", "Bearer no.token.atall", "Basic cGFydG5lcjpwYXNzd29yZA=="])(
    "is refused with %s",
    async (authorization) => {
      const response = await ask(`/api/tenants?api-version=${apiVersion}`, { headers: { authorization } });
      expect(await refusalOf(response)).toMatchObject({ status: 401, code: "TokenInvalid" });
    },
  );

  test.each([
    ["GET", "/api/nothing"],
    ["GET", "/nothing"],
    ["POST", "/api/tenants/contoso"],
    ["DELETE", "/healthz"],
  ])("finds nothing by %s %s", async (method, path) => {
    expect((await ask(path, { method })).status).toBe(404);
  });
});

describe.skipIf(given !== undefined && !givenToken)("a partner", () => {
  test("is who the token says", async () => {
    const response = await askAsPartner("/api/me");
    expect([response.status, await response.json()]).toMatchObject([200, { role: "Partner" }]);
  });

  const lists = ["tenants", "operations", "gateways", "listings", "blocklists", "delistings", "events"];
  test.each(lists)("lists its %s", async (list) => {
    const response = await askAsPartner(`/api/${list}`);
    expect([response.status, await response.json()]).toMatchObject([200, { value: expect.any(Array) as unknown[] }]);
  });

  test.each(["tenants/no-such-tenant", "operations/00000000-0000-4000-8000-000000000000"])("finds no %s", async (path) => {
    expect(await refusalOf(await askAsPartner(`/api/${path}`))).toMatchObject({ status: 404 });
  });

  test("is told which versions there are", async () => {
    const authorization = `Bearer ${token}`;
    expect(await refusalOf(await ask("/api/tenants", { headers: { authorization } }))).toMatchObject({
      status: 400,
      code: "MissingApiVersionParameter",
    });
    expect(await refusalOf(await ask("/api/tenants?api-version=2020-01-01", { headers: { authorization } }))).toMatchObject({
      status: 400,
      code: "UnsupportedApiVersionValue",
    });
  });

  test("is told each field that is wrong, and nothing is registered", async () => {
    const response = await askAsPartner("/api/tenants/no-such-tenant", {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ displayname: "Contoso" }),
    });
    expect(await refusalOf(response)).toMatchObject({
      status: 400,
      code: "InvalidRequest",
      targets: expect.arrayContaining(["displayname", "displayName"]) as string[],
    });
    expect((await askAsPartner("/api/tenants/no-such-tenant")).status).toBe(404);
  });

  test("may not do what is an operator's", async () => {
    expect(await refusalOf(await askAsPartner("/api/partners"))).toMatchObject({ status: 403, code: "RoleRequired" });
  });
});

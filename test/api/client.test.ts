/** The typed client: what compiles is what the API takes, and refusals are errors with their code. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiError, type ApiClient, createClient } from "../../shared/api/client.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { startApi, type TestApi } from "../support/api.ts";

const { tenantId: _, ...example } = JSON.parse(readFileSync("examples/fabrikam.json", "utf8"));
let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

test("what one call sends, another reads", async () => {
  const partner = await api.partner();
  const sent = tenantSpecSchema.parse(example);
  const created = await partner.api.putTenant({ tenantId: "fabrikam", body: example }, { headers: { "if-none-match": "*" } });
  const read = await partner.api.getTenant({ tenantId: "fabrikam" });
  expect([created.status, read.status, read.etag]).toEqual([201, 200, created.etag]);
  expect(read.body.spec).toEqual(sent);
});

test("a refusal is an error with code, details and request id", async () => {
  const { api: client } = await api.partner();
  const refused: unknown = await client
    .putTenant({ tenantId: "fabrikam", body: { ...example, displayName: "" } })
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ApiError);
  expect(refused).toMatchObject({
    status: 400,
    code: "InvalidRequest",
    details: [{ target: "displayName" }],
    requestId: expect.any(String),
  });
});

test("an answer that isn't the API's is an error too", async () => {
  const lost = createClient({ baseUrl: `${api.url}/elsewhere` });
  await expect(lost.getHealth({})).rejects.toMatchObject({ status: 404, code: "Unknown" });
});

/** Never called: the compiler is the test. */
export async function compiles(client: ApiClient, spec: TenantSpec): Promise<void> {
  const { body } = await client.getOperation({ operationId: "0190a7e0-0000" });
  const status: "NotStarted" | "Running" | "Succeeded" | "Failed" | "Canceled" = body.status;
  const { body: page } = await client.listOperations({ status, maxpagesize: 10 });
  const next: string | undefined = page.nextLink;
  await client.startOnboarding({ tenantId: "contoso" });
  await client.startOnboarding({ tenantId: "contoso", body: { plan: next } });
  await client.putTenant({ tenantId: "contoso", body: spec });
  // @ts-expect-error the id is missing
  await client.getTenant({});
  // @ts-expect-error there is no such status
  await client.listOperations({ status: "Done" });
  // @ts-expect-error the body is missing
  await client.putTenant({ tenantId: "contoso" });
  // @ts-expect-error a spec has no such field
  await client.putTenant({ tenantId: "contoso", body: { ...spec, plan: "xl" } });
  // @ts-expect-error an operation has no such property
  expect(body.partnerId).toBeUndefined();
  // @ts-expect-error there is no such route
  await client.rebootTenant({ tenantId: "contoso" });
}

/** The OpenAPI document says what the routes are, no more and no less. */
import { expect, test } from "vitest";
import { openapiDocument } from "../../shared/api/openapi.ts";
import { type Route } from "../../shared/api/route.ts";
import { apiVersions, routes } from "../../shared/api/routes.ts";

interface Parameter {
  $ref?: string;
  name?: string;
  in?: string;
  required?: boolean;
}
interface Operation {
  operationId: string;
  security: unknown[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: { $ref?: string } }> };
  responses: Record<string, { headers?: Record<string, unknown>; content?: Record<string, { schema: { $ref?: string } }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Record<string, unknown>>; parameters: Record<string, { schema: { enum?: string[] } }> };
}

const document = JSON.parse(
  JSON.stringify(
    openapiDocument({ publicUrl: "https://gatehouse.example", authorityHost: "https://login.example", applicationId: "id" }),
  ),
) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);
const operationNamed = (name: string) => operations.find(({ operation }) => operation.operationId === name)?.operation;

test("each route is an operation under its name, and nothing else is", () => {
  const inDocument = operations.map(({ path, method, operation }) => `${operation.operationId} ${method} ${path}`);
  const inTable = Object.entries<Route>(routes).map(([name, { method, path }]) => `${name} ${method} ${path}`);
  expect(inDocument.toSorted()).toEqual(inTable.toSorted());
});

test("each parameter of a path is declared and required", () => {
  for (const { path, operation } of operations) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = operation.parameters.filter((parameter) => parameter.in === "path");
    expect(declared.map(({ name, required }) => [name, required])).toEqual(names.map((name) => [name, true]));
  }
});

test("api-version is required on all routes but the few that exist in every version", () => {
  const without = operations.filter(
    ({ operation }) => !operation.parameters.some(({ $ref }) => $ref === "#/components/parameters/apiVersion"),
  );
  expect(without.map(({ operation }) => operation.operationId).toSorted()).toEqual([
    "acceptConsent",
    "askToUnsubscribe",
    "getHealth",
    "getOpenapi",
    "getReadiness",
    "postUcmReport",
    "unsubscribe",
  ]);
  expect(document.components.parameters.apiVersion?.schema.enum).toEqual([...apiVersions]);
});

test("statuses, bodies and security are those of the table", () => {
  for (const [name, route] of Object.entries<Route>(routes)) {
    const operation = operationNamed(name);
    const statuses = Object.keys(operation?.responses ?? {}).filter((status) => status !== "default" && status !== "304");
    expect(statuses).toEqual(Object.keys(route.answers));
    expect(operation?.requestBody === undefined).toBe(route.body === undefined);
    expect(operation?.security).toEqual(route.roles === "anyone" ? [] : [{ entra: [...route.roles] }]);
    expect(operation?.responses.default?.headers).toHaveProperty("x-ms-error-code");
  }
});

test("a long-running route promises where to look and when", () => {
  expect(Object.keys(operationNamed("startOnboarding")?.responses["202"]?.headers ?? {})).toEqual(
    expect.arrayContaining(["Operation-Location", "Retry-After"]),
  );
});

test("every reference leads to a component", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, pointer = ""]) => pointer);
  const broken = references.filter(
    (pointer) =>
      pointer.split("/").reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], document) ===
      undefined,
  );
  expect([references.length > 20, broken]).toEqual([true, []]);
});

test("a tenant's spec is described with its defaults optional and strangers forbidden", () => {
  const { required, additionalProperties } = document.components.schemas.TenantSpec as {
    required: string[];
    additionalProperties: boolean;
  };
  expect(required).not.toContain("connectionFilter");
  expect(required).toContain("microsoft365");
  expect(additionalProperties).toBe(false);
});

test("an answer may have more than its schema says, so that a client survives additions", () => {
  for (const name of ["Tenant", "Operation", "Partner", "Plan"])
    expect(document.components.schemas[name]).not.toHaveProperty("additionalProperties");
});

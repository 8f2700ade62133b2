/** The API is its route table: what is registered, what the document says and what the table says are the same. */
import { beforeAll, describe, expect, test } from "vitest";
import { overlap, parseTemplate } from "../../infra/local/functions-host/route-template.ts";
import { openapiDocument } from "../../shared/api/openapi.ts";
import { routes } from "../../shared/api/routes.ts";
import { type RegisteredRoute, registrations, routesOf } from "./registrations.ts";
import { read } from "./sources.ts";

let registered: RegisteredRoute[] = [];
beforeAll(async () => {
  registered = routesOf(await registrations());
});

const told = ({ name, method, path }: { name: string; method: string; path: string }): string => `${name}: ${method} ${path}`;

describe("the contract", () => {
  test("every route of the table is registered under its key, and nothing else is", () => {
    const table = Object.entries(routes).map(([name, { method, path }]) => told({ name, method, path }));
    expect(registered.map(told).toSorted()).toEqual(table.toSorted());
  });

  test("no route begins with what the Functions host keeps for itself", () => {
    expect(registered.filter(({ path }) => /^\/(admin|runtime)\b/.test(path)).map(told)).toEqual([]);
  });

  test("the OpenAPI document has the table's routes, under their names", () => {
    const { paths } = openapiDocument({
      publicUrl: "https://gatehouse.example",
      authorityHost: "https://login.example",
      applicationId: "00000000-0000-4000-8000-000000000001",
    });
    const document = Object.entries(paths as Record<string, Record<string, { operationId: string }>>).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => told({ name: operationId, method: method.toUpperCase(), path })),
    );
    expect(document.toSorted()).toEqual(registered.map(told).toSorted());
  });

  /** The Functions host takes the first template that matches, in the order of the functions' names, and knows no precedence (azure-functions-host #9876). */
  test("no two routes match the same request", () => {
    const pairs = registered.flatMap((one, index) =>
      registered
        .slice(index + 1)
        .filter(
          (other) => other.method === one.method && overlap(parseTemplate(one.path.slice(1)), parseTemplate(other.path.slice(1))),
        )
        .map((other) => `${told(one)} | ${told(other)}`),
    );
    expect(pairs).toEqual([]);
  });

  test("host.json adds no prefix, since the table has whole paths", () => {
    expect(JSON.parse(read("host.json")).extensions.http.routePrefix).toBe("");
  });
});

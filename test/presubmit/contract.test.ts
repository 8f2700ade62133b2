/** The API is its route table: what is registered, what the document says and what the table says are the same. */
import { beforeAll, describe, expect, test } from "vitest";
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

  test("host.json adds no prefix, since the table has whole paths", () => {
    expect(JSON.parse(read("host.json")).extensions.http.routePrefix).toBe("");
  });
});

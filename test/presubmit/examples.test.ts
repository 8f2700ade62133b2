/** Examples are requests that the API takes: each is read by the same schemas that read a partner's. */
import { describe, expect, test } from "vitest";
import { apiVersion, routes } from "../../shared/api/routes.ts";
import type { Route } from "../../shared/api/route.ts";
import { tenantIdSchema, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { filesIn, read } from "./sources.ts";

describe.each(filesIn("examples").filter((file) => file.endsWith(".json")))("%s", (file) => {
  test("is a tenant: its id, and a spec that the API takes", () => {
    const { tenantId, ...spec } = JSON.parse(read(file));
    expect(tenantIdSchema.safeParse(tenantId).error).toBeUndefined();
    expect(tenantSpecSchema.safeParse(spec).error).toBeUndefined();
  });
});

/** A block of a document that begins with a request line: what the caller sends, headers, an empty line, and the body. */
const requests = filesIn(".")
  .filter((file) => file.endsWith(".md"))
  .flatMap((file) =>
    [...read(file).matchAll(/^```http\n([A-Z]+) (\S+)[^\n]*\n([\s\S]*?)^```$/gm)].map((found) => ({ file, found })),
  )
  .map(({ file, found: [, method = "", target = "", rest = ""] }) => ({
    title: `${file}: ${method} ${target}`,
    method,
    url: new URL(target, "https://gatehouse.example"),
    body: /(?:^|\n)\n([\s\S]+)/.exec(rest)?.[1],
  }));

test("there are examples in the documents", () => {
  expect(requests.length).toBeGreaterThan(3);
});

test.each(requests)("$title is a request that the API takes", ({ method, url, body }) => {
  const matches = Object.values<Route>(routes).flatMap((route) => {
    const params = new RegExp(`^${route.path.replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`).exec(url.pathname);
    return params && route.method === method ? [{ route, params: { ...params.groups } }] : [];
  });
  expect(matches).toHaveLength(1);
  for (const { route, params } of matches) {
    const { "api-version": version, ...query } = Object.fromEntries(url.searchParams);
    expect(version).toBe(route.versioned === false ? undefined : apiVersion);
    expect(route.params?.safeParse(params).error).toBeUndefined();
    expect(route.query?.safeParse(query).error).toBeUndefined();
    if (body !== undefined && body.trim() !== "")
      expect(route.body?.safeParse(JSON.parse(body))).toMatchObject({ success: true });
    else if (route.body !== undefined) expect(route.bodyOptional).toBe(true);
  }
});

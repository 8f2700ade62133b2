/** Each capability's README has the same sections and names everything that the capability registers. */
import { beforeAll, describe, expect, test } from "vitest";
import { type Registration, registrations, routesOf } from "./registrations.ts";
import { capabilities, read } from "./sources.ts";

const SECTIONS = ["What it does", "Doors", "Steps", "State", "When it fails", "Examples"];

let registered: Registration[] = [];
beforeAll(async () => {
  registered = await registrations();
});

describe.each(capabilities())("functions/%s/README.md", (capability) => {
  const text = (): string => read(`functions/${capability}/README.md`);

  test("has its name and the fixed sections in their order", () => {
    const headings = [...text().matchAll(/^(#{1,2}) (.+)$/gm)].map(([, level, title]) => `${level} ${title}`);
    expect(headings[0]).toMatch(/^# \S/);
    expect(headings.slice(1)).toEqual(SECTIONS.map((section) => `## ${section}`));
  });

  test("no section is empty", () => {
    const empty = text()
      .split(/^## /m)
      .slice(1)
      .filter((section) => section.split("\n").slice(1).join("").trim() === "");
    expect(empty).toEqual([]);
  });

  test("names every route that the capability registers", () => {
    const missing = routesOf(registered)
      .filter((route) => route.capability === capability)
      .map(({ method, path }) => `${method} ${path}`)
      .filter((route) => !text().includes(route));
    expect(missing).toEqual([]);
  });

  test("names every function that the capability registers", () => {
    const missing = registered
      .filter((registration) => registration.capability === capability)
      .map(({ name }) => name)
      .filter((name) => !text().includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });
});

test("README.md leads to every capability", () => {
  const readme = read("README.md");
  expect(capabilities().filter((capability) => !readme.includes(`functions/${capability}/README.md`))).toEqual([]);
});

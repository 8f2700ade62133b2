/** Function names are wire format: they stand in the history of every orchestration that is running now. */
import { expect, test } from "vitest";
import { registrations } from "./registrations.ts";
import { read } from "./sources.ts";

test("the registered functions are those of the golden list: add a name, never rename one, remove it when its last instance has ended", async () => {
  const golden = read("test/presubmit/function-names.txt").trim().split("\n");
  const registered = await registrations();
  expect(registered.map(({ name, trigger }) => `${trigger.type.replace(/Trigger$/, "")} ${name}`).toSorted()).toEqual(golden);
});

test("names are those of code", async () => {
  const odd = (await registrations()).map(({ name }) => name).filter((name) => !/^[a-z][A-Za-z0-9]+$/.test(name));
  expect(odd).toEqual([]);
});

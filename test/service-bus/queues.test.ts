/** The local queues are the ones that are deployed. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("the local queues have the names and properties that infra/main.bicep and its module give them in Azure", () => {
  const [, names = ""] = /var queueNames = \[([^\]]+)\]/.exec(read("infra/main.bicep")) ?? [];
  const [, block = ""] =
    /namespaces\/queues@[\s\S]*?properties: \{([\s\S]*?)\n {4}\}/.exec(read("infra/modules/service-bus.bicep")) ?? [];
  const deployed = Object.fromEntries(
    [...block.matchAll(/^\s*(\w+): '?([^'\n]+)'?$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const local = JSON.parse(read("infra/local/service-bus/queues.json")) as Record<string, unknown>[];
  expect(local.map(({ name }) => name)).toEqual([...names.matchAll(/'([^']+)'/g)].map(([, name]) => name));
  // The other one bounds a queue's size.
  const { maxSizeInMegabytes: _size, ...modelled } = deployed;
  for (const { name: _name, ...queue } of local)
    expect(Object.fromEntries(Object.entries(queue).map(([key, value]) => [key, String(value)]))).toEqual(modelled);
});

/** The Bicep files are well-formed, fit together and name only what there is. What Azure itself checks, infra/README.md says. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import { filesIn, read } from "../presubmit/sources.ts";
import { everyNode, syntaxErrors } from "../support/syntax-trees.ts";
import { type BicepFile, readBicep } from "./bicep.ts";

const files: BicepFile[] = filesIn("infra")
  .filter((file) => file.endsWith(".bicep"))
  .map(readBicep);
const main = readBicep("infra/main.bicep");

/** Types and versions that Bicep has definitions of: github.com/Azure/bicep-types-az, generated/PROVIDER/NAMESPACE/VERSION/types.md. */
const TYPES = [
  "Microsoft.Authorization/roleAssignments@2022-04-01",
  "Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15",
  "Microsoft.EventGrid/systemTopics@2025-02-15",
  "Microsoft.Insights/actionGroups@2023-01-01",
  "Microsoft.Insights/components@2020-02-02",
  "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
  "Microsoft.Insights/metricAlerts@2018-03-01",
  "Microsoft.Insights/scheduledQueryRules@2023-12-01",
  "Microsoft.KeyVault/vaults@2023-07-01",
  "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31",
  "Microsoft.OperationalInsights/workspaces@2023-09-01",
  "Microsoft.Resources/resourceGroups@2024-03-01",
  "Microsoft.ServiceBus/namespaces/queues@2024-01-01",
  "Microsoft.ServiceBus/namespaces@2024-01-01",
  "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01",
  "Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01",
  "Microsoft.Storage/storageAccounts/blobServices@2024-01-01",
  "Microsoft.Storage/storageAccounts/tableServices@2024-01-01",
  "Microsoft.Storage/storageAccounts@2024-01-01",
  "Microsoft.Web/serverfarms@2024-04-01",
  "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01",
  "Microsoft.Web/sites/config@2024-04-01",
  "Microsoft.Web/sites@2024-04-01",
];

/** Of learn.microsoft.com, "Bicep functions": those that we use. */
const FUNCTIONS = ["concat", "empty", "environment", "guid", "items", "split", "subscription", "subscriptionResourceId"].concat([
  "tenant",
  "union",
  "uniqueString",
]);

describe.each(files.map((bicep) => ({ file: bicep.file, bicep })))("$file", ({ bicep }) => {
  test("is Bicep that can be read", () => {
    expect(syntaxErrors(bicep.tree)).toEqual([]);
  });

  test("says what it is", () => {
    expect(bicep.description).toMatch(/^[A-Z].+\.$/);
  });

  test("names only what is declared in it", () => {
    const declared = new Set([
      ...bicep.parameters.map(({ name }) => name),
      ...Object.keys(bicep.variables),
      ...bicep.resources.map(({ symbol }) => symbol),
      ...bicep.modules.map(({ symbol }) => symbol),
      ...loopVariables(bicep),
      ...FUNCTIONS,
    ]);
    expect([...usedNames(bicep)].filter((name) => !declared.has(name))).toEqual([]);
  });

  test("uses each of its parameters and variables", () => {
    const used = usedNames(bicep);
    const declared = [...bicep.parameters.map(({ name }) => name), ...Object.keys(bicep.variables)];
    expect(declared.filter((name) => !used.has(name))).toEqual([]);
  });

  test("uses resource types of a known version", () => {
    const used = bicep.resources.map(({ type, apiVersion }) => `${type}@${apiVersion}`);
    expect(used.filter((type) => !TYPES.includes(type))).toEqual([]);
  });

  test("gives each module all that it needs, and nothing that it doesn't know", () => {
    const wrong = bicep.modules.flatMap(({ symbol, file, parameters }) => {
      const target = moduleFile(bicep, file);
      if (target === undefined) return [`${symbol}: there is no ${file}`];
      const known = target.parameters.map(({ name }) => name);
      const required = target.parameters.filter((parameter) => parameter.required).map(({ name }) => name);
      return [
        ...parameters.filter((name) => !known.includes(name)).map((name) => `${symbol} does not know ${name}`),
        ...required.filter((name) => !parameters.includes(name)).map((name) => `${symbol} needs ${name}`),
      ];
    });
    expect(wrong).toEqual([]);
  });

  test("reads outputs that the modules have", () => {
    const read = [...bicep.tree.rootNode.text.matchAll(/\b(\w+)\.outputs\.(\w+)/g)].map(([, symbol = "", output = ""]) => ({
      symbol,
      output,
    }));
    const missing = read.filter(({ symbol, output }) => {
      const module = bicep.modules.find((candidate) => candidate.symbol === symbol);
      const target = module === undefined ? undefined : moduleFile(bicep, module.file);
      return !target?.outputs.some(({ name }) => name === output);
    });
    expect(missing).toEqual([]);
  });
});

test("no type stands in the list that no file uses", () => {
  const used = files.flatMap(({ resources }) => resources.map(({ type, apiVersion }) => `${type}@${apiVersion}`));
  expect(TYPES.filter((type) => !used.includes(type))).toEqual([]);
});

test("every module is used, and none comes from a registry", () => {
  const used = main.modules.map(({ file }) => `infra/${file}`);
  expect(used.toSorted()).toEqual(files.map(({ file }) => file).filter((file) => file !== "infra/main.bicep"));
});

test("modules stand below main.bicep, and only there", () => {
  expect(files.filter(({ file, modules }) => file !== "infra/main.bicep" && modules.length > 0)).toEqual([]);
});

test("azd's parameters are main.bicep's, those without a default included", () => {
  const { parameters } = JSON.parse(read("infra/main.parameters.json")) as { parameters: Record<string, { value: string }> };
  const known = main.parameters.map(({ name }) => name);
  expect(Object.keys(parameters).filter((name) => !known.includes(name))).toEqual([]);
  expect(main.parameters.filter(({ required, name }) => required && !(name in parameters))).toEqual([]);
  const node = main.parameters.find(({ name }) => name === "nodeVersion");
  expect(node?.allowed).toContain(/=(\d+)\}$/.exec(parameters["nodeVersion"]?.value ?? "")?.[1]);
});

test("infra/README.md explains every parameter and every output", () => {
  const readme = read("infra/README.md");
  const names = [...main.parameters.map(({ name }) => name), ...main.outputs.map(({ name }) => name)];
  expect(names.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

test("azure.yaml points to what there is", () => {
  const text = read("azure.yaml");
  const told = Object.fromEntries([...text.matchAll(/^ *(\w+): (\S+)$/gm)].map(([, name, value]) => [name, value]));
  expect(told).toMatchObject({ provider: "bicep", language: "ts", host: "function", remoteBuild: "false", project: "." });
  expect(files.map(({ file }) => file)).toContain(`${told["path"]}/${told["module"]}.bicep`);
  expect(read("infra/build.ts")).toContain(`path.join(root, "${told["dist"]}")`);
  const service = /^services:\n {2}(\w+):$/m.exec(text)?.[1];
  expect(read("infra/modules/function-app.bicep")).toContain(`'azd-service-name': '${service}'`);
});

const moduleFile = (from: BicepFile, relative: string): BicepFile | undefined =>
  files.find(({ file }) => file === path.posix.join(path.posix.dirname(from.file), relative));

const loopVariables = ({ tree }: BicepFile): string[] =>
  [...everyNode(tree.rootNode)].flatMap((node) => {
    if (node.type === "loop_variable" || node.type === "loop_enumerator") return [node.text];
    const [first] = node.namedChildren;
    return node.type === "for_statement" && first?.type === "identifier" ? [first.text] : [];
  });

/** Identifiers in expressions: names of properties, of types, of decorators and of the declarations themselves are others. */
function usedNames({ tree }: BicepFile): Set<string> {
  const used = [...everyNode(tree.rootNode)].filter((node) => {
    const parent = node.parent;
    if (node.type !== "identifier" || parent === null) return false;
    const declares = parent.type.endsWith("_declaration") && parent.namedChildren[0]?.id === node.id;
    const names = parent.type === "object_property" && parent.namedChildren[0]?.id === node.id;
    const decorates = parent.parent?.type === "decorator" || parent.type === "decorator";
    const loops = parent.type === "for_statement" && parent.namedChildren[0]?.id === node.id;
    return !declares && !names && !decorates && !loops;
  });
  return new Set(used.map(({ text }) => text));
}

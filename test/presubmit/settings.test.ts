/** The settings are said once, in shared/config.ts; sample, documentation and host follow. */
import { expect, test } from "vitest";
import { readConfig, settings } from "../../shared/config.ts";
import { sampleSettings } from "./registrations.ts";
import { codeOnly, filesIn, read } from "./sources.ts";

/** What the Functions host itself reads. */
const HOST_SETTINGS = [
  "FUNCTIONS_WORKER_RUNTIME",
  "AzureWebJobsStorage",
  "AzureWebJobsDisableHomepage",
  "ServiceBusConnection__fullyQualifiedNamespace",
];

test("the sample has every setting with its sample value, the host's own, and nothing else", () => {
  const ours = Object.fromEntries(Object.entries(sampleSettings()).filter(([name]) => !HOST_SETTINGS.includes(name)));
  expect(ours).toEqual(Object.fromEntries(Object.entries(settings).map(([name, { sample }]) => [name, sample])));
  expect(Object.keys(sampleSettings())).toEqual(expect.arrayContaining(HOST_SETTINGS));
});

test("the sample can be read", () => {
  expect(Object.keys(readConfig(sampleSettings()))).toEqual(Object.keys(settings));
});

test("no setting holds a secret: those live in Key Vault", () => {
  expect(Object.keys(settings).filter((name) => /(SECRET|PASSWORD|TOKEN|_KEY)$/.test(name))).toEqual([]);
});

test("the environment is read in shared/config.ts and by the platform on one machine only", () => {
  const readers = ["functions", "shared", "infra"]
    .flatMap(filesIn)
    .filter((file) => file.endsWith(".ts") && !file.startsWith("infra/local/") && /\bprocess\.env\b/.test(codeOnly(read(file))));
  expect(readers).toEqual(["shared/config.ts"]);
});

test("nothing asks whether it runs locally", () => {
  const asking = ["functions", "shared"]
    .flatMap(filesIn)
    .filter(
      (file) =>
        file.endsWith(".ts") &&
        /\b(isLocal|runningLocally|localMode|NODE_ENV|AZURE_FUNCTIONS_ENVIRONMENT)\b/.test(codeOnly(read(file))),
    );
  expect(asking).toEqual([]);
});

test("README.md describes every setting", () => {
  const readme = read("README.md");
  expect(Object.keys(settings).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

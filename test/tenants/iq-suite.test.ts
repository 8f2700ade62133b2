/** What a partner may say of iQ.Suite inside the gateways: each wrong field is named with its remedy, and what the documents show is valid. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { iqSuiteSettings, namedSecrets } from "../../shared/desired/iq-suite.ts";
import { leftBehind } from "../../shared/tenants/left-behind.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { customer } from "../support/onboarding.ts";

const { body } = customer("contoso");
const specWith = (iqSuite: unknown, gateway: object = {}) =>
  tenantSpecSchema.safeParse({
    ...body,
    microsoft365: { ...body.microsoft365, powerShellApplication: true },
    gateway: { ...body.gateway, ...gateway, ...(iqSuite === undefined ? {} : { iqSuite }) },
  });
const settingsWith = (iqSuite: unknown, gateway: object = {}) => {
  const { data, error } = specWith(iqSuite, gateway);
  if (!data) throw error;
  return iqSuiteSettings(data, {}, { computerName: "gateway-1" }, {});
};

const bought = {
  image: {
    publisher: "gatewaymaker",
    offer: "mail-gateway",
    sku: "iq-suite-2022",
    version: "latest",
    plan: { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" },
  },
};

test("every example of docs/iq-suite.md is valid", () => {
  const examples = [...readFileSync("docs/iq-suite.md", "utf8").matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = ""]) =>
    specWith(JSON.parse(json)),
  );
  expect(examples.length).toBeGreaterThan(1);
  for (const { error } of examples) expect(error?.issues).toBeUndefined();
});

test.each([
  [{ monitoring: { queue: { warning: 50, error: 25 } } }, "monitoring.queue.error", /more than warning/],
  [{ monitoring: { badmail: { warning: 30 } } }, "monitoring.badmail.error", /more than warning/],
  [{ monitoring: { checkIntervalInSeconds: 5 } }, "monitoring.checkIntervalInSeconds", />=60/],
  [
    { monitoring: { thresholdNames: { queueWarning: "A", queueError: "a", badmailWarning: "B", badmailError: "C" } } },
    "monitoring.thresholdNames",
    /four different names/,
  ],
  [
    { monitoring: { thresholdNames: { queueWarning: "..\\Run", queueError: "a", badmailWarning: "B", badmailError: "C" } } },
    "monitoring.thresholdNames.queueWarning",
    /without its key/,
  ],
  [{ automatedSetUp: { expected: false, removeTranscript: true } }, "automatedSetUp.removeTranscript", /needs a set-up/],
  [{ automatedSetup: {} }, "", /automatedSetup/],
  [{ mailReporting: { account: [] } }, "mailReporting.account", /at least one value/],
  [{ mailReporting: { account: [{ name: "Enabled", value: 0 }] } }, "mailReporting.account.0.name", /by itself/],
  [{ mailReporting: { account: [{ name: "A", value: "x", secret: "y" }] } }, "mailReporting.account.0.value", /either/],
  [{ mailReporting: { account: [{ name: "A" }] } }, "mailReporting.account.0.value", /either/],
  [
    {
      mailReporting: {
        account: [
          { name: "A", value: "x" },
          { name: "a", value: "y" },
        ],
      },
    },
    "mailReporting.account",
    /twice/,
  ],
  [
    { mailReporting: { account: [{ name: "A", secret: "Loop-GUID" }] } },
    "mailReporting.account.0.secret",
    /made for something else/,
  ],
  [{ webClient: { adminGroups: [] } }, "webClient.adminGroups", /at least one group/],
  [{ webClient: { adminGroups: ["A;B"] } }, "webClient.adminGroups.0", /semicolon/],
  [{ webClient: { adminGroups: ["A"], ldifFile: "\\\\server\\x.ldf" } }, "webClient.ldifFile", /absolute path/],
  [
    { webClient: { adminGroups: ["A"], resetSecurityContext: { flag: "a/b" } } },
    "webClient.resetSecurityContext.flag",
    /name of an element/,
  ],
  [
    { exchangeWebServices: { clientId: "reader", clientSecret: "mailbox-reader" } },
    "exchangeWebServices.clientId",
    /application's client id/,
  ],
])("refused where it is wrong: %j", (iqSuite, path, message) => {
  const { error } = specWith(iqSuite);
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([["gateway.iqSuite", path].filter(Boolean).join(".")]);
  expect(error?.issues[0]?.message).toMatch(message);
});

test("parts that need something else of the spec say so", () => {
  const refused = (iqSuite: unknown, gateway: object, powerShellApplication: boolean) => {
    const { error } = tenantSpecSchema.safeParse({
      ...body,
      microsoft365: { ...body.microsoft365, powerShellApplication },
      gateway: { ...body.gateway, ...gateway, iqSuite },
    });
    return error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  };
  expect(refused({ webClient: { adminGroups: ["A"] } }, {}, false)).toEqual([
    "gateway.iqSuite.webClient: needs the application for PowerShell: set microsoft365.powerShellApplication to true",
  ]);
  const named = { exchangeWebServices: { clientId: "c0ffee00-0000-4000-8000-0000000000e5", clientSecret: "mailbox-reader" } };
  expect(refused(named, { exchangeWebServices: { access: "allMailboxes" } }, true)).toEqual([
    expect.stringMatching(/^gateway\.iqSuite\.exchangeWebServices: .*leave one of the two out$/),
  ]);
  expect(refused(named, {}, true)).toBeUndefined();
});

test("nothing signs in by WebClient's application before that has a secret; its LDIF file is the generator's", () => {
  const { data } = specWith({
    webClient: { adminGroups: ["A", "B"] },
    ldifGenerator: {
      administrator: { user: "a@contoso.example", password: "one" },
      synchronizationUser: { user: "b@contoso.example", password: "two" },
      customPath: "C:\\Data\\users.ldf",
    },
  });
  if (!data) throw new Error("refused");
  expect(namedSecrets(data)).toEqual(["one", "two"]);
  const reference = (name: string) => ({ vaultUrl: "https://contoso.vault.azure.net", name, version: "1" });
  const ground = {
    applications: { appId: "web", objectId: "1", powerShell: { appId: "shell", objectId: "2" } },
    namedSecrets: { one: reference("one"), two: reference("two") },
  };
  const before = iqSuiteSettings(data, ground, { computerName: "gateway-1" }, {});
  expect([before.webClient, before.ldif]).toEqual([undefined, undefined]);
  const after = iqSuiteSettings(data, ground, { computerName: "gateway-1" }, { clientSecret: reference("web") });
  expect(after.webClient).toMatchObject({ clientId: "web", powerShellClientId: "shell", ldifFile: "C:\\Data\\users.ldf" });
  expect(after.ldif).toMatchObject({ webClientUri: "https://gateway-1/webclient", password: reference("one") });
});

test("the directory that machines fetch is WebClient's file, and takes the place of the product's own export", () => {
  const iqSuite = { webClient: { adminGroups: ["A"] } };
  const directory = { file: "C:\\Data\\directory.ldf" };
  const microsoft365 = { ...body.microsoft365, powerShellApplication: true };
  const withOwn = (own: object) =>
    tenantSpecSchema.safeParse({
      ...body,
      microsoft365,
      directory,
      gateway: { ...body.gateway, iqSuite: { ...iqSuite, ...own } },
    });
  const { data } = withOwn({});
  if (!data) throw new Error("refused");
  const clientSecret = { vaultUrl: "https://contoso.vault.azure.net", name: "web", version: "1" };
  const ground = { applications: { appId: "web", objectId: "1" } };
  expect(iqSuiteSettings(data, ground, { computerName: "gateway-1" }, { clientSecret }).webClient?.ldifFile).toBe(directory.file);
  const account = { user: "a@contoso.example", password: "one" };
  const both = withOwn({ ldifGenerator: { administrator: account, synchronizationUser: account } });
  expect(both.error?.issues.map(({ path }) => path.join("."))).toEqual(["directory.file"]);
  expect(leftBehind(data, { ...data, directory: undefined })).toMatchObject({ target: "directory.file" });
  expect(leftBehind({ ...data, directory: undefined }, data)).toBeUndefined();
});

describe("an image's own set-up is waited for", () => {
  test("where the image is bought, or where the spec says so; its transcript goes only where that is asked for", () => {
    expect(settingsWith(undefined).automatedSetUp).toBeUndefined();
    expect(settingsWith(undefined, bought).automatedSetUp).toEqual({ removeTranscript: false });
    expect(settingsWith({ automatedSetUp: { expected: false } }, bought).automatedSetUp).toBeUndefined();
    expect(settingsWith({ automatedSetUp: { expected: true } }).automatedSetUp).toEqual({ removeTranscript: false });
    expect(settingsWith({ automatedSetUp: { removeTranscript: true } }).automatedSetUp).toEqual({ removeTranscript: true });
  });
});

test("the monitor has the manual's numbers where nothing is said", () => {
  expect(settingsWith({ monitoring: {} }).monitoring).toEqual({
    checkIntervalInSeconds: 600,
    restartSmtp: true,
    queue: { warning: 25, error: 50 },
    badmail: { warning: 10, error: 20 },
  });
});

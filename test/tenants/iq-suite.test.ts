/** What a partner may say of iQ.Suite inside the gateways: each wrong field is named with its remedy, and what the documents show is valid. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { iqSuiteSettings } from "../../shared/desired/iq-suite.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { customer } from "../support/onboarding.ts";

const { body } = customer("contoso");
const specWith = (iqSuite: unknown, gateway: object = {}) =>
  tenantSpecSchema.safeParse({
    ...body,
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
])("refused where it is wrong: %j", (iqSuite, path, message) => {
  const { error } = specWith(iqSuite);
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([["gateway.iqSuite", path].filter(Boolean).join(".")]);
  expect(error?.issues[0]?.message).toMatch(message);
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

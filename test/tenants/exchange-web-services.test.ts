/** What a partner may say of applications and Exchange Web Services, and what of it the gateways hold. */
import { expect, test } from "vitest";
import { iqSuiteSettings } from "../../shared/desired/iq-suite.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { customer } from "../support/onboarding.ts";

const { body } = customer("contoso");
const parsed = (gateway: object, microsoft365: object = {}) =>
  tenantSpecSchema.safeParse({
    ...body,
    microsoft365: { ...body.microsoft365, ...microsoft365 },
    gateway: { ...body.gateway, ...gateway },
  });
const group = { access: "group", group: "Clerks@contoso.example" };
const somebodyElses = { clientId: "0813e73f-0c81-4d40-a17d-975186ff0478", clientSecret: "ews-secret" };

test.each([
  [{ exchangeWebServices: {} }, {}, "gateway.exchangeWebServices.access", /"access": "group"/],
  [{ exchangeWebServices: { access: "group" } }, {}, "gateway.exchangeWebServices.group", /mail address/],
  [{ exchangeWebServices: { access: "allMailboxes", group: "a@b.example" } }, {}, "gateway.exchangeWebServices", /group/],
  [
    { exchangeWebServices: group, iqSuite: { exchangeWebServices: somebodyElses } },
    {},
    "gateway.iqSuite.exchangeWebServices",
    /leave one of the two out/,
  ],
  [{}, { webClient: { urls: ["http://mail.contoso.example/"] } }, "microsoft365.webClient.urls.0", /https/],
  [{}, { webClient: { urls: ["https://mail.contoso.example/webclient"] } }, "microsoft365.webClient.urls.0", /slash/],
])("refused where it is wrong: %j %j", (gateway, microsoft365, path, message) => {
  const { error } = parsed(gateway, microsoft365);
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
  expect(error?.issues[0]?.message).toMatch(message);
});

test("the gateways name the application as soon as it has a secret, and by the secret that rotation made last", () => {
  const { data } = parsed({ exchangeWebServices: group });
  if (!data) throw new Error("the spec is valid");
  expect(data.gateway.exchangeWebServices).toEqual({ access: "group", group: "clerks@contoso.example" });
  const applications = { appId: "web", objectId: "web", exchangeWebServices: { appId: "ews", objectId: "ews" } };
  const secret = { vaultUrl: "https://contoso.vault.example", name: "ews-client-secret", version: "2" };
  const settings = (generation: object) =>
    iqSuiteSettings(data, { applications }, { computerName: "gateway-1" }, generation).exchangeWebServices;
  expect(settings({})).toBeUndefined();
  expect(settings({ exchangeWebServicesSecret: secret })).toEqual({
    tenantId: data.microsoft365.tenantId,
    clientId: "ews",
    clientSecret: secret,
  });
});

/** Entra's numbers become words that somebody can act on. */
import { expect, test } from "vitest";
import { accessMissing, entraError } from "../../shared/entra/errors.ts";
import { ControlPlaneError } from "../../shared/errors.ts";

const tenant = "c0ffee00-0000-4000-8000-000000000001";
const refusal = (number: number): Error =>
  new Error("AuthenticationRequiredError", {
    cause: new Error(`invalid_grant: AADSTS${number}: something in any language. Trace ID: 1`),
  });

test.each([
  [65001, "ConsentRequired", false],
  [700016, "ConsentRequired", false],
  [7000112, "ApplicationDisabled", false],
  [650051, "EntraSettling", true],
  [650052, "ServiceNotSubscribed", false],
  [90002, "EntraTenantNotFound", false],
  [900023, "EntraTenantNotFound", false],
  [7000215, "ApplicationCredentialInvalid", false],
  [7000222, "ApplicationCredentialInvalid", false],
  [700213, "ApplicationCredentialInvalid", false],
  [53003, "ConditionalAccessBlocked", false],
  [50020, "AccountIsGuest", false],
  [90033, "EntraBusy", true],
  [999999, "EntraRefused", false],
])("AADSTS%i is %s", (number, code, transient) => {
  const error = entraError(refusal(number), tenant);
  expect({ code: error.code, transient: error.transient }).toEqual({ code, transient });
  expect(error.message).toContain(tenant);
  expect(error.message).not.toContain("Trace ID");
});

test("no number is no refusal: the network failed, and trying again can help", () => {
  expect(entraError(new Error("getaddrinfo EAI_AGAIN"), tenant)).toMatchObject({ code: "EntraUnreachable", transient: true });
});

test("an error of ours stays what it is", () => {
  const own = new ControlPlaneError("TokenMalformed", "reading an access token");
  expect(entraError(own, tenant)).toBe(own);
});

test("only what an administrator or a while can give counts as access that is missing", () => {
  expect(["ConsentRequired", "ExchangeRoleMissing", "ApplicationDisabled", "EntraSettling"].every(accessMissing)).toBe(true);
  expect(["EntraTenantNotFound", "ExchangeBusy", "ForeignObject"].some(accessMissing)).toBe(false);
});

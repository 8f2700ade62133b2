/** What ARM's replies, refusals and permissions mean, read from their shapes alone. */
import { createHttpHeaders } from "@azure/core-rest-pipeline";
import { describe, expect, test } from "vitest";
import { allows } from "../../shared/azure/access.ts";
import { begunBy } from "../../shared/azure/client.ts";
import { armFailureOf, azureError, unreadable } from "../../shared/azure/errors.ts";
import { ownedBy, ownershipTags } from "../../shared/azure/place.ts";

const reply = (status: number, headers: Record<string, string> = {}, body?: unknown) => ({
  status,
  headers: createHttpHeaders(headers),
  request: { url: "https://management.example/subscriptions/s/resourceGroups/g?api-version=2025-04-01" },
  bodyAsText: body === undefined ? "" : JSON.stringify(body),
});

const refusal = (statusCode: number, code: string, message = "why", headers: Record<string, string> = {}): Error =>
  Object.assign(new Error(message), { name: "RestError", statusCode, code, response: { headers: createHttpHeaders(headers) } });

describe("a write's first reply", () => {
  test("names the operation to follow and how long to wait", () => {
    const headers = {
      "azure-asyncoperation": "https://management.example/op/1",
      location: "https://management.example/result/1",
      "retry-after": "7",
    };
    expect(begunBy(reply(201, headers))).toEqual({
      state: "begun",
      operationUrl: "https://management.example/op/1",
      retryAfterInSeconds: 7,
    });
    expect(begunBy(reply(202, { location: "https://management.example/result/1" }))).toEqual({
      state: "begun",
      operationUrl: "https://management.example/result/1",
      retryAfterInSeconds: 10,
    });
  });
  test("is the end of it when nothing goes on", () => {
    expect(begunBy(reply(200, {}, { properties: { provisioningState: "Succeeded" } }))).toEqual({ state: "done" });
    expect(begunBy(reply(204))).toEqual({ state: "done" });
    // A Location with 201 tells where the new thing is, not that work goes on.
    expect(begunBy(reply(201, { location: "https://management.example/thing" }))).toEqual({ state: "done" });
  });
  test("leaves the resource itself to follow when ARM names no operation", () => {
    expect(begunBy(reply(201, {}, { properties: { provisioningState: "Updating" } }))).toMatchObject({
      operationUrl: "https://management.example/subscriptions/s/resourceGroups/g?api-version=2025-04-01",
    });
  });
});

describe("a failed read", () => {
  test("is absence only when ARM says that the thing is not there", () => {
    for (const code of ["ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "NotFound"])
      expect(unreadable(refusal(404, code))).toEqual({ state: "absent" });
    expect(unreadable(refusal(404, "InvalidResourceType"))).toMatchObject({ state: "unknown" });
    expect(unreadable(refusal(429, "ResourceNotFound"))).toMatchObject({ state: "unknown" });
  });
  test("says when the access to read is missing", () => {
    for (const cause of [
      refusal(403, "AuthorizationFailed"),
      refusal(404, "SubscriptionNotFound"),
      refusal(401, "InvalidAuthenticationToken"),
    ])
      expect(unreadable(cause)).toMatchObject({ state: "unknown", accessMissing: true });
    const directory = Object.assign(new Error("AADSTS700016: Application was not found in the directory"), {
      name: "AuthenticationRequiredError",
    });
    expect(unreadable(directory)).toEqual({
      state: "unknown",
      reason: { code: "AADSTS700016", message: directory.message },
      accessMissing: true,
    });
    expect(unreadable(refusal(500, "InternalServerError"))).not.toHaveProperty("accessMissing");
  });
});

describe("a refused write", () => {
  test("is worth another try when Azure is busy, and says when", () => {
    const busy = azureError(
      "creating a thing",
      refusal(429, "RetryableErrorDueToAnotherOperation", "another", { "retry-after": "12" }),
    );
    expect(busy).toMatchObject({ code: "AzureBusy", transient: true, retryAfterInSeconds: 12 });
    expect(busy.message).toBe("creating a thing: RetryableErrorDueToAnotherOperation: another");
    expect(azureError("creating a thing", refusal(409, "AnotherOperationInProgress"))).toMatchObject({ transient: true });
    expect(azureError("creating a thing", refusal(400, "PrincipalNotFound"))).toMatchObject({ transient: true });
    expect(azureError("creating a thing", Object.assign(new Error("no route"), { code: "ECONNREFUSED" }))).toMatchObject({
      code: "AzureUnavailable",
      transient: true,
    });
  });
  test("is final when Azure says no", () => {
    expect(azureError("creating a thing", refusal(403, "AuthorizationFailed"))).toMatchObject({
      code: "AzureAccessMissing",
      status: 403,
      transient: false,
    });
    expect(azureError("creating a thing", refusal(409, "PropertyChangeNotAllowed"))).toMatchObject({
      code: "AzureRefused",
      status: 409,
      transient: false,
    });
    expect(azureError("creating a thing", refusal(409, "OperationNotAllowed"))).toMatchObject({ transient: false });
  });
});

test("an object is ours by both tags", () => {
  const owner = { partnerId: "northwind", tenantId: "contoso" };
  expect(ownedBy({ ...ownershipTags(owner), costCentre: "7" }, owner)).toBe(true);
  expect(ownedBy(ownershipTags({ ...owner, partnerId: "adatum" }), owner)).toBe(false);
  expect(ownedBy(undefined, owner)).toBe(false);
});

test("a failure without any of ARM's shape still has a code", () => {
  expect(armFailureOf("odd")).toEqual({
    status: undefined,
    code: "RequestFailed",
    message: "odd",
    retryAfterInSeconds: undefined,
    accessMissing: false,
  });
});

test("a permission covers what its patterns name, but for its own exceptions", () => {
  const contributor = { actions: ["*"], notActions: ["Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Delete"] };
  expect(allows(contributor, "Microsoft.Compute/virtualMachines/write")).toBe(true);
  expect(allows(contributor, "Microsoft.Authorization/roleAssignments/write")).toBe(false);
  expect(allows({ actions: ["Microsoft.Compute/*"], notActions: [] }, "MicrosoftXCompute/virtualMachines/write")).toBe(false);
});

/** The simulated Exchange Online says no to access of applications where the real one does. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { type ExchangeCaller, exchangeOf } from "../support/exchange.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const [AppId, ObjectId] = [randomUUID(), randomUUID()];
const members = { RecipientRestrictionFilter: "MemberOfGroup -eq 'CN=Clerks'" };
const EWS = "Application EWS.AccessAsApp";

let clouds: TestClouds;
let exchange: ExchangeCaller;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  await clouds.consent(organization);
  exchange = await exchangeOf(clouds, organization);
  await exchange.run("New-ServicePrincipal", { AppId, ObjectId });
  await exchange.run("New-ManagementScope", { Name: "Clerks", ...members });
  await exchange.run("New-ManagementRoleAssignment", { Name: "ours", Role: EWS, App: ObjectId, CustomResourceScope: "Clerks" });
});
afterAll(() => clouds.stop());

test.each([
  ["a role of people", "New-ManagementRoleAssignment", { Role: "Transport Rules", App: ObjectId }, /isn't an application role/],
  [
    "an application without a reference",
    "New-ManagementRoleAssignment",
    { Role: EWS, App: AppId.replace(/.$/, "x") },
    /couldn't be found/,
  ],
  [
    "a scope that isn't there",
    "New-ManagementRoleAssignment",
    { Role: EWS, App: ObjectId, CustomResourceScope: "None" },
    /found/,
  ],
  ["the same name twice", "New-ManagementRoleAssignment", { Name: "ours", Role: EWS, App: ObjectId }, /already exists/],
  [
    "both kinds of assignees",
    "New-ManagementRoleAssignment",
    { Role: EWS, App: ObjectId, SecurityGroup: "x" },
    /exclude each other/,
  ],
  ["a scope of that name", "New-ManagementScope", { Name: "Clerks", ...members }, /already exists/],
  ["a filter that is none", "New-ManagementScope", { Name: "Others", RecipientRestrictionFilter: "clerks" }, /OPATH/],
  ["a name that is too long", "New-ManagementScope", { Name: "x".repeat(65), ...members }, /64 characters/],
  ["a scope in use", "Remove-ManagementScope", { Identity: "Clerks", Confirm: false }, /used by the role assignment/],
  ["a reference in use", "Remove-ServicePrincipal", { Identity: AppId, Confirm: false }, /has role assignments/],
  ["an id that is none", "Set-OrganizationConfig", { EwsAllowedAppIDs: `${AppId},mine` }, /isn't an application's id/],
  [
    "a mailbox that isn't there",
    "Test-ServicePrincipalAuthorization",
    { Identity: AppId, Resource: "x@contoso.example" },
    /found/,
  ],
])("refused: %s", async (_what, cmdlet, parameters, words) => {
  const { status, body } = await exchange.call(cmdlet, parameters);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(JSON.stringify(body)).toMatch(words);
});

test("the list of applications is one string that replaces the one before, and is shown only to who asks for it", async () => {
  await exchange.run("Set-OrganizationConfig", { EwsAllowedAppIDs: AppId });
  await exchange.run("Set-OrganizationConfig", { EwsAllowedAppIDs: ObjectId });
  expect(await exchange.list("Get-OrganizationConfig")).toMatchObject([{ EwsAllowedAppIDs: null }]);
  const asked = { RetrieveEwsOperationAccessPolicy: true };
  expect(await exchange.list("Get-OrganizationConfig", asked)).toMatchObject([{ EwsAllowedAppIDs: ObjectId }]);
});

test("without Confirm:false nothing is taken away", async () => {
  await exchange.run("Remove-ManagementRoleAssignment", { Identity: "ours" });
  expect(await exchange.list("Get-ManagementRoleAssignment", { Identity: "ours" })).toHaveLength(1);
});

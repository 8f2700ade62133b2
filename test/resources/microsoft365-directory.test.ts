/** The WebClient application over the wire: registration, service principal and grants, each part found missing and made again. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph, type Graph, literal, nothing } from "../../shared/graph/client.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { webClientApplication } from "../../shared/resources/web-client-application.ts";
import * as z from "zod";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const desired = {
  owner: { partnerId: "partner-1", tenantId: "contoso" },
  organization,
  uniqueName: "gatehouse-webclient-contoso",
  displayName: "iQ.Suite WebClient",
  redirectUris: ["https://contoso-gw.westeurope.cloudapp.azure.com/webclient/"],
};
const path = `/applications(uniqueName=${literal(desired.uniqueName)})`;

let clouds: TestClouds;
let graph: Graph;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [] });
  await clouds.consent(organization);
  graph = createGraph({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
});
afterAll(() => clouds.stop());

const ensure = () => ensuring(webClientApplication({ graph }), async () => {})(desired);
const seen = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;
const writesSince = async (since: number) =>
  (await clouds.requests("graph", since))
    .filter(({ effect }) => effect === "write")
    .map(({ method, url }) => `${method} ${new URL(url).pathname}`);
const changedNow = async () => {
  const observed = await webClientApplication({ graph }).observe(desired);
  return observed.state === "present"
    ? webClientApplication({ graph })
        .diff(desired, observed.actual)
        .map(({ path }) => path)
    : observed.state;
};
const withId = z.looseObject({ id: z.string() });

test("is made with service principal and grants, found true, repaired part by part, and removed twice", async () => {
  const subject = webClientApplication({ graph });
  expect(await subject.observe(desired)).toEqual({ state: "absent" });
  const made = await ensure();
  expect(made).toMatchObject({
    change: "created",
    actual: {
      applicationPermissions: ["Directory.Read.All"],
      delegatedPermissions: ["Directory.Read.All", "User.Read"],
      identifierUri: "set",
    },
  });
  const actual = "actual" in made ? made.actual : expect.unreachable();

  const before = await seen();
  expect(await ensure()).toMatchObject({ change: "unchanged", actual });
  expect(await writesSince(before)).toEqual([]);

  // Somebody else's scope stays: a grant is never narrowed.
  const grantPath = `/oauth2PermissionGrants?$filter=clientId%20eq%20${literal(actual.servicePrincipalId ?? "")}`;
  const [grant] = await graph.list(organization, grantPath, withId);
  await graph.patch(organization, `/oauth2PermissionGrants/${grant?.id}`, { scope: "User.Read Group.Read.All" }, nothing);
  expect(await changedNow()).toEqual(["delegatedPermissions"]);
  expect(await ensure()).toMatchObject({ change: "updated", actual });
  expect(await graph.list(organization, grantPath, z.looseObject({ scope: z.string() }))).toMatchObject([
    { scope: "User.Read Group.Read.All Directory.Read.All" },
  ]);

  await graph.patch(organization, path, { displayName: "Renamed", web: { redirectUris: [] } }, nothing);
  expect(await changedNow()).toEqual(["displayName", "redirectUris"]);
  expect(await ensure()).toMatchObject({ change: "updated", actual });

  const [assignment] = await graph.list(
    organization,
    `/servicePrincipals/${actual.servicePrincipalId}/appRoleAssignments`,
    withId,
  );
  await graph.delete(organization, `/servicePrincipals/${actual.servicePrincipalId}/appRoleAssignments/${assignment?.id}`);
  expect(await changedNow()).toEqual(["applicationPermissions"]);
  expect(await ensure()).toMatchObject({ change: "updated", actual });

  await graph.delete(organization, `/servicePrincipals/${actual.servicePrincipalId}`);
  expect(await changedNow()).toEqual(["servicePrincipal", "applicationPermissions", "delegatedPermissions"]);
  expect(await ensure()).toMatchObject({ change: "updated", actual: { appId: actual.appId, objectId: actual.objectId } });

  expect(await subject.remove(desired)).toEqual({ state: "done" });
  expect(await subject.observe(desired)).toEqual({ state: "absent" });
  const after = await seen();
  expect(await subject.remove(desired)).toEqual({ state: "done" });
  expect(await writesSince(after)).toEqual([]);
});

test("a run that was cut off after any write is finished by the next one, without a second application", async () => {
  const cuts = [
    { method: "PATCH", path: "/applications" },
    { method: "POST", path: "/servicePrincipals" },
    { method: "POST", path: "appRoleAssignedTo" },
    { method: "POST", path: "oauth2PermissionGrants" },
  ];
  for (const cut of cuts) {
    await clouds.fault("graph", "cut-after-effect", cut);
    await expect(ensure()).rejects.toMatchObject({ code: "GraphUnreachable", transient: true });
  }
  expect(await ensure()).toMatchObject({ change: "unchanged" });
  const applications = await graph.list(organization, "/applications", z.looseObject({ uniqueName: z.string().nullish() }));
  expect(applications.filter(({ uniqueName }) => uniqueName === desired.uniqueName)).toHaveLength(1);
  await webClientApplication({ graph }).remove(desired);
});

test("a failed read is unknown, a missing permission is missing access", async () => {
  const subject = webClientApplication({ graph });
  await clouds.fault("graph", "html", {}, 1);
  expect(await subject.observe(desired)).toMatchObject({ state: "unknown" });
  await clouds.fault("graph", "refuse");
  expect(await subject.observe(desired)).toMatchObject({
    state: "unknown",
    accessMissing: true,
    reason: { code: "ConsentRequired" },
  });
});

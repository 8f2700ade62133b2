/** The WebClient application: what is special to it beside the conformance suite. */
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
test("somebody else's scope stays: a grant is never narrowed", async () => {
  const made = await ensure();
  const actual = "actual" in made ? made.actual : expect.unreachable();
  const grants = `/oauth2PermissionGrants?$filter=clientId%20eq%20${literal(actual.servicePrincipalId ?? "")}`;
  const [grant] = await graph.list(organization, grants, z.looseObject({ id: z.string() }));
  await graph.patch(organization, `/oauth2PermissionGrants/${grant?.id}`, { scope: "User.Read Group.Read.All" }, nothing);
  expect(await ensure()).toMatchObject({ change: "updated", actual });
  expect(await graph.list(organization, grants, z.looseObject({ scope: z.string() }))).toMatchObject([
    { scope: "User.Read Group.Read.All Directory.Read.All" },
  ]);
});

test("a missing permission is missing access", async () => {
  await clouds.fault("graph", "refuse");
  expect(await webClientApplication({ graph }).observe(desired)).toMatchObject({
    state: "unknown",
    accessMissing: true,
    reason: { code: "ConsentRequired" },
  });
});

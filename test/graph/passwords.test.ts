/** Client secrets of an application: their text is seen once, Entra takes them until they are removed, and removing twice is removing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { checkClientSecret } from "../../shared/entra/client-secret.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createApplicationPasswords } from "../../shared/graph/passwords.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  await clouds.consent(organization);
});
afterAll(() => clouds.stop());

test("added, listed without its text, taken by Entra, removed, refused", async () => {
  const { environment } = clouds;
  const graph = createGraph({ environment, credentials: createCredentials(environment, clouds.application) });
  const created = z.looseObject({ id: z.string(), appId: z.string() });
  const { id, appId } = await graph.post(organization, "/applications", { displayName: "WebClient" }, created);
  await graph.post(organization, "/servicePrincipals", { appId }, z.unknown());
  const passwords = createApplicationPasswords(graph);
  const endDateTime = new Date(Date.now() + 86_400_000).toISOString();
  const { keyId, secretText } = await passwords.add(organization, id, { displayName: "gatehouse-one", endDateTime });

  const listed = await passwords.list(organization, id);
  expect(listed).toMatchObject([{ keyId, displayName: "gatehouse-one" }]);
  expect(JSON.stringify(listed)).not.toContain(secretText);
  const check = (clientSecret: string) =>
    checkClientSecret(environment)({ entraTenantId: organization, clientId: appId, clientSecret });
  expect([await check(secretText), await check("another")]).toEqual([true, false]);

  await passwords.remove(organization, id, keyId);
  await passwords.remove(organization, id, keyId);
  expect([await passwords.list(organization, id), await check(secretText)]).toEqual([[], false]);
});

test("an application that another replica doesn't know yet is worth another try", async () => {
  const { environment } = clouds;
  const graph = createGraph({ environment, credentials: createCredentials(environment, clouds.application) });
  const { id } = await graph.post(organization, "/applications", { displayName: "Fresh" }, z.looseObject({ id: z.string() }));
  const passwords = createApplicationPasswords(graph);
  const body = { error: { code: "Request_ResourceNotFound", message: `Resource '${id}' does not exist.` } };
  const settling = { code: "ResourceSettling", transient: true };
  await clouds.fault("graph", { kind: "answer", status: 404, body }, { path: id }, 3);
  const wanted = { displayName: "gatehouse-one", endDateTime: new Date(Date.now() + 86_400_000).toISOString() };
  await expect(passwords.list(organization, id)).rejects.toMatchObject(settling);
  await expect(passwords.add(organization, id, wanted)).rejects.toMatchObject(settling);
  await expect(passwords.remove(organization, id, "any")).rejects.toMatchObject(settling);
  const { keyId } = await passwords.add(organization, id, wanted);
  expect(await passwords.list(organization, id)).toMatchObject([{ keyId }]);
});

test.each([
  [{ forbidden: true }, "ClientSecretForbidden"],
  [{ longestLifetimeInDays: 0.5 }, "ClientSecretLifetimeForbidden"],
])("a policy of the tenant that forbids it is told by its own code: %j", async (clientSecrets, code) => {
  const { environment } = clouds;
  const graph = createGraph({ environment, credentials: createCredentials(environment, clouds.application) });
  const application = z.looseObject({ id: z.string() });
  const { id } = await graph.post(organization, "/applications", { displayName: "WebClient" }, application);
  await clouds.organize({ tenantId: organization, clientSecrets });
  const passwords = createApplicationPasswords(graph);
  const wanted = { displayName: "gatehouse-one", endDateTime: new Date(Date.now() + 86_400_000).toISOString() };
  const refused = async (): Promise<unknown> => {
    for (;;) {
      const error: unknown = await passwords.add(organization, id, wanted).catch((thrown: unknown) => thrown);
      if (!(error instanceof ControlPlaneError && error.transient)) return error;
    }
  };
  expect(await refused()).toMatchObject({ code, status: 409, transient: false, message: expect.stringContaining("policy") });
  expect(await passwords.list(organization, id)).toEqual([]);
});

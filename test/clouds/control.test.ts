/** The simulators' own door: organisations, the record of requests, faults. */
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const fabrikam = "fab00000-0000-4000-8000-000000000002";
const subscriptionId = "c0ffee00-0000-4000-8000-0000000000a1";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const secretsOf = (one: TestClouds): SecretClient =>
  new SecretClient(one.platformVault, createCredentials(one.environment, one.application).own, {
    disableChallengeResourceVerification: true,
    retryOptions: { maxRetries: 0 },
  });
const post = async (path: string, body: unknown): Promise<{ status: number; text: string }> => {
  const response = await fetch(`${clouds.control}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
};
const problemOf = async (attempt: Promise<unknown>): Promise<object> =>
  attempt.then(
    () => ({ statusCode: 200 }),
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );

test("an organization is made once; a domain is verified in one only", async () => {
  const given = {
    tenantId: contoso,
    domains: ["contoso.example"],
    mailboxes: ["Pilot@contoso.example"],
    subscriptionId,
    offer: "EnterpriseAgreement" as const,
  };
  const made = await clouds.organize(given);
  expect(made).toMatchObject({ tenantId: contoso, mailboxes: ["pilot@contoso.example"], subscriptionId, azureAccess: true });
  expect(made.domains).toEqual([
    { name: "contoso.example", verified: true, initial: false },
    { name: "contoso.onmicrosoft.example", verified: true, initial: true },
  ]);
  expect(await clouds.organize(given)).toEqual(made);
  expect(await clouds.organize({ ...given, azureAccess: false })).toEqual({ ...made, azureAccess: false });

  const other = await clouds.organize({
    tenantId: fabrikam,
    domains: [{ name: "fabrikam.example", verified: false }, "contoso.example"],
  });
  expect(other.domains.filter(({ initial }) => !initial)).toEqual([
    { name: "fabrikam.example", verified: false, initial: false },
    { name: "contoso.example", verified: false, initial: false },
  ]);
  expect((await post("/organizations", { tenantId: fabrikam, domains: [], subscriptionId })).status).toBe(409);
});

test("what is wrong with a body is said", async () => {
  const { status, text } = await post("/organizations", { tenantId: "contoso", domain: "contoso.example" });
  expect(status).toBe(400);
  expect(text).toContain("tenantId");
  expect(text).toContain("domain");
  expect((await post("/faults", { cloud: "moon", match: {}, fault: "refuse", times: 1 })).status).toBe(400);
  expect((await post("/faults", { cloud: "arm", match: { path: "/(/" }, fault: "refuse", times: 1 })).status).toBe(400);
  expect((await post("/faults", { cloud: "arm", match: {}, fault: "explode", times: 1 })).status).toBe(400);
  expect((await post("/elsewhere", {})).status).toBe(404);
});

test("the record goes on where the last question ended, and holds no secret", async () => {
  const list = async (
    query: string,
  ): Promise<{ value: { seq: number; cloud: string; effect: string; status: number }[]; next: number }> =>
    JSON.parse(await (await fetch(`${clouds.control}/requests?${query}`)).text());
  const { next } = await list("since=0");
  await secretsOf(clouds).setSecret("recorded", "a recorded value");
  const { value, next: after } = await list(`cloud=vault&since=${next}`);
  expect(value.map(({ status, effect }) => [status, effect])).toEqual([
    [401, "none"],
    [200, "write"],
  ]);
  expect(value.every(({ seq }) => seq > next)).toBe(true);
  expect(await list(`cloud=vault&since=${after}`)).toEqual({ value: [], next: after });
  const all = JSON.stringify(await clouds.requests());
  for (const secret of ["a recorded value", clouds.identity.header, ...clouds.clients.map(({ clientSecret }) => clientSecret)])
    expect(all).not.toContain(secret);
});

test("a fault meets the requests that match, as often as planned", async () => {
  const secrets = secretsOf(clouds);
  await secrets.setSecret("faulty", "value before");
  await clouds.fault("vault", "429", { method: "PUT", path: "/secrets/faulty" });
  expect(await problemOf(secrets.setSecret("faulty", "throttled"))).toMatchObject({ statusCode: 429 });
  await clouds.fault("vault", { kind: "status", status: 500, code: "InternalServerError" }, { path: "/secrets\\/faul.y/" }, 2);
  expect(await problemOf(secrets.getSecret("faulty"))).toMatchObject({ statusCode: 500 });
  expect(await problemOf(secrets.getSecret("faulty"))).toMatchObject({ statusCode: 500 });
  expect((await secrets.getSecret("faulty")).value).toBe("value before");
  await clouds.fault("vault", "refuse", { path: "/secrets/other" });
  expect((await secrets.getSecret("faulty")).value).toBe("value before");
  await clouds.fault("vault", "html");
  expect((await problemOf(secrets.getSecret("faulty"))).constructor.name).not.toBe("Object");
  await fetch(`${clouds.control}/faults`, { method: "DELETE" });
});

test("a fault meets the n-th request from now, of one cloud or of whichever", async () => {
  const secrets = secretsOf(clouds);
  await secrets.setSecret("counted", "value one");
  const last = (await clouds.requests()).at(-1)?.seq ?? 0;
  await clouds.fault("vault", "500", { path: "/secrets/counted" }, 1, 2);
  await clouds.fault(undefined, "cut-before-effect", {}, 1, 4);
  await clouds.fault("graph", "500", {}, 1, 0);
  const answers = [];
  for (let read = 0; read < 5; read += 1) answers.push(await problemOf(secrets.getSecret("counted")));
  expect(answers.map((one) => Reflect.get(one, "statusCode"))).toEqual([200, 200, 500, 200, undefined]);
  const faults = (await clouds.requests(undefined, last)).map(({ fault = "" }) => fault);
  expect(faults).toEqual(["", "", "status", "", "cut-before-effect"]);
  const left = (await (await fetch(`${clouds.control}/faults`)).json()) as { value: object[] };
  expect(left.value).toMatchObject([{ cloud: "graph", after: 0, times: 1 }]);
  await clouds.clearFaults();
});

test("a cut before the effect leaves the cloud as it was, a cut after it doesn't", async () => {
  const secrets = secretsOf(clouds);
  const last = (await clouds.requests()).at(-1)?.seq ?? 0;
  await secrets.setSecret("cut", "value one");
  await clouds.fault("vault", "cut-before-effect", { method: "PUT" });
  expect(await problemOf(secrets.setSecret("cut", "value two"))).toBeInstanceOf(Error);
  expect((await secrets.getSecret("cut")).value).toBe("value one");
  await clouds.fault("vault", "cut-after-effect", { method: "PUT" });
  expect(await problemOf(secrets.setSecret("cut", "value three"))).toBeInstanceOf(Error);
  expect((await secrets.getSecret("cut")).value).toBe("value three");
  const cuts = (await clouds.requests("vault", last)).filter(({ fault }) => fault?.startsWith("cut"));
  expect(cuts.map(({ fault, status, effect }) => [fault, status, effect])).toEqual([
    ["cut-before-effect", 0, "none"],
    ["cut-after-effect", 200, "write"],
  ]);
});

test("an answer that never comes, before the effect and after it", async () => {
  const secrets = secretsOf(clouds);
  await secrets.setSecret("silent", "value one");
  const patience = (): { abortSignal: AbortSignal } => ({ abortSignal: AbortSignal.timeout(300) });
  await clouds.fault("vault", "timeout-before-effect", { method: "PUT" });
  expect((await problemOf(secrets.setSecret("silent", "value two", patience()))).constructor.name).toBe("AbortError");
  expect((await secrets.getSecret("silent")).value).toBe("value one");
  await clouds.fault("vault", "timeout-after-effect", { method: "PUT" });
  expect((await problemOf(secrets.setSecret("silent", "value three", patience()))).constructor.name).toBe("AbortError");
  expect((await secrets.getSecret("silent")).value).toBe("value three");
});

test("an answer of one's own, in place of the cloud's or although the cloud did it", async () => {
  const secrets = secretsOf(clouds);
  await secrets.setSecret("own", "value one");
  const answer = { kind: "answer", status: 502, body: { error: { code: "BadGateway", message: "no" } } };
  await clouds.fault("vault", answer, { method: "PUT" });
  expect(await problemOf(secrets.setSecret("own", "value two"))).toMatchObject({ statusCode: 502, code: "BadGateway" });
  expect((await secrets.getSecret("own")).value).toBe("value one");
  await clouds.fault("vault", { ...answer, afterEffect: true }, { method: "PUT" });
  expect(await problemOf(secrets.setSecret("own", "value three"))).toMatchObject({ statusCode: 502 });
  expect((await secrets.getSecret("own")).value).toBe("value three");
  await clouds.fault("vault", "content-type", { method: "GET" });
  expect((await problemOf(secrets.getSecret("own"))).constructor.name).not.toBe("Object");
});

test("a stale read gives what the same read gave before the last write, whatever was written elsewhere in between", async () => {
  const secrets = secretsOf(clouds);
  await secrets.setSecret("stale", "value one");
  expect((await secrets.getSecret("stale")).value).toBe("value one");
  await secrets.setSecret("stale", "value two");
  expect((await secrets.getSecret("stale")).value).toBe("value two");
  await secrets.setSecret("unrelated", "value");
  await clouds.fault("vault", "stale-read", { method: "GET" });
  expect((await secrets.getSecret("stale")).value).toBe("value one");
  expect((await secrets.getSecret("stale")).value).toBe("value two");
  await clouds.fault("vault", "stale-read", { method: "GET" });
  // Nothing was ever read differently: the present answer is all there is.
  expect((await secrets.getSecret("unrelated")).value).toBe("value");
});

test("a next link leads elsewhere, a throttling has no time to wait, a token is good no longer", async () => {
  const token = async (audience: string): Promise<string> =>
    (await createCredentials(clouds.environment, clouds.application).own.getToken(`${audience}/.default`))?.token ?? "";
  const authorization = `Bearer ${await token(clouds.environment.graph.audience)}`;
  const ask = (): Promise<Response> => fetch(`${clouds.graph}/v1.0/organization`, { headers: { authorization } });
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: null });
  const throttled = await ask();
  expect([throttled.status, throttled.headers.get("retry-after")]).toEqual([429, null]);
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 1.5 });
  expect((await ask()).headers.get("retry-after")).toBe("1.5");
  await clouds.fault("graph", "claims-challenge");
  const challenged = await ask();
  const [, claims = ""] =
    /error="insufficient_claims", claims="([^"]+)"/.exec(challenged.headers.get("www-authenticate") ?? "") ?? [];
  expect(JSON.parse(Buffer.from(claims, "base64").toString())).toMatchObject({ access_token: { nbf: { essential: true } } });
  await clouds.fault("vault", "foreign-next-link");
  const page = await fetch(`${clouds.platformVault}/secrets?api-version=7.5`, {
    headers: { authorization: `Bearer ${await token(clouds.environment.vault.audience)}` },
  });
  expect(await page.json()).toMatchObject({ value: expect.any(Array), nextLink: "https://elsewhere.example/next?$skiptoken=1" });
});

test("a fault that a cloud can't have is refused", async () => {
  for (const [cloud, fault] of [
    ["arm", "servfail"],
    ["dns", "html"],
    ["mail", "stale-read"],
    ["graph", { kind: "reply", reply: "421 4.3.2 Service not active" }],
    [undefined, "wrong-id"],
  ])
    expect((await post("/faults", { cloud, fault })).text).toContain("is nothing that happens to this cloud");
});

test("mail comes from the outside world over SMTP, and from a mailbox through its organization", async () => {
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  const inbound = await post("/mail", { from: "stranger@outside.example", to: "pilot@contoso.example", subject: "Greetings" });
  expect(inbound.status).toBe(202);
  expect(JSON.parse(inbound.text)).toMatchObject({
    via: "internet",
    deliveries: [{ accepted: ["pilot@contoso.example"], refused: [] }],
  });
  const outbound = await post("/mail", { from: "pilot@contoso.example", to: ["stranger@outside.example"] });
  expect(JSON.parse(outbound.text)).toEqual({ via: "mailbox", tenantId: contoso });
});

test("every cloud shows its state", async () => {
  for (const cloud of ["entra", "arm", "vault", "graph", "exchange", "dns", "mail", "identity"] as const) {
    expect(await clouds.state(cloud)).toBeTypeOf("object");
  }
  expect((await fetch(`${clouds.control}/state/moon`)).status).toBe(404);
});

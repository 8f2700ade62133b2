/** What the client makes of answers that the real Exchange Online gives on its bad days; sources are in shared/exchange/README.md. */
import { expect, test, vi } from "vitest";
import type { Credentials } from "../../shared/entra/credentials.ts";
import { type CloudEnvironment, cloudEnvironments } from "../../shared/environment.ts";
import { createExchange } from "../../shared/exchange/client.ts";

const ORGANIZATION = "c0ffee00-0000-4000-8000-000000000001";
const environment = cloudEnvironments["AzureCloud"] ?? expect.unreachable();

interface Sent {
  url: string;
  headers: Headers;
  body: { CmdletInput: { CmdletName: string; Parameters: Record<string, unknown> } };
}

function exchangeAnswering(...answers: (Response | Error)[]) {
  return exchangeIn(environment, answers);
}

function exchangeIn(cloud: CloudEnvironment, answers: (Response | Error)[]) {
  const sent: Sent[] = [];
  const asked: { claims: string | undefined }[] = [];
  const audiences: string[] = [];
  const forget = vi.fn<(tenant: string) => void>();
  const credential = {
    getToken: async (scopes: string | string[], options?: { claims?: string }) => {
      asked.push({ claims: options?.claims });
      audiences.push(...[scopes].flat());
      return { token: `token-${asked.length}`, expiresOnTimestamp: 0 };
    },
  };
  const credentials: Credentials = { own: credential, inTenant: () => credential, forget };
  const fetched: typeof fetch = async (url, init) => {
    const { url: target, headers } = new Request(url, init);
    sent.push({ url: target, headers, body: JSON.parse(typeof init?.body === "string" ? init.body : "null") });
    const answer = answers.shift() ?? expect.unreachable("one request too many");
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { exchange: createExchange({ environment: cloud, credentials, fetch: fetched }), sent, asked, audiences, forget };
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json; charset=utf-8", ...headers } });
const refusal = (message: string, status = 400): Response =>
  json({ error: { code: "BadRequest", message: "", details: [{ code: "", target: "", message }] } }, status);
const rule = (name: string, priority: number) => ({ Name: name, Guid: `guid-${name}`, Priority: priority });
const lost = (code: string): Error => new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });

test("a request names cmdlet, anchor mailbox and page size, and says honestly who asks", async () => {
  const { exchange, sent } = exchangeAnswering(json({ value: [] }));
  await exchange.list(ORGANIZATION, "Get-TransportRule", {});
  expect(sent[0]?.url).toBe(`https://outlook.office365.com/adminapi/beta/${ORGANIZATION}/InvokeCommand`);
  expect(sent[0]?.body).toEqual({ CmdletInput: { CmdletName: "Get-TransportRule", Parameters: {} } });
  expect(Object.fromEntries(sent[0]?.headers ?? [])).toMatchObject({
    authorization: "Bearer token-1",
    "x-cmdletname": "Get-TransportRule",
    "x-anchormailbox": `APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@${ORGANIZATION}`,
    "x-responseformat": "json",
    "x-serializationlevel": "Partial",
    prefer: "odata.maxpagesize=1000",
    "accept-language": "en-US",
    "user-agent": "Gatehouse",
  });
});

test.each([
  ["AzureCloud", "https://outlook.office365.com", "https://outlook.office365.com"],
  ["AzureUSGovernment", "https://outlook.office365.us", "https://outlook.office365.us"],
  ["AzureUSGovernmentDoD", "https://outlook-dod.office365.us", "https://outlook-dod.office365.us"],
  ["AzureChinaCloud", "https://outlook.office365.cn", "https://partner.outlook.cn"],
])("in %s requests and pages stay at %s", async (name, endpoint, audience) => {
  const elsewhere =
    endpoint === "https://outlook.office365.com" ? "https://outlook.office365.us" : "https://outlook.office365.com";
  const { exchange, sent, audiences } = exchangeIn(cloudEnvironments[name] ?? expect.unreachable(), [
    json({ value: [], "@odata.nextLink": `${elsewhere}/adminapi/beta/${ORGANIZATION}/InvokeCommand?$skiptoken=1` }),
  ]);
  await expect(exchange.list(ORGANIZATION, "Get-TransportRule", {})).rejects.toMatchObject({ code: "ExchangeAnswerMalformed" });
  expect(sent.map(({ url }) => new URL(url).origin)).toEqual([endpoint]);
  expect(audiences).toEqual([`${audience}/.default`]);
});

test("pages are fetched by posting the same body to the link", async () => {
  const next = `https://outlook.office365.com/adminapi/beta/${ORGANIZATION}/InvokeCommand?$skiptoken=1`;
  const { exchange, sent } = exchangeAnswering(
    json({ value: [rule("a", 0)], "@odata.nextLink": next }),
    json({ value: [rule("b", 1)] }),
  );
  const rules = await exchange.list(ORGANIZATION, "Get-TransportRule", {});
  expect(rules.map(({ Name }) => Name)).toEqual(["a", "b"]);
  expect(sent[1]?.url).toBe(next);
  expect(sent[1]?.body).toEqual(sent[0]?.body);
  expect(sent[1]?.headers.get("client-request-id")).toBe(sent[0]?.headers.get("client-request-id"));
});

test("a page on another host doesn't get our token", async () => {
  const { exchange, sent } = exchangeAnswering(
    json({ value: [rule("a", 0)], "@odata.nextLink": "https://elsewhere.example/InvokeCommand" }),
  );
  await expect(exchange.list(ORGANIZATION, "Get-TransportRule", {})).rejects.toMatchObject({ code: "ExchangeAnswerMalformed" });
  expect(sent).toHaveLength(1);
});

test("an object that Exchange doesn't know is absent; every other failure to read is unknown", async () => {
  const missing = exchangeAnswering(
    refusal("|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|couldn't be found", 404),
  );
  expect(await missing.exchange.get(ORGANIZATION, "Get-InboundConnector", { Identity: "x" })).toEqual({ state: "absent" });
  const empty = exchangeAnswering(json({ value: [] }));
  expect(await empty.exchange.get(ORGANIZATION, "Get-InboundConnector", { Identity: "x" })).toEqual({ state: "absent" });
  for (const answer of [
    refusal("|System.ArgumentException|something else"),
    new Response("<html>nothing here</html>", { status: 404, headers: { "content-type": "text/html" } }),
    new Response("", { status: 403 }),
    json({ value: [] }, 503),
    lost("ECONNRESET"),
    json({ nothing: "known", value: "not a list" }),
  ]) {
    const { exchange } = exchangeAnswering(answer);
    expect(await exchange.get(ORGANIZATION, "Get-InboundConnector", { Identity: "x" })).toMatchObject({ state: "unknown" });
  }
});

test.each([
  ["|Microsoft.Exchange.Data.Directory.ADServerSettingsChangedException|busy", 500, "ExchangeBusy", true],
  ["|Microsoft.Exchange.Data.Storage.StorageTransientException|busy", 400, "ExchangeBusy", true],
  ["|Microsoft.Exchange.Cmdlet.CmdletProxyNotAvailableFailure|busy", 400, "ExchangeBusy", true],
  [
    "|Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException|The connector already exists.",
    400,
    "ExchangeObjectExists",
    true,
  ],
  [
    "|System.ArgumentException|The SenderRewritingEnabled parameter can only be specified for Connector type OnPremises.",
    400,
    "ExchangeRefused",
    false,
  ],
  ["ex6F9304|System.Exception|is not present in the role definition of the current user", 400, "ExchangeRoleMissing", true],
])("%s is told by its exception type", async (message, status, code, transient) => {
  const { exchange } = exchangeAnswering(refusal(message, status));
  await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({ code, transient });
});

test("errors beside a 200 are a failure", async () => {
  const { exchange } = exchangeAnswering(
    json({ value: [], "@adminapi.errors": ["|Microsoft.Exchange.ServerBusyException|busy"] }),
  );
  await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({
    code: "ExchangeBusy",
  });
});

test("throttling hands on how long to wait, rounded up", async () => {
  const { exchange } = exchangeAnswering(new Response("", { status: 429, headers: { "retry-after": "12.5" } }));
  await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({
    code: "ExchangeBusy",
    transient: true,
    retryAfterInSeconds: 13,
  });
});

test("a web page is no answer", async () => {
  const page = new Response("<html></html>", { headers: { "content-type": "text/html" } });
  await expect(exchangeAnswering(page).exchange.list(ORGANIZATION, "Get-TransportRule", {})).rejects.toMatchObject({
    code: "ExchangeAnswerMalformed",
    transient: false,
  });
});

test("a write whose answer is lost or unreadable may have happened; one that never left did not", async () => {
  const garbled = new Response("\u001f\u008b", { headers: { "content-type": "application/json" } });
  for (const answer of [lost("ECONNRESET"), lost("UND_ERR_SOCKET"), new DOMException("timed out", "TimeoutError"), garbled]) {
    const { exchange } = exchangeAnswering(answer);
    await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({
      code: "ExchangeOutcomeUnknown",
      transient: true,
    });
  }
  const { exchange } = exchangeAnswering(lost("ECONNREFUSED"));
  await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({
    code: "ExchangeUnreachable",
  });
});

test("a claims challenge is answered once, with the claims that it asks for", async () => {
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}';
  const challenge = new Response("", {
    status: 401,
    headers: { "www-authenticate": `Bearer error="insufficient_claims", claims="${Buffer.from(claims).toString("base64")}"` },
  });
  const { exchange, sent, asked } = exchangeAnswering(challenge, json({ value: [] }));
  await exchange.list(ORGANIZATION, "Get-TransportRule", {});
  expect(asked.map((one) => one.claims)).toEqual([undefined, claims]);
  expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer token-1", "Bearer token-2"]);
});

test("a missing role is no reason for another token at once, but for forgetting the one we have", async () => {
  const { exchange, sent, forget } = exchangeAnswering(
    json({ error: { code: "Unauthorized", message: "User is not allowed to call Get-TransportRule" } }, 401),
  );
  await expect(exchange.list(ORGANIZATION, "Get-TransportRule", {})).rejects.toMatchObject({
    code: "ExchangeRoleMissing",
    status: 403,
  });
  expect(sent).toHaveLength(1);
  expect(forget).toHaveBeenCalledWith(ORGANIZATION);
});

test("a removal always says that it is meant", async () => {
  const { exchange, sent } = exchangeAnswering(json({ value: [] }));
  await exchange.run(ORGANIZATION, "Remove-InboundConnector", { Identity: "x" });
  expect(sent[0]?.body.CmdletInput.Parameters).toEqual({ Identity: "x", Confirm: false });
});

test("a dehydrated organisation is customised once, and the caller told to come again", async () => {
  const { exchange, sent } = exchangeAnswering(
    refusal(
      "|System.InvalidOperationException|The command you tried to run isn't currently allowed in your organization. Run Enable-OrganizationCustomization first.",
    ),
    refusal(
      "|System.InvalidOperationException|This operation is not required. Organization is already enabled for customization.",
    ),
  );
  await expect(exchange.run(ORGANIZATION, "Remove-TransportRule", { Identity: "x" })).rejects.toMatchObject({
    code: "ExchangeOrganizationDehydrated",
    transient: true,
  });
  expect(sent.map(({ body }) => body.CmdletInput.CmdletName)).toEqual([
    "Remove-TransportRule",
    "Enable-OrganizationCustomization",
  ]);
});

test("an error never shows the words that a rule looks for", async () => {
  const guid = "5f0c3c1e-2d7a-4a41-9c1f-0d2b6f3e8a77";
  const { exchange } = exchangeAnswering(refusal(`|System.ArgumentException|Cannot convert value "${guid}".`));
  const error: unknown = await exchange
    .run(ORGANIZATION, "Set-TransportRule", { Identity: "x", HeaderContainsWords: [guid] })
    .catch((caught: unknown) => caught);
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(guid);
});

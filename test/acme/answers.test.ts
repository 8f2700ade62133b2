/** What an ACME server may say no with, and what becomes of an order then: said over HTTP by a server that plays its part (RFC 8555). */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { crypto } from "acme-client";
import { afterAll, beforeEach, expect, test } from "vitest";
import { withAcme } from "../../shared/acme/certificates.ts";
import { createAcmeServer } from "../../shared/acme/server.ts";
import type { Azure, Polled } from "../../shared/azure/client.ts";
import { absent } from "../../shared/resources/resource.ts";
import { type AcmeOrderStore, createAcmeOrderStore } from "../../shared/stores/acme-orders.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const NAME = "gateway.contoso.example";
const ACCOUNT_KEY = (await crypto.createPrivateEcdsaKey()).toString();
const [, pem] = await crypto.createCsr({ commonName: NAME }, await crypto.createPrivateEcdsaKey());
const REQUEST = Buffer.from(pem.toString().replaceAll(/-----[^-]+-----|\s/g, ""), "base64");

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}
/** By the last part of the path; the first of a list is for the first request. */
let answers: Record<string, Answer[]>;
let asked: string[];
const listening: Server = createServer((request, response) => {
  const what = request.url?.split("/").at(-1) ?? "";
  asked.push(what);
  const list = answers[what] ?? [];
  const { status, body, headers } = (list.length > 1 ? list.shift() : list[0]) ?? { status: 404, body: problem("malformed") };
  response.writeHead(status, { "replay-nonce": "bm9uY2U", "content-type": "application/json", ...headers });
  response.end(body === undefined ? "" : JSON.stringify(body));
}).listen(0, "127.0.0.1");
await once(listening, "listening");
const address = listening.address();
const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
afterAll(() => void listening.close());

const problem = (type: string, detail = "in the server's words") => ({ type: `urn:ietf:params:acme:error:${type}`, detail });
const order = (status: string, more: object = {}) => ({
  status,
  identifiers: [{ type: "dns", value: NAME }],
  authorizations: [`${url}/authorization`],
  finalize: `${url}/finalize`,
  ...more,
});
const authorization = (status: string, challenge: object = {}) => ({
  status,
  identifier: { type: "dns", value: NAME },
  challenges: [{ type: "dns-01", url: `${url}/challenge`, status, token: "dG9rZW4", ...challenge }],
});

let now: number;
let orders: AcmeOrderStore;
let pending: boolean;
beforeEach(() => {
  now = Date.parse("2026-11-01T00:00:00Z");
  orders = createAcmeOrderStore(memoryStorage());
  pending = true;
  asked = [];
  answers = {
    dir: [{ status: 200, body: { newNonce: `${url}/nonce`, newAccount: `${url}/account`, newOrder: `${url}/new-order` } }],
    nonce: [{ status: 200 }],
    account: [{ status: 200, body: { status: "valid" }, headers: { location: `${url}/account` } }],
    "new-order": [{ status: 201, body: order("pending"), headers: { location: `${url}/order` } }],
    order: [{ status: 200, body: order("pending") }],
    authorization: [{ status: 200, body: authorization("pending") }],
  };
});

const zoneId = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/dnsZones/contoso.example";
const where = {
  owner: { partnerId: "northwind", tenantId: "contoso" },
  entraTenantId: "e",
  vaultUrl: "https://v.example",
  certificate: "c",
};

function driver() {
  const vaults = {
    first: async () => ({ vaultUrl: "v", name: "acme-account-key", version: "1" }),
    read: async () => ACCOUNT_KEY,
  } as unknown as Vaults;
  const certificates = {
    begin: async () => ({ state: "begun", operationUrl: "https://v.example/certificates/c/pending", retryAfterInSeconds: 10 }),
    request: async () => (pending ? REQUEST : undefined),
    discard: async () => void (pending = false),
    ownsOperation: () => true,
    pollOperation: async () => ({ status: "succeeded" }),
  } as unknown as Certificates;
  const azure = {
    read: async () => absent,
    begin: async () => ({ state: "done" }),
  } as unknown as Azure;
  const acme = withAcme({
    certificates,
    server: createAcmeServer({
      directoryUrl: `${url}/dir`,
      contact: undefined,
      externalAccount: undefined,
      vaults,
      platformVaultUrl: "v",
    }),
    azure,
    authorities: { texts: async () => absent },
    orders,
    clock: { now: () => now },
    checkEveryInSeconds: 10,
  });
  return async (): Promise<Polled> => {
    pending = true;
    const begun = await acme.begin(
      { ...where, name: NAME, acme: { zoneId } },
      { issuerName: "Unknown", subject: `CN=${NAME}` },
      {},
    );
    if (begun.state !== "begun") throw new Error("nothing was begun");
    return acme.pollOperation({ entraTenantId: "e", operationUrl: begun.operationUrl });
  };
}

const HOUR = 3600_000;
const times = (what: string): number => asked.filter((one) => one === what).length;
const failed = (code: string) => ({
  status: "failed",
  error: { code, message: expect.stringContaining("in the server's words") },
});

test("asked to wait a little, it waits; asked to wait long, it ends, and nobody asks before that", async () => {
  const look = driver();
  const made = answers["new-order"] ?? [];
  answers["new-order"] = [
    { status: 429, body: problem("rateLimited"), headers: { "retry-after": "30" } },
    { status: 429, body: problem("rateLimited"), headers: { "retry-after": "86400" } },
    ...made,
  ];
  expect(await look()).toEqual({ status: "running", retryAfterInSeconds: 30 });
  now += 31_000;
  expect(await look()).toEqual(failed("AcmeLimited"));
  expect(pending).toBe(false);
  now += 23 * HOUR;
  await expect(look()).rejects.toMatchObject({ code: "AcmeLimited", message: expect.stringContaining("2026-11-02T00:00:31") });
  expect(times("new-order")).toBe(2);
  now += HOUR;
  expect(await look()).toMatchObject({ status: "running" });
});

test("an order that became invalid says why, and after four of them in an hour there is no fifth", async () => {
  const look = driver();
  answers["order"] = [{ status: 200, body: order("invalid") }];
  answers["authorization"] = [{ status: 200, body: authorization("invalid", { error: problem("caa") }) }];
  for (let time = 0; time < 4; time++) {
    const refused = await look();
    expect(refused).toEqual(failed("AcmeRefused"));
    expect(refused).toMatchObject({ error: { message: expect.stringContaining("caa: ") } });
  }
  for (let time = 0; time < 3; time++) await expect(look()).rejects.toMatchObject({ code: "AcmeLimited" });
  expect(times("new-order")).toBe(4);
  now += HOUR + 1000;
  expect(await look()).toEqual(failed("AcmeRefused"));
});

test("an order that is gone is replaced by another; one that was refused is not", async () => {
  const look = driver();
  await look();
  answers["order"] = [{ status: 404, body: problem("malformed") }, ...(answers["order"] ?? [])];
  expect(await look()).toMatchObject({ status: "running" });
  expect(times("new-order")).toBe(2);
  await orders.change("northwind", "contoso", () => ({ order: undefined, ended: [] }));
  answers["new-order"] = [{ status: 403, body: problem("rejectedIdentifier") }];
  expect(await look()).toEqual(failed("AcmeRefused"));
  expect(times("new-order")).toBe(3);
});

test("a deactivated account is not tried again and again", async () => {
  const look = driver();
  answers["order"] = [{ status: 403, body: problem("unauthorized") }];
  expect(await look()).toEqual(failed("AcmeAccountRefused"));
  answers["account"] = [{ status: 401, body: problem("unauthorized") }];
  expect(await look()).toEqual(failed("AcmeAccountRefused"));
  expect(times("new-order")).toBe(1);
});

test("a server that fails, or refuses every nonce, is worth another try with the same order", async () => {
  const look = driver();
  await look();
  const order = answers["order"] ?? [];
  answers["order"] = [{ status: 503, headers: { "retry-after": "7" } }];
  await expect(look()).rejects.toMatchObject({ code: "AcmeUnavailable", transient: true, retryAfterInSeconds: 7 });
  answers["order"] = [{ status: 400, body: problem("badNonce") }];
  await expect(look()).rejects.toMatchObject({ code: "AcmeUnavailable", transient: true });
  answers["order"] = order;
  expect(await look()).toMatchObject({ status: "running" });
  expect(times("new-order")).toBe(1);
});

test("a record that the name's own servers never have is given up after a while, and said so", async () => {
  const look = driver();
  expect(await look()).toMatchObject({ status: "running" });
  now += 19 * 60_000;
  expect(await look()).toMatchObject({ status: "running" });
  now += 2 * 60_000;
  expect(await look()).toMatchObject({ status: "failed", error: { code: "AcmeRecordUnseen" } });
  expect(times("challenge")).toBe(0);
});

test("a name is issued five times a week, and no sixth time", async () => {
  const look = driver();
  const at = new Date(now).toISOString();
  await orders.change("northwind", "contoso", () => ({
    ended: Array.from({ length: 5 }, () => ({ at, how: "issued" as const })),
  }));
  now += 6 * 24 * HOUR;
  await expect(look()).rejects.toMatchObject({ code: "AcmeLimited" });
  now += 24 * HOUR + 1000;
  expect(await look()).toMatchObject({ status: "running" });
});

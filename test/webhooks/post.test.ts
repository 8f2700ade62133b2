/** A webhook's request goes where its name was judged to lead, once, within its limits; here to a real HTTPS server on loopback. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { makeAuthority } from "../../infra/local/clouds/authority.ts";
import { absent, type Observed, present, unknown } from "../../shared/resources/resource.ts";
import { cloudEventOf, signedHeaders } from "../../shared/webhooks/message.ts";
import { createPostWebhook, type PostWebhook } from "../../shared/webhooks/post.ts";

const NAME = "hooks.northwind.example";
const folder = mkdtempSync(join(tmpdir(), "gatehouse-post-"));
let server: Server;
let port: number;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let received: { url: string | undefined; headers: IncomingMessage["headers"]; body: string }[] = [];
let connections = 0;

beforeAll(async () => {
  const authority = await makeAuthority(folder);
  setDefaultCACertificates([...getCACertificates("default"), authority.authority]);
  const { certificate, key } = await authority.issue(NAME);
  server = createServer({ cert: certificate, key }, (request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      received.push({ url: request.url, headers: request.headers, body });
      answer(request, response);
    })();
  });
  server.on("connection", () => (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  received = [];
  connections = 0;
  answer = (_request, response) => response.writeHead(204).end();
});

const post = (addresses: Observed<string[]>, { allowed = ["127.0.0.0/8"], timeoutInMilliseconds = 5000 } = {}): PostWebhook =>
  createPostWebhook({
    targets: { ports: [port], allowedRanges: allowed },
    addressesOf: async () => addresses,
    timeoutInMilliseconds,
  });
const here = present(["127.0.0.1"]);
const url = (path = "/in", host = NAME): string => `https://${host}:${port}${path}`;

test("it goes to the address that was judged, under the name that was asked for", async () => {
  expect(await post(here)(url(), { "webhook-id": "1" }, "{}")).toEqual({ outcome: "answered", status: 204 });
  expect(received).toMatchObject([{ url: "/in", headers: { host: `${NAME}:${port}`, "webhook-id": "1" }, body: "{}" }]);
});

test("one address among several that is not public stops it before a connection is made", async () => {
  for (const bad of ["127.0.0.1", "168.63.129.16", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
    expect(await post(present(["8.8.8.8", bad]), { allowed: [] })(url(), {}, "{}")).toMatchObject({ code: "AddressForbidden" });
  expect(connections).toBe(0);
});

test("a name that doesn't exist, one that nobody answers for, and a URL that is no longer allowed", async () => {
  expect(await post(absent)(url(), {}, "{}")).toMatchObject({ outcome: "failed", code: "NameNotFound" });
  expect(await post(unknown("DnsFailed", "silence"))(url(), {}, "{}")).toMatchObject({ code: "NameNotResolved" });
  expect(await post(here)(`https://127.0.0.1:${port}/`, {}, "{}")).toMatchObject({ code: "TargetForbidden" });
  expect(await post(here)(`https://${NAME}/`, {}, "{}")).toMatchObject({ code: "TargetForbidden" });
  expect(connections).toBe(0);
});

test("a redirect is an answer like any other: nobody follows it", async () => {
  answer = (_request, response) => response.writeHead(302, { location: `https://${NAME}:${port}/elsewhere` }).end();
  expect(await post(here)(url(), {}, "{}")).toEqual({ outcome: "answered", status: 302 });
  expect(received.map((one) => one.url)).toEqual(["/in"]);
});

test("whose certificate is for another name is not spoken to", async () => {
  expect(await post(here)(url("/", "other.northwind.example"), {}, "{}")).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  expect(received).toEqual([]);
});

test("an answer without end counts by its status, and silence as a failure", async () => {
  answer = (_request, response) => {
    response.writeHead(200);
    const more = (): void => {
      if (!response.destroyed) response.write("x".repeat(16_384), () => setImmediate(more));
    };
    more();
  };
  expect(await post(here)(url(), {}, "{}")).toEqual({ outcome: "answered", status: 200 });
  answer = () => undefined;
  expect(await post(here, { timeoutInMilliseconds: 300 })(url(), {}, "{}")).toMatchObject({ code: "TimedOut" });
});

test("the time that a receiver asks for is heard, in seconds or as a date", async () => {
  answer = (_request, response) => response.writeHead(503, { "retry-after": "120" }).end();
  expect(await post(here)(url(), {}, "{}")).toEqual({ outcome: "answered", status: 503, retryAfterInSeconds: 120 });
  const later = new Date(Date.now() + 3600_000).toUTCString();
  answer = (_request, response) => response.writeHead(429, { "retry-after": later }).end();
  const answered = await post(here)(url(), {}, "{}");
  expect(answered.outcome === "answered" && (answered.retryAfterInSeconds ?? 0) > 3000).toBe(true);
  answer = (_request, response) => response.writeHead(503, { "retry-after": "soon" }).end();
  expect(await post(here)(url(), {}, "{}")).toEqual({ outcome: "answered", status: 503 });
});

test("a receiver with any of the secrets verifies the CloudEvent with the reference implementation, and nothing else passes", async () => {
  const [old, fresh, foreign] = [1, 2, 3].map((byte) => `whsec_${Buffer.alloc(32, byte).toString("base64")}`) as [
    string,
    string,
    string,
  ];
  const event = {
    id: "health-1",
    type: "gateway.health.changed",
    tenantId: "contoso",
    subject: "contoso-gateway-1",
    at: "2026-11-22T10:00:00.000Z",
    data: { before: { health: "healthy" }, after: { health: "stopped" } },
  };
  const body = cloudEventOf(event, "https://gatehouse.example");
  const headers = await signedHeaders({ id: event.id, body, secrets: [fresh, old] }, Date.now());
  await post(here)(url(), headers, body);
  const [seen] = received;
  const signed = { ...headers, ...(seen?.headers as Record<string, string>) };
  for (const secret of [old, fresh])
    expect(new Webhook(secret).verify(seen?.body ?? "", signed)).toEqual({
      specversion: "1.0",
      id: "health-1",
      source: "https://gatehouse.example/api/tenants/contoso",
      type: "gateway.health.changed",
      subject: "contoso-gateway-1",
      time: "2026-11-22T10:00:00.000Z",
      datacontenttype: "application/json",
      tenantid: "contoso",
      data: event.data,
    });
  expect(signed["content-type"]).toBe("application/cloudevents+json; charset=utf-8");
  expect(() => new Webhook(foreign).verify(body, signed)).toThrow("No matching signature");
  expect(() => new Webhook(old).verify(body.replace("stopped", "healthy"), signed)).toThrow("No matching signature");
  expect(() => new Webhook(old).verify(body, { ...signed, "webhook-id": "health-2" })).toThrow("No matching signature");
  const late = await signedHeaders({ id: event.id, body, secrets: [old] }, Date.now() - 360_000);
  expect(() => new Webhook(old).verify(body, late)).toThrow("too old");
});

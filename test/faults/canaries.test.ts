/**
 * A whole life with every kind of operation, and that of an installation that a person made, with something going wrong everywhere: every
 * secret in it is a random word that is known here, and none is found where it doesn't belong, in whatever encoding.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { TableClient } from "@azure/data-tables";
import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import * as z from "zod";
import type { TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { Received } from "../../infra/local/clouds/webhooks/index.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { changeList, testZone } from "../support/blocklists.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { makeByHand } from "../support/hand-made.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { ownAccount } from "../support/own-account.ts";
import { blobsNow, filesIn, formsOf, secretsSeen, tablesNow } from "../support/secret-search.ts";

const directory = mkdtempSync(path.join(tmpdir(), "gatehouse-canaries-"));
const contoso = customer("contoso", "contoso", {}, { pilot: { addresses: ["pilot@contoso.example"], incoming: true } });
const { tenantId } = contoso;
const { organization } = contoso.watched;
const fabrikam = customer("fabrikam");
const webhookId = "desk";
/** Lists whose key is part of each question: one that quotes what it was asked, some that fail, and one whose key is nowhere. */
const blocklistKey = { name: "blocklist-key", version: "0".repeat(32), value: randomBytes(13).toString("hex") };
const keyedLists = { quoting: "honest", failing: "servfail", refusing: "refused", silent: "silent", keyless: "honest" };
const recipientId = "desk";
/** The platform's own mailbox, and one that gets notifications. */
const outside = {
  organization: "c0ffee00-0000-4000-8000-00000000000f",
  mailbox: "post@canary.example",
  desk: "desk@canary.example",
};
/** Name → value of everything that must not be seen. */
const secrets = new Map<string, string>();
/** What came to each cloud as it came, tokens that it was shown aside: they are for it. */
const asked = new Map<CloudName, string[]>();
/** Everything that the API answered, but the two answers that have a webhook's secret in them. */
const answered: string[] = [];
let platform: OnboardingPlatform;
const operations: Operation[] = [];

beforeAll(async () => {
  platform = await startOnboarding({
    settings: ({ platformVault: vaultUrl }) => ({
      CANARY_MAILBOX: `${outside.organization}/${outside.mailbox}`,
      DNS_BLOCKLISTS: JSON.stringify(
        Object.keys(keyedLists).map((id) => {
          const { name, version } = blocklistKey;
          const key = { vaultUrl, name: id === "keyless" ? "nowhere" : name, version };
          return testZone(id, { zone: `{key}.${id}.lists.example`, key });
        }),
      ),
    }),
    stateFile: path.join(directory, "durable.sqlite"),
    busDirectory: path.join(directory, "service-bus"),
    watch: (cloud, { method, url, headers, text }) => {
      const { authorization: _token, "x-identity-header": _own, ...shown } = headers;
      asked.set(cloud, [...(asked.get(cloud) ?? []), `${method} ${url.href} ${JSON.stringify(shown)} ${text}`]);
    },
  });
  const { clouds, northwind } = platform;
  const { issue } = clouds.tokens;
  vi.spyOn(clouds.tokens, "issue").mockImplementation(async (wanted) => {
    const made = await issue(wanted);
    secrets.set(`token ${secrets.size}`, made.token);
    return made;
  });
  const { url } = (await clouds.state("webhooks")) as { url: string };
  const made = await northwind.putWebhook({ webhookId, body: { url } });
  const dead = await northwind.putWebhook({ webhookId: "dead", body: { url: url.replace(/:\d+/, "") } });
  secrets.set("webhook first", made.body.secret ?? "").set("webhook dead", dead.body.secret ?? "");
  await subscribe();

  await clouds.fault("webhooks", "500", {}, 2);
  await clouds.fault("arm", "500", { method: "PUT", path: "/virtualMachines/gateway-1?" });
  await clouds.fault("exchange", "cut-before-effect", { cmdlet: "New-TransportRule" }, 2);
  await clouds.fault("vault", "503", { method: "PUT", path: "/secrets/loop-guid" });
  await clouds.fault("graph", "html", { method: "POST", path: "/sendMail" });
  operations.push(await platform.onboard(contoso));
  const rotated = await northwind.rotateWebhookSecret({ webhookId });
  secrets.set("webhook second", rotated.body.secret ?? "");
  await clouds.fault("graph", "500", { method: "POST", path: "/addPassword" });
  await platform.fire("sweepCredentials");
  operations.push(await platform.untilEndedOf("rotation", contoso));
  await clouds.fault("vault", "503", { method: "GET", path: "/secrets/webhook-" });
  const tried = (await northwind.testWebhook({ webhookId })).body;
  await delivered(tried.id);
  const heartbeats = startHeartbeats(clouds.platform);
  try {
    await live();
    await adopt();
    // Whose address is listed is not promoted.
    await lookUp();
    await clouds.fault("exchange", "cut-after-effect", { cmdlet: "Remove-TransportRule" });
    await operate(northwind.startOffboarding({ tenantId, body: { confirm: tenantId } }));
  } finally {
    heartbeats.stop();
  }
  await northwind.testMailRecipient({ recipientId });
  await vi.waitUntil(() => mailed().some((text) => text.includes(`${tenantId}: `)), { timeout: 400_000, interval: 100 });
  await platform.fire("sweepNotifications");

  for (const [name, { versions }] of clouds.platform.collection<{ versions: { value: string }[] }>("vault.secrets").entries())
    for (const [index, { value }] of versions.entries()) secrets.set(`${name} ${index}`, value);
  for (const { clientId, clientSecret } of clouds.clients) secrets.set(`client secret of ${clientId}`, clientSecret);
  secrets.set("managed identity's header", clouds.identity.header);
  for (const read of [
    () => northwind.getTenant({ tenantId }),
    () => northwind.listOperations({ tenantId }),
    () => northwind.listEvents({}),
    () => northwind.listTasks({}),
    () => northwind.listListings({}),
    () => northwind.listBlocklists({}),
    () => northwind.listDelistings({}),
    async () => northwind.getDelisting({ caseId: (await northwind.listDelistings({})).body.value[0]?.id ?? "" }),
    () => northwind.listAudit({ tenantId, maxpagesize: 200 }),
    () => northwind.getTenant({ tenantId: fabrikam.tenantId }),
    () => northwind.listAudit({ tenantId: fabrikam.tenantId, maxpagesize: 200 }),
    () => northwind.listMailRecipients({}),
    () => northwind.getMailRecipient({ recipientId }),
    () => northwind.listWebhooks({}),
    () => northwind.listWebhookDeliveries({ webhookId }),
    () => northwind.listWebhookDeliveries({ webhookId: "dead" }),
    ...operations.map(
      ({ id: operationId }) =>
        () =>
          northwind.getOperation({ operationId }),
    ),
    () => platform.operator.listPartnerAudit({ partnerId: "northwind", maxpagesize: 200 }),
  ]) {
    const { body, headers } = await read();
    answered.push(JSON.stringify([body, [...headers]]));
  }
}, 1_200_000);
afterAll(async () => {
  await platform.stop();
  rmSync(directory, { recursive: true });
});

/** A desk that confirms its address, although Graph fails when the code is sent. */
async function subscribe(): Promise<void> {
  const { clouds, northwind } = platform;
  const { organization: tenant, mailbox, desk } = outside;
  await clouds.organize({ tenantId: tenant, domains: ["canary.example"], mailboxes: [mailbox, desk] });
  await clouds.consent(tenant);
  // The platform's own mailbox has been open for long.
  const graph = createGraph({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
  for (let look = 0; look < 5; look += 1)
    await graph.get(tenant, `/users/${mailbox}/messages`, z.unknown()).catch(() => undefined);
  await clouds.fault("graph", "cut-after-effect", { method: "POST", path: "/sendMail" });
  await northwind.putMailRecipient({ recipientId, body: { address: desk, digestInMinutes: 5 } });
  const codeIn = (): string | undefined => /this code: (\S+)/.exec(mailed().join("\n"))?.[1];
  await vi.waitUntil(() => codeIn() !== undefined, { timeout: 120_000, interval: 100 });
  const confirmationCode = codeIn() ?? "";
  secrets.set("mail code", confirmationCode);
  await northwind.confirmMailRecipient({ recipientId, body: { confirmationCode } });
}

/** Texts of the mails that the desk has. */
const mailed = (): string[] =>
  (platform.clouds.platform.peers.messagesIn?.(outside.organization, outside.desk) ?? []).map(({ mime }) =>
    Buffer.from(mime.split("\r\n\r\n").slice(1).join(""), "base64").toString(),
  );

/** Asked for, carried out to its end, and remembered. */
async function operate(asked: Promise<{ body: Operation }>): Promise<void> {
  const ended = await platform.untilEnded((await asked).body);
  expect(ended.error, ended.kind).toBeUndefined();
  operations.push(ended);
}

/** Everything that a tenant can live through, each with a failure. */
async function live(): Promise<void> {
  const { clouds, northwind } = platform;
  await clouds.fault("exchange", "cut-before-effect", { cmdlet: "Set-TransportRule" });
  await operate(northwind.startPromotion({ tenantId }));
  await clouds.fault("exchange", "cut-after-effect", { cmdlet: "New-TransportRule" });
  await operate(northwind.startBypass({ tenantId, body: { reason: "the gateway does not answer" } }));
  await clouds.fault("graph", "500", { method: "POST", path: "/sendMail" });
  await operate(northwind.startRestore({ tenantId }));
  const rules = clouds.platform.collection<TransportRule>("exchange.transport-rules");
  const [key, approval] =
    rules.entries().find(([, { tenantId: whose, settings }]) => whose === organization && settings["SetSCL"] !== undefined) ?? [];
  if (key === undefined || !approval) throw new Error("there is no approval rule");
  rules.set(key, { ...approval, settings: { ...approval.settings, ExceptIfSubjectContainsWords: ["invoice"] } });
  await northwind.lookForDriftNow({ tenantId });
  await clouds.fault("exchange", "cut-before-effect", { cmdlet: "Set-TransportRule" });
  await operate(northwind.startRepair({ tenantId }));
  await clouds.fault("vault", "503", { method: "PUT", path: "/secrets/" });
  await operate(northwind.rotateCredential({ tenantId, name: "loopGuid" }));
  await clouds.fault("exchange", "cut-after-effect", { cmdlet: "Remove-TransportRule" });
  await operate(northwind.startDemotion({ tenantId }));
}

/** What a person has made for another tenant is taken over as it is; its loop GUID is one of the person's. */
async function adopt(): Promise<void> {
  const { clouds, northwind } = platform;
  await platform.organize(fabrikam);
  await clouds.consent(fabrikam.watched.organization);
  const byHand = await platform.asStranger(() => makeByHand(clouds, fabrikam));
  secrets.set("person's/loop-guid", byHand.loopGuid);
  await platform.register(fabrikam);
  const adoption = async () => (await northwind.getAdoption({ tenantId: fabrikam.tenantId })).body;
  // Consent takes a moment to be known everywhere.
  const unread = /Consent|AzureAccess|Unread/;
  await vi.waitUntil(async () => (await adoption()).findings.every(({ code }) => !unread.test(code)), {
    timeout: 120_000,
    interval: 100,
  });
  answered.push(JSON.stringify(await adoption()));
  await clouds.fault("arm", "500", { method: "PATCH" });
  await operate(northwind.startAdoption({ tenantId: fabrikam.tenantId }));
}

async function delivered(deliveryId: string): Promise<void> {
  for (;;) {
    const { value } = (await platform.northwind.listWebhookDeliveries({ webhookId })).body;
    const found = value.find(({ id }) => id === deliveryId);
    if (found?.state === "delivered") return;
    // The vault's refusal postpones it by a minute: nobody has to wait for that here.
    if (found?.state === "pending") await platform.northwind.redeliverEvent({ webhookId, deliveryId });
    await pause(200);
  }
}

/** Keyed lists are asked until one of them has the gateway's address and its case has what the list says of it. */
async function lookUp(): Promise<void> {
  const { clouds, northwind } = platform;
  const { name, version, value } = blocklistKey;
  const now = Math.floor(Date.now() / 1000);
  const versions = [{ id: version, value, enabled: true, created: now, updated: now }];
  clouds.platform.collection("vault.secrets").set(`gatehouse/${name}`, { name, versions });
  const [gateway] = (await northwind.listGateways({})).body.value;
  const address = gateway?.address ?? "";
  for (const [id, behaviour] of Object.entries(keyedLists)) {
    const zone = `${value}.${id}.lists.example`;
    const reason = `you asked for ${address.split(".").reverse().join(".")}.${zone}`;
    await changeList(clouds, id, { zone, behaviour, list: [{ address, reason }] });
  }
  for (;;) {
    await platform.fire("pollBlocklists");
    const [known] = (await northwind.listDelistings({})).body.value;
    const seen = known && (await northwind.getDelisting({ caseId: known.id })).body;
    if (seen?.evidence?.reasons?.length) return;
    await pause(200);
  }
}

const seenIn = (text: string): string[] => secretsSeen(text, secrets);
const received = async (): Promise<Received[]> =>
  ((await platform.clouds.state("webhooks")) as { received: Received[] }).received;

test("a life was lived although things went wrong, and there was something to lose", async () => {
  expect(operations.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    "onboarding Succeeded",
    "rotation Succeeded",
    "promotion Succeeded",
    "bypass Succeeded",
    "restore Succeeded",
    "repair Succeeded",
    "renewal Succeeded",
    "demotion Succeeded",
    "adoption Succeeded",
    "offboarding Succeeded",
  ]);
  const kinds = [
    "loop-guid",
    "gateway-admin-password",
    "webclient-client-secret",
    "signing-key",
    "client secret",
    "webhook-",
    "blocklist-key",
  ];
  for (const kind of kinds) expect([...secrets.keys()].filter((name) => name.includes(kind))).not.toEqual([]);
  expect([...secrets].filter(([name, value]) => value.length < (name === "mail code" ? 9 : 16))).toEqual([]);
  expect((await received()).length).toBeGreaterThan(0);
  // The list was asked with its key, and has said so.
  expect(answered.join("\n")).toContain("[key].quoting.lists.example");
});

test.each([
  ["durable state", () => filesIn(directory)],
  ["tables", tablesNow],
  ["blobs", blobsNow],
  ["queues", () => JSON.stringify(platform.bus.state())],
  ["logs", () => platform.logged.join("\n")],
  ["what the API answers", () => answered.join("\n")],
  ["what webhooks brought", async () => JSON.stringify(await received())],
])("none in %s", async (_place, read) => expect(seenIn(await read())).toEqual([]));

test("the broker's own folder has its own key and no secret else", () => {
  expect(seenIn(filesIn(path.join(directory, "service-bus")))).toEqual([]);
});

test("to each cloud goes only what is for it", () => {
  const kindsIn = (cloud: CloudName): string[] => {
    const found = seenIn((asked.get(cloud) ?? []).join("\n")).map((name) => name.replace(/^.*\/|[ \d]+$/g, ""));
    return [...new Set(found)].toSorted();
  };
  // What is mailed goes through Graph. The machine's first password is set as it is made; rules carry the loop GUID, which is what they look for.
  expect(
    Object.fromEntries(
      (["arm", "graph", "exchange", "webhooks", "dns", "mail"] as const).map((cloud) => [cloud, kindsIn(cloud)]),
    ),
  ).toEqual({
    arm: ["gateway-admin-password"],
    graph: ["mail code"],
    exchange: ["loop-guid"],
    webhooks: [],
    dns: [],
    mail: [],
  });
});

test("whoever looks finds one that is planted, wherever and however", async () => {
  const value = `planted-${createHash("sha256").update(directory).digest("hex")}`;
  const planted = new Map([["planted", value]]);
  const table = TableClient.fromConnectionString(ownAccount(), "planted", { allowInsecureConnection: true });
  const container = BlobServiceClient.fromConnectionString(ownAccount()).getContainerClient("planted");
  await table.createTable();
  await container.createIfNotExists();
  try {
    // What is escaped already is what a table's text looks like when it is read.
    const forms = formsOf(value).filter((form) => !form.includes("\\"));
    for (const [number, form] of [...forms, gzipSync(value).toString("base64")].entries()) {
      await table.upsertEntity({ partitionKey: "p", rowKey: "r", text: `before ${form} after` }, "Replace");
      const blob = container.getBlockBlobClient("planted");
      const bytes = Buffer.from(`before ${form} after`, "latin1");
      await blob.upload(bytes, bytes.length);
      const file = path.join(directory, "planted.txt");
      writeFileSync(file, bytes);
      const places = [await tablesNow(), await blobsNow(), filesIn(directory)];
      expect(
        places.map((text) => secretsSeen(text, planted)),
        `form ${number}`,
      ).toEqual([["planted"], ["planted"], ["planted"]]);
      rmSync(file);
    }
  } finally {
    await table.deleteTable();
    await container.deleteIfExists();
  }
});

/** What arrives on queue `rotation`: our own messages and Key Vault's events, the documentation's quirks included. */
import { expect, test } from "vitest";
import { nearExpiryEvent } from "../../infra/local/clouds/vault/events.ts";
import { parseDue } from "../../shared/messages/near-expiry.ts";

const id = "https://contoso-kv.vault.azure.net/secrets/webclient-client-secret/5d1a3c7e0b6f4c1d8a2e9f0b7c6d5e4f";
const secret = {
  kind: "secret",
  vaultUrl: "https://contoso-kv.vault.azure.net",
  secretName: "webclient-client-secret",
  version: "5d1a3c7e0b6f4c1d8a2e9f0b7c6d5e4f",
  added: false,
};
const certificateId = id.replace("/secrets/webclient-client-secret/", "/certificates/smtp-certificate/");
const certificate = { ...secret, secretName: "smtp-certificate" };
const TYPE = "Microsoft.KeyVault.SecretNearExpiry";
const own = { kind: "credentialDue", partnerId: "northwind", tenantId: "contoso", name: "clientSecret", generation: 2 };
const near = {
  vault: "contoso-kv",
  resourceId: "/subscriptions/s",
  tenantId: "t",
  secretId: id,
  name: "webclient-client-secret",
  version: secret.version,
  expires: 1559082102,
};

test.for<[string, unknown, unknown[]]>([
  ["our own", own, [{ ...own, kind: "credential" }]],
  ["CloudEvents", nearExpiryEvent(near, "CloudEventSchemaV1_0", 0), [secret]],
  ["Event Grid's schema", nearExpiryEvent(near, "EventGridSchema", 0), [secret]],
  ["Event Grid's schema, as a batch", [nearExpiryEvent(near, "EventGridSchema", 0)], [secret]],
  ["blanks in names and numbers in strings", { type: TYPE, data: { "Id ": ` ${id} `, "ObjectName ": "x", EXP: "1" } }, [secret]],
  ["an expired secret", { eventType: "Microsoft.KeyVault.SecretExpired", data: { Id: id } }, [secret]],
  [
    "a certificate near its end",
    { type: "Microsoft.KeyVault.CertificateNearExpiry", data: { Id: certificateId } },
    [certificate],
  ],
  [
    "a new certificate",
    { type: "Microsoft.KeyVault.CertificateNewVersionCreated", data: { Id: certificateId } },
    [{ ...certificate, added: true }],
  ],
  ["an event of another kind", { type: "Microsoft.KeyVault.SecretNewVersionCreated", data: { Id: id } }, []],
])("%s", ([, message, due]) => {
  expect(parseDue(message)).toEqual(due);
});

test.for<[string, unknown]>([
  ["nothing", null],
  ["text", "nonsense"],
  ["an empty batch", []],
  ["our own without a generation", { ...own, generation: undefined }],
  ["our own with a property too many", { ...own, secret: "x" }],
  ["an event without data", { type: TYPE }],
  ["an event without a type", { data: { Id: id } }],
  ["an event without an id", { type: TYPE, data: {} }],
  ["an id without a version", { type: TYPE, data: { Id: "https://contoso-kv.vault.azure.net/secrets/x" } }],
  ["an id that is not https", { type: TYPE, data: { Id: id.replace("https", "http") } }],
])("%s is malformed", ([, message]) => {
  expect(() => parseDue(message)).toThrow(expect.objectContaining({ code: "MessageMalformed", transient: false }));
});

/** Onboardings with the gateway's own certificate: issued by the vault's issuer, imported by a person, and on a tenant that had none. */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { CertificateClient } from "@azure/keyvault-certificates";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPem, readPkcs12 } from "../../infra/local/clouds/vault/pkcs12.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import {
  about,
  type Customer,
  customer,
  type OnboardingApp,
  type OnboardingPlatform,
  startOnboarding,
  writes,
} from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const vaultOf = ({ tenantId, spec }: Customer): string =>
  namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions }).vault;

interface Connector {
  tenantId: string;
  name: string;
  settings: Record<string, unknown>;
}
const connectorsOf = ({ spec }: Customer, which: "inbound" | "outbound"): Connector[] =>
  platform.clouds.platform
    .collection<Connector>(`exchange.${which}-connectors`)
    .values()
    .filter(({ tenantId }) => tenantId === spec.microsoft365.tenantId);

/** The customer's person imports a certificate of a public authority. */
async function importFor(tenant: Customer, more: Record<string, unknown> = {}): Promise<string> {
  const response = await fetch(`${platform.clouds.control}/certificates`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      vault: vaultOf(tenant),
      name: "smtp-certificate",
      names: [tenant.spec.gateway.certificate?.name],
      ...more,
    }),
  });
  if (response.status !== 201) throw new Error(await response.text());
  const { certificate } = (await response.json()) as { certificate: string };
  return createHash("sha1").update(new X509Certificate(certificate).raw).digest("hex").toUpperCase();
}

/** Starts it, gives consent, and waits until it waits for a person's part of the certificate. */
async function untilAsked(
  tenant: Customer,
  app: OnboardingApp = platform,
): Promise<{ ended: Promise<Operation>; task: string; taskId: string }> {
  const started = await app.start(tenant);
  const ended = app.untilEnded(started);
  const { waitingFor } = await app.untilWaitingFor(started, "certificate");
  return { ended, task: waitingFor?.message ?? "", taskId: waitingFor?.taskId ?? "" };
}

/** Certificates that the tenant's machines have, as Windows shows them. */
const machineCertificates = async ({ spec }: Customer): Promise<string[][]> => {
  const guests = platform.clouds.platform.collection<{
    virtualMachineId: string;
    certificates: { thumbprint: string; selfSigned: boolean }[];
  }>("arm.guests");
  return guests
    .values()
    .filter(({ virtualMachineId }) => virtualMachineId.toLowerCase().includes(spec.azure.subscriptionId))
    .map(({ certificates }) => certificates.filter(({ selfSigned }) => !selfSigned).map(({ thumbprint }) => thumbprint));
};

/** The private number of each key in a vault, as it may stand in base64: all else of a key stands in its certificate, too. */
const keysIn = (): string[][] =>
  platform.clouds.platform
    .collection<{ versions: { value: string; managed?: boolean }[] }>("vault.secrets")
    .values()
    .flatMap(({ versions }) => versions.flatMap(({ value, managed }) => (managed ? [value] : [])))
    .map((value) => {
      const { key } = readPkcs12(Buffer.from(value, "base64")) ?? readPem(value) ?? {};
      if (!key) throw new Error("a vault has a certificate without a key");
      const { d = "" } = createPrivateKey({ key, format: "der", type: "pkcs8" }).export({ format: "jwk" });
      const secret = Buffer.from(d, "base64url");
      return [0, 1, 2].map((offset) => secret.subarray(offset, offset + 30).toString("base64"));
    });

test("a person imports it: the onboarding says what to import, takes nothing less, and ends with mail by certificate", async () => {
  const tenant = customer("contoso", "lucerne", { certificate: { name: "gateway.lucerne.example" } });
  await platform.organize(tenant);
  await platform.register(tenant);
  // It looks by itself once an hour: what happens sooner was woken by the completed task.
  const app = await platform.app({ CONSENT_CHECK_INTERVAL: "PT1H" });
  const { ended, task, taskId } = await untilAsked(tenant, app);
  const completing = () => app.northwind.completeTask({ taskId });
  expect(task).toContain(`import a certificate for gateway.lucerne.example into the vault `);
  expect(task).toContain("under the name smtp-certificate: PKCS #12 (PFX) with its private key");

  // Of nobody's: it waits on, and says why.
  await expect(completing()).rejects.toMatchObject({ code: "TaskNotDone", message: expect.stringContaining(task) });
  await importFor(tenant, { selfSigned: true });
  await expect(completing()).rejects.toMatchObject({ message: expect.stringContaining("of no use (selfSigned)") });
  const thumbprint = await importFor(tenant);
  expect((await completing()).body).toMatchObject({ kind: "certificate", state: "done" });
  const operation = await ended;
  expect(operation.error).toBeUndefined();
  expect(operation.steps.filter(({ name }) => name.startsWith("certificate") || name === "tlsCertificate")).toEqual(
    ["certificateAccess", "tlsCertificate", "certificateShown"].map((name) =>
      expect.objectContaining({ name, status: "Succeeded" }),
    ),
  );
  expect(connectorsOf(tenant, "inbound").map(({ name, settings }) => [name, settings["TlsSenderCertificateName"]])).toEqual([
    ["FROM Azure VM to M365 by certificate", "gateway.lucerne.example"],
  ]);
  expect(connectorsOf(tenant, "outbound").map(({ settings }) => [settings["TlsSettings"], settings["TlsDomain"]])).toEqual([
    ["DomainValidation", "gateway.lucerne.example"],
  ]);
  expect((await machineCertificates(tenant)).map((ones) => ones[0])).toEqual([thumbprint]);
  expect(operation.result?.["proof"]).toMatchObject({
    hops: expect.arrayContaining([expect.stringContaining("from gateway.lucerne.example")]),
  });

  const before = await platform.now();
  const again = await app.untilEnded(await app.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);

  // A new version in the vault is noticed by the next onboarding, and takes the place of the old one.
  const renewed = await importFor(tenant);
  const third = await app.untilEnded(await app.start(tenant));
  expect(third.error).toBeUndefined();
  expect(await machineCertificates(tenant)).toEqual([[renewed]]);
});

test("an issuer of the vault makes it, once its account is set up; both machines show it before a connector names it", async () => {
  const tenant = customer("contoso", "geneva", {
    regions: [{ name: "westeurope", machines: 2 }],
    certificate: { name: "geneva.example", issuer: "DigiCert" },
  });
  await platform.organize(tenant);
  await platform.register(tenant);
  const { ended, task } = await untilAsked(tenant);
  expect(task).toContain("set up the certificate issuer DigiCert with your account in the vault");
  const { environment, application } = platform.clouds;
  const credential = createCredentials(environment, application).inTenant(tenant.spec.azure.tenantId);
  await platform.asStranger(() =>
    new CertificateClient(environment.vault.url.replace("{name}", vaultOf(tenant)), credential, {
      disableChallengeResourceVerification: true,
    }).createIssuer("DigiCert", "DigiCert", { accountId: "4711" }),
  );
  const operation = await ended;
  expect(operation.error).toBeUndefined();
  const at = (step: string, which: "startedAt" | "endedAt"): string =>
    operation.steps.find(({ name }) => name === step)?.[which] ?? "never";
  const shown = [at("certificateShown", "endedAt"), at("certificateShown-m2", "endedAt")];
  expect(shown.every((when) => when <= at("inboundConnector", "startedAt"))).toBe(true);
  const [one = [], other = []] = await machineCertificates(tenant);
  expect(one).toEqual(other);
  expect(one).toHaveLength(1);
  expect(connectorsOf(tenant, "inbound").map(({ settings }) => settings["TlsSenderCertificateName"])).toEqual(["geneva.example"]);
});

test("a tenant that is known by address is known by certificate afterwards, with one of both at every instant", async () => {
  const tenant = customer("contoso", "zermatt");
  await platform.organize(tenant);
  await platform.register(tenant);
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  const inMode = {
    ...tenant,
    spec: {
      ...tenant.spec,
      gateway: {
        ...tenant.spec.gateway,
        certificate: { name: "gateway.zermatt.example", validation: "DomainValidation" as const },
      },
    },
  };
  const body = { ...tenant.body, gateway: { ...tenant.body.gateway, certificate: { name: "gateway.zermatt.example" } } };
  await platform.northwind.putTenant({ tenantId: tenant.tenantId, body });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId: tenant.tenantId });
  expect(plan.findings.map(({ code }) => code)).not.toContain("CertificateNotTrusted");
  expect(plan.resources.filter(({ kind }) => kind === "inboundConnector").map(({ name, action }) => [name, action])).toEqual([
    ["Inbound connector: gateway to Microsoft 365", "create"],
    ["Inbound connector of the other form gone", "remove"],
  ]);
  const before = await platform.now();
  const { ended } = await untilAsked(tenant);
  await importFor(inMode);
  expect((await ended).error).toBeUndefined();
  const commands = about(tenant, await platform.record(before))
    .filter(({ effect, url }) => effect === "write" && url.includes("InvokeCommand"))
    .map(({ requestBody }) => (requestBody as { CmdletInput: { CmdletName: string } }).CmdletInput.CmdletName)
    .filter((name) => name.includes("Connector"));
  expect(commands).toEqual([
    "New-InboundConnector",
    "Set-OutboundConnector",
    "Validate-OutboundConnector",
    "Remove-InboundConnector",
  ]);
  expect(connectorsOf(tenant, "inbound").map(({ settings }) => settings["TlsSenderCertificateName"])).toEqual([
    "gateway.zermatt.example",
  ]);
});

test("what can't be seen from outside is named by no connector; the vault's own signature changes none", async () => {
  const tenant = customer("contoso", "chur", { certificate: { name: "gateway.chur.example", issuer: "Self" } });
  await platform.organize(tenant);
  await platform.register(tenant);
  // Whoever looks from where Gatehouse is finds the port closed, oftener than a step is tried.
  await platform.clouds.fault("mail", { kind: "refuse" }, { path: "source=198.51.100.80" }, 100);
  const refused = await platform.untilEnded(await platform.start(tenant));
  expect(refused.error).toMatchObject({
    code: "GatewayUnreachable",
    message: expect.stringContaining("certificate of gateway.chur.example"),
  });
  expect([...connectorsOf(tenant, "inbound"), ...connectorsOf(tenant, "outbound")]).toEqual([]);

  await platform.clouds.clearFaults();
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  expect(connectorsOf(tenant, "inbound").map(({ name }) => name)).toEqual(["FROM Azure VM to M365"]);
  expect(connectorsOf(tenant, "outbound").map(({ settings }) => settings["TlsSettings"])).toEqual(["EncryptionOnly"]);
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId: tenant.tenantId });
  expect(plan.findings.map(({ code }) => code)).toContain("CertificateNotTrusted");
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([]);
});

test("one that clients may not show is for the gateway as a server only: Exchange Online goes on knowing it by its addresses", async () => {
  const tenant = customer("contoso", "basel", { certificate: { name: "gateway.basel.example" } });
  await platform.organize(tenant);
  await platform.register(tenant);
  const { ended } = await untilAsked(tenant);
  await importFor(tenant, { forClients: false });
  expect((await ended).error).toBeUndefined();
  expect(connectorsOf(tenant, "inbound").map(({ name }) => name)).toEqual(["FROM Azure VM to M365"]);
  expect(connectorsOf(tenant, "outbound").map(({ settings }) => settings["TlsSettings"])).toEqual(["DomainValidation"]);
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId: tenant.tenantId });
  expect(plan.findings.map(({ code }) => code)).toContain("CertificateNotForClients");
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([]);
});

test("the private keys are nowhere but in the vault and in the machines", async () => {
  const keys = keysIn();
  expect(keys.length).toBeGreaterThan(3);
  const { clouds, logged } = platform;
  const states = await Promise.all(
    (["arm", "vault", "exchange", "mail", "graph", "entra"] as const).map((cloud) => clouds.state(cloud)),
  );
  const operations = (await platform.northwind.listOperations({})).body;
  const everything = JSON.stringify([states, await platform.record(), operations, logged]);
  for (const piece of keys.flat()) expect(everything.includes(piece)).toBe(false);
});

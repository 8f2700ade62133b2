/** Every kind of operation with the moment that it begins at, and how it is asked for there. In virtual time; each moment is reached once. */
import { setTimeout as pause } from "node:timers/promises";
import type { Connector, ConnectionFilterPolicy, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import { type Operation, type OperationKind, operationKinds } from "../../shared/api/operation.ts";
import type { PlanInput } from "../../shared/api/plan.ts";
import { namesOf } from "../../shared/azure/names.ts";
import type { CredentialDue } from "../../shared/messages/near-expiry.ts";
import { ended } from "../../shared/stores/operations.ts";
import { type ClientSecretName, type CredentialName, secretNames } from "../../shared/vault/credential-names.ts";
import { changeList } from "./blocklists.ts";
import { failAt } from "./failing.ts";
import type { TestClouds } from "./clouds.ts";
import { makeByHand } from "./hand-made.ts";
import type { Customer } from "./onboarding.ts";
import type { Beginning, Life, Worlds } from "./worlds.ts";

export interface Way {
  kind: OperationKind;
  from: Beginning | undefined;
  /** A gateway stands already, so that an onboarding is not taken back. */
  standing: boolean;
  /** What its plan is asked for with, where that is more than the kind. */
  asked?: PlanInput | undefined;
  /** `plan`: hash of the one that is insisted on, of those that are planned. */
  start(life: Life, plan?: string): Promise<Operation>;
}

const [CERTIFIED, RENAMED] = ["gateway.contoso.example", "mail.contoso.example"] as const;

/** How each kind is asked for; its moment is what the kind named first leaves. */
const beginnings = {
  onboarding: {
    kind: "onboarding",
    start: async ({ partner }, tenantId, plan) => (await partner.startOnboarding({ tenantId, body: { plan } })).body,
  },
  adoption: {
    kind: "adoption",
    meanwhile: async (life, customer) => {
      await passingUntil(life, makeByHand(life.clouds, customer, { called: (manual) => `${manual} of Contoso` }));
      // What was written is seen a while later.
      await life.pass(AN_HOUR);
    },
    start: async ({ partner }, tenantId) => (await partner.startAdoption({ tenantId })).body,
  },
  /** An onboarding over what a person made. */
  completion: {
    kind: "onboarding",
    after: "adoption",
    standing: true,
    start: async ({ partner }, tenantId, plan) => (await partner.startOnboarding({ tenantId, body: { plan } })).body,
  },
  promotion: {
    kind: "promotion",
    after: "onboarding",
    start: async ({ partner }, tenantId, plan) => (await partner.startPromotion({ tenantId, body: { plan } })).body,
  },
  demotion: {
    kind: "demotion",
    after: "promotion",
    start: async ({ partner }, tenantId, plan) => (await partner.startDemotion({ tenantId, body: { plan } })).body,
  },
  bypass: {
    kind: "bypass",
    after: "promotion",
    start: async ({ partner }, tenantId, plan) =>
      (await partner.startBypass({ tenantId, body: { reason: "the gateway does not answer", plan } })).body,
  },
  restore: {
    kind: "restore",
    after: "bypass",
    start: async ({ partner }, tenantId, plan) => (await partner.startRestore({ tenantId, body: { plan } })).body,
  },
  repair: {
    kind: "repair",
    after: "promotion",
    meanwhile: async ({ partner, clouds }, { tenantId }) => {
      await strangersChange(clouds);
      await partner.lookForDriftNow({ tenantId });
    },
    start: async ({ partner }, tenantId, plan) => (await partner.startRepair({ tenantId, body: { plan } })).body,
  },
  addressReplacement: {
    kind: "addressReplacement",
    after: "promotion",
    // One list at least that says what it has.
    meanwhile: ({ clouds }) => changeList(clouds, "psbl.surriel.com", {}),
    start: async ({ partner }, tenantId, plan) =>
      (await partner.startAddressReplacement({ gatewayId: `${tenantId}-gateway-1`, body: { plan } })).body,
  },
  /** The spec of a tenant that is live: a second machine, so that there is a load balancer, and mailboxes that are read. */
  change: {
    kind: "onboarding",
    after: "promotion",
    standing: true,
    meanwhile: async ({ partner }, { tenantId, body }) => {
      const regions = [{ name: "westeurope", machines: 2 }];
      const gateway = { ...body.gateway, regions, exchangeWebServices: ALL_MAILBOXES };
      await partner.putTenant({ tenantId, body: { ...body, gateway } });
    },
    start: async ({ partner }, tenantId, plan) => (await partner.startOnboarding({ tenantId, body: { plan } })).body,
  },
  /** The same with a certificate that the gateways are known by from then on. */
  certifiedChange: {
    kind: "onboarding",
    after: "promotion",
    standing: true,
    meanwhile: async (life, customer) => {
      const { tenantId, body } = customer;
      const regions = [{ name: "westeurope", machines: 2 }];
      const gateway = { ...body.gateway, regions, certificate: { name: CERTIFIED } };
      await life.partner.putTenant({ tenantId, body: { ...body, gateway } });
      await importCertificate(life, customer, 80);
    },
    start: async ({ partner }, tenantId, plan) => (await partner.startOnboarding({ tenantId, body: { plan } })).body,
  },
  smtpRestart: {
    kind: "smtpRestart",
    after: "promotion",
    reporting: true,
    meanwhile: (life, { tenantId }) => passingUntil(life, reported(life, tenantId)),
    start: async ({ partner }, tenantId) => (await partner.startSmtpRestart({ gatewayId: `${tenantId}-gateway-1` })).body,
  },
  /** Of the WebClient's secret. */
  rotation: {
    kind: "rotation",
    after: "onboarding",
    // The first secret takes nothing away: the second one is rotated to.
    meanwhile: async (life, { tenantId }) => succeeded(await life.ended(await rotate(life, tenantId))),
    start: rotate,
  },
  /** Of the secret that mailboxes are read with, on two machines. */
  mailboxSecret: {
    kind: "rotation",
    after: "change",
    meanwhile: async (life, { tenantId }) =>
      succeeded(await life.ended(await rotate(life, tenantId, "exchangeWebServicesSecret"))),
    start: (life, tenantId) => rotate(life, tenantId, "exchangeWebServicesSecret"),
  },
  loopGuid: { kind: "renewal", after: "change", start: (life, tenantId) => renew(life, tenantId, "loopGuid") },
  /** Rules accept the old one no longer. */
  oldLoopGuid: {
    kind: "renewal",
    after: "loopGuid",
    meanwhile: (life) => life.pass(8 * A_DAY),
    start: (life, tenantId) => renew(life, tenantId, "loopGuid"),
  },
  compromisedLoopGuid: {
    kind: "renewal",
    after: "change",
    start: (life, tenantId) => renew(life, tenantId, "loopGuid", { emergency: true }),
  },
  password: { kind: "renewal", after: "change", start: (life, tenantId) => renew(life, tenantId, "administratorPassword") },
  /** Of SQL Server's administrator, which an image's own set-up has made. */
  sqlPassword: {
    kind: "renewal",
    meanwhile: async (life, { tenantId, body }) => {
      const gateway = { ...body.gateway, image: PRODUCT, iqSuite: { automatedSetUp: { sqlServer: {} } } };
      await life.partner.putTenant({ tenantId, body: { ...body, gateway } });
      succeeded(await life.ended((await life.partner.startOnboarding({ tenantId })).body));
      succeeded(await life.ended(await renew(life, tenantId, "sqlAdministratorPassword")));
    },
    start: (life, tenantId) => renew(life, tenantId, "sqlAdministratorPassword"),
  },
  certificate: {
    kind: "renewal",
    after: "promotion",
    meanwhile: async (life, customer) => {
      const { tenantId, body } = customer;
      await life.partner.putTenant({
        tenantId,
        body: { ...body, gateway: { ...body.gateway, certificate: { name: CERTIFIED } } },
      });
      await importCertificate(life, customer, 80);
      succeeded(await life.ended((await life.partner.startOnboarding({ tenantId })).body));
      await importCertificate(life, customer, 90);
    },
    start: (life, tenantId) => renew(life, tenantId, "smtpCertificate"),
  },
  /** The machines keep it no longer. */
  oldCertificate: {
    kind: "renewal",
    after: "certificate",
    meanwhile: (life) => life.pass(8 * A_DAY),
    start: (life, tenantId) => renew(life, tenantId, "smtpCertificate"),
  },
  /** The new one is given up for the one that the machines have kept. */
  formerCertificate: {
    kind: "renewal",
    after: "certificate",
    start: (life, tenantId) => renew(life, tenantId, "smtpCertificate", { back: true }),
  },
  /** Of the certificate, which the gateways get on the way there; two, behind a load balancer. */
  certificateRenaming: {
    kind: "renewal",
    after: "change",
    asked: { operation: "certificateRenaming", certificateName: RENAMED },
    meanwhile: async (life, customer) => {
      const { tenantId, body } = customer;
      const regions = [{ name: "westeurope", machines: 2 }];
      const { gateway } = body;
      const certified = { ...gateway, regions, exchangeWebServices: ALL_MAILBOXES, certificate: { name: CERTIFIED } };
      await life.partner.putTenant({ tenantId, body: { ...body, gateway: certified } });
      await importCertificate(life, customer, 80);
      succeeded(await life.ended((await life.partner.startOnboarding({ tenantId })).body));
      await importCertificate(life, customer, 90, RENAMED);
    },
    start: (life, tenantId, plan) => renew(life, tenantId, "smtpCertificate", { certificateName: RENAMED, plan }),
  },
  offboarding: {
    kind: "offboarding",
    after: "promotion",
    start: async ({ partner }, tenantId, plan) =>
      (await partner.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true, export: true, plan } })).body,
  },
} satisfies Record<string, BeginningOf> as Record<Kind, BeginningOf>;

const A_MINUTE = 60_000;
const AN_HOUR = 60 * A_MINUTE;
const A_DAY = 24 * AN_HOUR;
const ALL_MAILBOXES = { access: "allMailboxes" } as const;
const PRODUCT = {
  publisher: "gatewaymaker",
  offer: "mail-gateway",
  sku: "iq-suite-2022",
  version: "latest",
  plan: { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" },
  acceptTerms: true,
} as const;

interface BeginningOf {
  standing?: boolean;
  kind: OperationKind;
  after?: Kind;
  /** Machines report. */
  reporting?: true;
  asked?: PlanInput;
  /** What else happens before it is asked for. */
  meanwhile?(life: Life, customer: Customer): Promise<void>;
  start(life: Life, tenantId: string, plan?: string): Promise<Operation>;
}

export const kinds = [
  "onboarding",
  "adoption",
  "completion",
  "promotion",
  "demotion",
  "bypass",
  "restore",
  "repair",
  "smtpRestart",
  "addressReplacement",
  "change",
  "certifiedChange",
  "rotation",
  "mailboxSecret",
  "loopGuid",
  "oldLoopGuid",
  "compromisedLoopGuid",
  "password",
  "sqlPassword",
  "certificate",
  "oldCertificate",
  "formerCertificate",
  "certificateRenaming",
  "offboarding",
] as const;
export type Kind = (typeof kinds)[number];

/** Kinds of operations that none of them begins. */
export const withoutWay = (): OperationKind[] => {
  const begun = new Set(kinds.map((kind) => beginnings[kind].kind));
  return operationKinds.filter((kind) => !begun.has(kind));
};

/** @returns gives the way of a kind; what it needs is played first, once */
export function waysIn(worlds: Worlds): (kind: Kind) => Promise<Way> {
  const { customer } = worlds;
  const leavings = new Map<Kind, Promise<Beginning>>();
  const moments = new Map<Kind, Promise<Beginning | undefined>>();

  const startOf =
    (kind: Kind): Way["start"] =>
    (life, plan) =>
      beginnings[kind].start(life, customer.tenantId, plan);

  const once = <Value>(known: Map<Kind, Promise<Value>>, kind: Kind, make: () => Promise<Value>): Promise<Value> => {
    const made = known.get(kind) ?? make();
    known.set(kind, made);
    return made;
  };

  const momentOf = (kind: Kind): Promise<Beginning | undefined> =>
    once(moments, kind, async () => {
      const { after, meanwhile, reporting } = beginnings[kind];
      const left = after && (await leftBy(after));
      const from = left && { ...left, ...(reporting && { reporting }) };
      return meanwhile ? played((life) => meanwhile(life, customer), from) : from;
    });

  const leftBy = (kind: Kind): Promise<Beginning> =>
    once(leavings, kind, async () => {
      const from = await momentOf(kind);
      return played(async (life) => succeeded(await life.ended(await startOf(kind)(life))), from);
    });

  const played = (lived: (life: Life) => Promise<void>, from: Beginning | undefined): Promise<Beginning> => {
    failAt(undefined);
    return worlds.after(lived, from);
  };

  return async (name) => {
    const { kind, standing = false, asked } = beginnings[name];
    return { kind, standing, asked, from: await momentOf(name), start: startOf(name) };
  };
}

/** For what is done from outside, where nothing says that it is busy: left to itself, time would run away from it. */
async function passingUntil(life: Life, happens: Promise<unknown>): Promise<void> {
  const happened = happens.then(() => true);
  while (!(await Promise.race([happened, pause(1, false)]))) await life.pass(A_MINUTE);
}

async function reported({ partner }: Life, tenantId: string): Promise<void> {
  while (!(await partner.getGateway({ gatewayId: `${tenantId}-gateway-1` })).body.heartbeat) await pause(1);
}

function succeeded({ status, kind, error }: Operation): void {
  if (status !== "Succeeded") throw new Error(`the moment to begin from did not come, ${kind}: ${JSON.stringify(error)}`);
}

/** As a message that says so does it, whichever comes: each brings a rotation where one is due by then. */
export async function rotate(
  { partner, app }: Life,
  tenantId: string,
  name: ClientSecretName = "clientSecret",
): Promise<Operation> {
  const rotations = async () => (await partner.listOperations({ tenantId })).body.value.filter(({ kind }) => kind === "rotation");
  // One that begins may have ended by the first look.
  const before = new Set((await rotations()).filter(ended).map(({ id }) => id));
  const credential = (await partner.listCredentials({ tenantId })).body.value.find((one) => one.name === name);
  const { generation = 1 } = credential ?? {};
  const due: CredentialDue = { kind: "credentialDue", partnerId: "northwind", tenantId, name, generation };
  const response = await fetch(`${app.managementUrl}admin/functions/acceptNearExpiry`, {
    method: "POST",
    body: JSON.stringify({ input: JSON.stringify(due) }),
  });
  if (!response.ok) throw new Error(`the host answered ${response.status}: ${await response.text()}`);
  for (let look = 1; look <= 1000; look++) {
    const begun = (await rotations()).find(({ id }) => !before.has(id));
    if (begun) return (await partner.getOperation({ operationId: begun.id })).body;
  }
  throw new Error(`no rotation of ${name} began, of generation ${generation}`);
}

/** It is there at once, and begins by the queue, which needs none of the world's time. */
async function renew(
  { partner, app }: Life,
  tenantId: string,
  name: CredentialName,
  body: { emergency?: true; back?: true; certificateName?: string; plan?: string | undefined } = {},
): Promise<Operation> {
  const { body: operation } = await partner.rotateCredential({ tenantId, name, body });
  while (app.engine.getInstance(`northwind_${operation.id}_1`) === undefined) await pause(1);
  return operation;
}

/** The customer's person has one of a public authority. Its dates are the machine's, whatever time it is in the world. */
async function importCertificate(
  { clouds }: Life,
  { tenantId, spec }: Customer,
  days: number,
  name: string = CERTIFIED,
): Promise<void> {
  const { vault } = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
  const ahead = Date.now() - (performance.timeOrigin + performance.now());
  const response = await fetch(`${clouds.control}/certificates`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ vault, name: secretNames.smtpCertificate, names: [name], days: Math.ceil(ahead / A_DAY) + days }),
  });
  if (response.status !== 201) throw new Error(await response.text());
}

/** One of everything that a repair brings back: removed, changed, added to. */
async function strangersChange({ platform }: TestClouds): Promise<void> {
  const change = <Kind>(name: string, which: (one: Kind) => boolean, changed: (one: Kind) => Kind | undefined): void => {
    const collection = platform.collection<Kind>(name);
    const [key, one] = collection.entries().find(([, found]) => which(found)) ?? [];
    if (key === undefined || one === undefined) throw new Error(`there is nothing to change among ${name}`);
    const now = changed(one);
    if (now) collection.set(key, now);
    else collection.delete(key);
  };
  type Group = { body: { properties: Record<string, unknown> } };
  change<Group>(
    "arm.microsoft.network/networksecuritygroups",
    () => true,
    (group) => ({ ...group, body: { ...group.body, properties: { ...group.body.properties, securityRules: [] } } }),
  );
  change<Connector>(
    "exchange.inbound-connectors",
    () => true,
    (connector) => ({ ...connector, settings: { ...connector.settings, Enabled: false } }),
  );
  change<ConnectionFilterPolicy>(
    "exchange.connection-filters",
    () => true,
    (policy) => ({ ...policy, allowed: [] }),
  );
  change<TransportRule>(
    "exchange.transport-rules",
    ({ settings }) => settings["RouteMessageOutboundConnector"] !== undefined,
    (rule) => ({ ...rule, settings: { ...rule.settings, ExceptIfSubjectContainsWords: ["invoice"] } }),
  );
  const approval = platform
    .collection<TransportRule>("exchange.transport-rules")
    .values()
    .find(({ settings }) => settings["SetSCL"] !== undefined);
  if (!approval) throw new Error("there is no approval rule");
  await platform.peers.runByHand?.(approval.tenantId, "Remove-TransportRule", { Identity: approval.guid, Confirm: false });
}

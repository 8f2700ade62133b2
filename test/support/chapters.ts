/** Each kind of operation as a chapter of a tenant's life over the real command: how it is asked for, and in which round it can be lived again. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { makeCustomer } from "../../infra/local/customer.ts";
import { type ApiClient, ApiError } from "../../shared/api/client.ts";
import type { Operation, OperationKind } from "../../shared/api/operation.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { changeList } from "./blocklists.ts";
import { type Endpoints, type NewCustomer, newCustomer } from "./command.ts";

export interface Chapter {
  /** As `KILL_EVERY` names it. */
  name: string;
  kind: OperationKind;
  ask(scene: Scene): Promise<Operation>;
}

export interface Scene {
  endpoints: Endpoints;
  partner: ApiClient;
  customer: NewCustomer;
  /** Ids of its operations so far. */
  lived: Set<string>;
}

/** What can be lived one after another, again and again: by one tenant that ends where it began, or by another one each time. */
export interface Round {
  from: "nothing" | "hand-made" | "pilot" | "live";
  chapters: Chapter[];
  anew?: boolean;
}

const chapter = (kind: OperationKind, ask: Chapter["ask"], name: string = kind): Chapter => ({ name, kind, ask });

const onboarding = chapter("onboarding", async ({ endpoints, partner, customer: { tenantId, spec } }) => {
  await partner.putTenant({ tenantId, body: spec });
  await makeCustomer(endpoints.control, spec);
  return (await partner.startOnboarding({ tenantId }, { headers: { "operation-id": randomUUID() } })).body;
});
const adoption = chapter("adoption", async ({ partner, customer: { tenantId, spec } }) => {
  await partner.putTenant({ tenantId, body: spec });
  // Consent takes a moment to be known everywhere.
  while (!(await partner.getAdoption({ tenantId })).body.possible) await pause(A_WHILE);
  return (await partner.startAdoption({ tenantId })).body;
});
export const promotion = chapter(
  "promotion",
  async ({ partner, customer: { tenantId } }) => (await partner.startPromotion({ tenantId })).body,
);
const demotion = chapter(
  "demotion",
  async ({ partner, customer: { tenantId } }) => (await partner.startDemotion({ tenantId })).body,
);
const bypass = chapter(
  "bypass",
  async ({ partner, customer: { tenantId } }) =>
    (await partner.startBypass({ tenantId, body: { reason: "the gateway does not answer" } })).body,
);
const restore = chapter(
  "restore",
  async ({ partner, customer: { tenantId } }) => (await partner.startRestore({ tenantId })).body,
);
const repair = chapter("repair", async ({ endpoints, partner, customer: { tenantId, spec } }) => {
  const Identity = "Approve all Mails from own SMTP Server on Azure VM";
  await strangerRuns(endpoints, spec.microsoft365.tenantId, "Remove-TransportRule", { Identity, Confirm: false });
  await partner.lookForDriftNow({ tenantId });
  return (await partner.startRepair({ tenantId })).body;
});
const offboarding = chapter(
  "offboarding",
  async ({ partner, customer: { tenantId } }) =>
    (await partner.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } })).body,
);
const addressReplacement = chapter("addressReplacement", async ({ endpoints, partner, customer: { tenantId } }) => {
  // One list at least says what it has.
  await changeList(endpoints, "psbl.surriel.com", {});
  return (await partner.startAddressReplacement({ gatewayId: gatewayOf(tenantId) })).body;
});
const addressReturn = chapter(
  "addressReplacement",
  async ({ partner, customer: { tenantId } }) =>
    (await partner.startAddressReplacement({ gatewayId: gatewayOf(tenantId), body: { back: true } })).body,
  "addressReturn",
);
const smtpRestart = chapter("smtpRestart", ({ partner, customer: { tenantId } }) =>
  // It has to have reported first.
  onceNot("GatewayNotReporting", async () => (await partner.startSmtpRestart({ gatewayId: gatewayOf(tenantId) })).body),
);

const asked = (kind: OperationKind, name: string): Chapter =>
  chapter(kind, async ({ partner, customer: { tenantId } }) => (await partner.rotateCredential({ tenantId, name })).body, name);
/** The operation that the sweep begins once the old one is not needed any more. */
const swept = (name: string): Chapter =>
  chapter(
    "renewal",
    async ({ partner, customer: { tenantId }, lived }) => {
      for (;;) {
        const { value } = (await partner.listOperations({ tenantId })).body;
        const begun = value.find(({ id, kind }) => kind === "renewal" && !lived.has(id));
        if (begun) return (await partner.getOperation({ operationId: begun.id })).body;
        await pause(A_MOMENT);
      }
    },
    name,
  );

/** Of a tenant that stands, as one follows the other. */
export const life: Chapter[] = [promotion, bypass, restore, repair, demotion, offboarding];

export const rounds: Round[] = [
  { from: "pilot", chapters: [promotion, demotion] },
  { from: "live", chapters: [bypass, restore] },
  { from: "live", chapters: [repair] },
  { from: "pilot", chapters: [asked("rotation", "clientSecret")] },
  { from: "live", chapters: [asked("renewal", "administratorPassword")] },
  { from: "live", chapters: [asked("renewal", "loopGuid"), swept("loopGuidDropped")] },
  {
    from: "pilot",
    chapters: [asked("renewal", "smtpCertificate"), swept("smtpCertificateDropped")],
  },
  { from: "live", chapters: [addressReplacement, addressReturn] },
  { from: "pilot", chapters: [smtpRestart], anew: true },
  { from: "hand-made", chapters: [adoption], anew: true },
  { from: "nothing", chapters: [onboarding, promotion, offboarding], anew: true },
];

/** With a certificate that its vault issues where one is to be replaced. */
export function customerOf({ chapters }: Round, name: string): NewCustomer {
  const customer = newCustomer(name);
  if (!chapters.some((one) => one.name === "smtpCertificate")) return customer;
  const gateway = { ...customer.spec.gateway, certificate: { name: `gateway.${name}.example`, issuer: "Self" } };
  return { ...customer, spec: tenantSpecSchema.parse({ ...customer.spec, gateway }) };
}

const gatewayOf = (tenantId: string): string => `${tenantId}-gateway-1`;

const A_MOMENT = 20;
const A_WHILE = 100;

async function onceNot<Answer>(code: string, call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== code) throw error;
      await pause(A_WHILE);
    }
  }
}

async function strangerRuns({ control }: Endpoints, tenantId: string, cmdlet: string, parameters: object): Promise<void> {
  const response = await fetch(`${control}/cmdlets`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tenantId, cmdlet, parameters }),
  });
  if (!response.ok) throw new Error(await response.text());
}

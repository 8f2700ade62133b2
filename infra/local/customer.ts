/** One tenant file from nothing to proven mail flow: its customer is made in the simulated clouds, then everything goes through the API. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiClient } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { tenantSpecSchema, type TenantSpec } from "../../shared/tenants/spec.ts";
import { grantConsent } from "./administrator.ts";
import { createProgress } from "./progress.ts";

export interface TenantFile {
  path: string;
  tenantId: string;
  /** As it stands in the file: the API is who checks it. */
  spec: Record<string, unknown>;
}

export interface CustomerOptions {
  partner: ApiClient;
  control: string;
  file: TenantFile;
  /** Leave the consent page to the person at the terminal. */
  ask: boolean;
  output: NodeJS.WriteStream;
}

const LOOK_EVERY_MILLISECONDS = 400;

export async function onboardFromFile({ partner, control, file, ask, output }: CustomerOptions): Promise<Operation> {
  const { tenantId, spec } = file;
  const { body: tenant } = await partner.putTenant({ tenantId, body: spec as unknown as TenantSpec });
  await makeCustomer(control, tenantSpecSchema.parse(tenant.spec));
  output.write(`Onboarding ${tenant.spec.displayName} (${tenant.spec.microsoft365.domains.join(", ")})\n`);

  const progress = createProgress(output);
  let { body: operation } = await partner.startOnboarding({ tenantId });
  let asked = false;
  while (operation.status === "NotStarted" || operation.status === "Running") {
    progress.show(operation);
    if (operation.waitingFor?.kind === "consent" && !asked) {
      asked = true;
      const { url } = (await partner.getConsent({ tenantId })).body;
      if (ask) output.write(`Open this as the customer's administrator, and accept:\n  ${url}\n`);
      else await grantConsent(url);
    }
    await sleep(LOOK_EVERY_MILLISECONDS);
    operation = (await partner.getOperation({ operationId: operation.id })).body;
  }
  progress.show(operation);
  progress.end();
  return operation;
}

/**
 * The customer as it was before anybody spoke of gateways: an organisation with its domains, mailboxes and subscription. One that exists
 * keeps its domains: who names another one in a tenant file has not verified it by that.
 */
export async function makeCustomer(control: string, { microsoft365, pilot, azure }: TenantSpec): Promise<void> {
  const { value: known } = await controlled<{ value: { tenantId: string }[] }>(`${control}/organizations`);
  const domainsOf = (tenantId: string, domains: string[]) =>
    known.some((organization) => organization.tenantId === tenantId) ? [] : domains;
  const mailboxes = [...new Set([microsoft365.probeMailbox, ...pilot.addresses])];
  const shared = azure.tenantId === microsoft365.tenantId;
  const subscription = { subscriptionId: azure.subscriptionId, offer: "EnterpriseAgreement" };
  const { tenantId, domains } = microsoft365;
  await postOrganization(control, { tenantId, domains: domainsOf(tenantId, domains), mailboxes, ...(shared ? subscription : {}) });
  if (!shared) await postOrganization(control, { tenantId: azure.tenantId, domains: [], mailboxes: [], ...subscription });
}

const postOrganization = (control: string, organization: object): Promise<unknown> =>
  controlled(`${control}/organizations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(organization),
  });

async function controlled<Answer>(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`making the simulated customer: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

/** One tenant file from nothing to proven mail flow: its customer is made in the simulated clouds, then everything goes through the API. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient, ApiError } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { grantConsent } from "./administrator.ts";
import type { Screen } from "./progress.ts";
import { connectionLost, untilAnswered } from "./through-restarts.ts";

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
  screen: Screen;
}

const LOOK_EVERY_MILLISECONDS = 400;

/** Answers the operation as it ended. An onboarding that an earlier run left unfinished is followed to its end instead of a new one. */
export async function onboardFromFile({ partner, control, file, ask, screen }: CustomerOptions): Promise<Operation> {
  const { tenantId, spec } = file;
  const { body: tenant } = await partner.putTenant({ tenantId, body: spec as unknown as TenantSpec });
  await makeCustomer(control, tenantSpecSchema.parse(tenant.spec));
  const started = await startOnboarding(partner, tenantId);
  const verb = started.resumed ? "Going on with onboarding" : "Onboarding";
  screen.say(`${verb} ${tenant.spec.displayName} (${tenant.spec.microsoft365.domains.join(", ")})`);

  let operation = started.operation;
  let asked = false;
  while (operation.status === "NotStarted" || operation.status === "Running") {
    screen.show(operation);
    if (operation.waitingFor?.kind === "consent" && !asked) asked = await askForConsent(partner, tenantId, ask, screen);
    await sleep(LOOK_EVERY_MILLISECONDS);
    operation = (await partner.getOperation({ operationId: operation.id })).body;
  }
  screen.finish(operation);
  return operation;
}

async function startOnboarding(partner: ApiClient, tenantId: string): Promise<{ operation: Operation; resumed: boolean }> {
  try {
    const { body } = await partner.startOnboarding({ tenantId }, { headers: { "operation-id": randomUUID() } });
    return { operation: body, resumed: false };
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "OperationInProgress") throw error;
    const { value } = (await partner.listOperations({ tenantId, status: "Running" })).body;
    const [running] = value;
    if (!running) throw error;
    return { operation: (await partner.getOperation({ operationId: running.id })).body, resumed: true };
  }
}

/** False when it has to be asked again, with a new link. */
export async function askForConsent(
  partner: ApiClient,
  tenantId: string,
  ask: boolean,
  screen: Pick<Screen, "say">,
): Promise<boolean> {
  const { url } = (await partner.getConsent({ tenantId })).body;
  if (ask) {
    screen.say(`  Open this link as the customer's administrator, and accept (the browser doesn't know the simulated`);
    screen.say(`  clouds' certificate: let it go on to 127.0.0.1):\n\n  ${url}\n`);
    return true;
  }
  try {
    await grantConsent(url);
  } catch (error) {
    if (connectionLost(error)) return false;
    throw error;
  }
  screen.say("  … playing the customer's administrator: opened the consent link and accepted");
  return true;
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
  await postOrganization(control, {
    tenantId,
    domains: domainsOf(tenantId, domains),
    mailboxes,
    ...(shared ? subscription : {}),
  });
  if (!shared) await postOrganization(control, { tenantId: azure.tenantId, domains: [], mailboxes: [], ...subscription });
}

const postOrganization = (control: string, organization: object): Promise<unknown> =>
  controlled(`${control}/organizations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(organization),
  });

async function controlled<Answer>(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await untilAnswered(() => fetch(url, init));
  if (!response.ok) throw new Error(`making the simulated customer: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

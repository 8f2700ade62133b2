/** The chapters of a tenant's life, in their order. */
import { setTimeout as pause } from "node:timers/promises";
import { type ApiClient, ApiError } from "../../../shared/api/client.ts";
import type { Drift } from "../../../shared/api/drift.ts";
import type { Plan } from "../../../shared/api/plan.ts";
import { onboardFromFile, type TenantFile } from "../customer.ts";
import { closeStretch, ended, exchangeOf, followed, inBrief, type Life, moved, window } from "./course.ts";

type Spec = Parameters<ApiClient["putTenant"]>[0]["body"];

export async function plan({ partner, tenantId, chapter, tell }: Life, { spec }: TenantFile): Promise<void> {
  chapter("Plan: what an onboarding would do, found out by reading only");
  await partner.putTenant({ tenantId, body: spec as unknown as Spec });
  const { resources, checks } = (await partner.planOnboarding({ tenantId })).body;
  tell(`${actionsOf(resources)}; ${checks.filter(({ status }) => status === "fail").length} checks fail`);
}

function actionsOf(resources: Plan["resources"]): string {
  const counts = Map.groupBy(resources, ({ action }) => action);
  return [...counts]
    .map(([action, those]) => `${those.length} ${action === "unknown" ? "unknown before consent" : action}`)
    .join(", ");
}

export async function onboard(life: Life, control: string, file: TenantFile): Promise<void> {
  const { partner, chapter } = life;
  chapter("Onboarding, up to the pilot");
  const operation = await onboardFromFile({ partner, control, file, ask: false, screen: inBrief(life) });
  await moved(life, "from nobody to the pilot", "pilot", ended(life, operation));
}

export async function promote(life: Life): Promise<void> {
  const { partner, tenantId, chapter } = life;
  chapter("Promotion: from the pilot to everybody");
  const operation = await followed(life, (await partner.startPromotion({ tenantId })).body);
  await moved(life, "from the pilot to everybody", "everybody", operation);
}

/** Of a documentation range: from there comes no mail. */
const OFFICE = "198.51.100.7";

export async function drift(life: Life): Promise<void> {
  const { partner, tenantId, organization, subscription, control, chapter, tell } = life;
  chapter("Drift: what colleagues of the customer changed is found and brought back");
  const approval = (await exchangeOf(life)).transportRules.find(({ SetSCL }) => SetSCL !== undefined);
  const parameters = { Identity: approval?.name, Confirm: false };
  await control("POST /cmdlets", { tenantId: organization, cmdlet: "Remove-TransportRule", parameters });
  tell(`a colleague runs Remove-TransportRule "${approval?.name}" in Exchange Online`);
  await control("POST /azure/security-rules", { subscriptionId: subscription, port: "25", source: OFFICE });
  tell(`another lets only ${OFFICE} reach port 25 in the network security group`);

  const { differences } = await looked(life, ({ differences: found }) => found.length > 1);
  for (const { title, action, changes, culprit } of differences) {
    const what = changes.map(({ path, expected, actual }) => `${path} is ${said(actual)} instead of ${said(expected)}`);
    tell(`drift: ${title}: ${action === "create" ? "is missing" : what.join(", ")}${culprit?.who ? `, by ${culprit.who}` : ""}`);
  }
  await followed(life, (await partner.startRepair({ tenantId })).body);
  const { status } = await looked(life, (one) => one.status === "inSync");
  tell(`drift: ${status}`);
}

const said = (value: unknown): string => JSON.stringify(value) ?? "nothing";

/** A look has to wait while an operation, such as a rotation, is under way. */
const looked = ({ partner, tenantId, until }: Life, wanted: (drift: Drift) => boolean): Promise<Drift> =>
  until("a look at the drift", async () => {
    try {
      const { body } = await partner.lookForDriftNow({ tenantId });
      return wanted(body) ? body : undefined;
    } catch (error) {
      if (error instanceof ApiError && error.code === "OperationInProgress") return undefined;
      throw error;
    }
  });

/** Long enough for some messages to go round the gateway. */
const DOWN_FOR_MILLISECONDS = 10_000;

export async function breakDown(life: Life): Promise<void> {
  const { partner, tenantId, control, chapter, tell } = life;
  chapter("The gateway dies: mail goes round it, and back when it is well");
  await control("POST /machines", { tenantId, action: "stop" });
  tell("its machine is stopped in Azure; mail for it waits in Exchange Online");
  tell(await healthBecomes(life, "False"));
  const reason = "the gateway's machine is down";
  const bypass = await followed(life, (await partner.startBypass({ tenantId, body: { reason } })).body);
  await pause(DOWN_FOR_MILLISECONDS);
  await control("POST /machines", { tenantId, action: "start" });
  tell("its machine is started again");
  tell(await healthBecomes(life, "True"));
  const restore = await followed(life, (await partner.startRestore({ tenantId })).body);
  await moved(life, "round the gateway and back", "everybody", bypass, restore);
}

const healthBecomes = ({ partner, tenantId, until }: Life, status: "True" | "False"): Promise<string> =>
  until(`GatewayHealthy to be ${status}`, async () => {
    const { conditions } = (await partner.getTenant({ tenantId })).body;
    const found = conditions.find(({ type }) => type === "GatewayHealthy");
    return found?.status === status ? `condition GatewayHealthy ${status}: ${found.message}` : undefined;
  });

/** The way stays through a gateway at every moment: no window. */
export async function switchOnHighAvailability(life: Life, { spec }: TenantFile): Promise<void> {
  const { partner, tenantId, chapter, tell } = life;
  chapter("High availability: a second machine and a load balancer, for a tenant whose mail runs");
  const { gateway } = spec as { gateway: { regions: { name: string }[] } };
  const regions = gateway.regions.map((region) => ({ ...region, machines: 2 }));
  const changed = { ...spec, gateway: { ...gateway, regions } };
  await partner.putTenant({ tenantId, body: changed as unknown as Spec });
  const { resources } = (await partner.planOnboarding({ tenantId })).body;
  tell(`the plan: ${actionsOf(resources)}`);
  await followed(life, (await partner.startOnboarding({ tenantId })).body, inBrief(life));
}

export async function leave(life: Life): Promise<void> {
  const { partner, tenantId, chapter, tell } = life;
  chapter("Offboarding");
  closeStretch(life, Date.now());
  const asked = await partner.startOffboarding({ tenantId, body: { confirm: tenantId, export: true } });
  const operation = await followed(life, asked.body);
  await window(life, "back to the way without a gateway", operation);
  const residue = await residueOf(life);
  if (residue.length > 0) throw new Error(`still there after the offboarding: ${residue.join(", ")}`);
  tell("looked for in the clouds themselves: nothing of it is left in Azure, Exchange Online and Entra");
  const { objects, audit } = (await partner.getExport({ tenantId })).body;
  tell(`kept of it: ${objects.length} objects as they stood, with ${audit.length} entries of the audit log`);
}

/** Not what the operation says, but what the clouds hold. */
async function residueOf(life: Life): Promise<string[]> {
  const { control, organization, subscription } = life;
  const arm = await control<{ resourceGroups: { id: string }[]; resources: { id: string }[] }>("GET /state/arm");
  const { inboundConnectors, outboundConnectors, transportRules, allowed } = await exchangeOf(life);
  const directories = await control<{ tenantId: string; applications: { displayName: string }[] }[]>("GET /state/graph");
  return [
    ...[...arm.resourceGroups, ...arm.resources].map(({ id }) => id).filter((id) => id.toLowerCase().includes(subscription)),
    ...[...inboundConnectors, ...outboundConnectors, ...transportRules].map(({ name }) => name),
    ...allowed.map((one) => `${one} in the connection filter`),
    ...directories
      .filter(({ tenantId }) => tenantId === organization)
      .flatMap(({ applications }) => applications.map(({ displayName }) => `application ${displayName}`)),
  ];
}

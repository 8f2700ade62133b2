/** Mission D6: what is asked of the people who can let us in, and how to see that they did. */
import type { Work } from "../../shared/durable/resources.ts";
import type { NewTask, Sight, TaskCheck } from "../../shared/stores/tasks.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { type Access, checkAccess } from "../../shared/runbook/access.ts";
import type { OnboardingWorld } from "./world.ts";

type Asking = Pick<OnboardingWorld, "settings">;
type Pending = Extract<Access, { state: "pending" }>;

export function accessTask(
  world: Asking,
  { partnerId, tenantId, operationId }: Work,
  spec: TenantSpec,
  wanted: "consent" | "azureAccess",
  pending: Pending,
): NewTask {
  const asked = wanted === "consent" ? consent(world, tenantId, spec, pending) : azureAccess(world, spec, pending);
  return { partnerId, tenantId, kind: wanted, subject: "", operationId, ...asked };
}

type Asked = Pick<NewTask, "title" | "instructions" | "fields" | "link" | "text">;

const consent = ({ settings }: Asking, tenantId: string, { microsoft365 }: TenantSpec, { missing }: Pending): Asked => ({
  title: "Have an administrator of the customer's Microsoft 365 consent to our application",
  instructions:
    "The link's answer has a page of Entra's for a Global Administrator or Privileged Role Administrator of the organisation: it is good for an hour and for one answer, and made anew each time. What waits goes on by itself.",
  link: `${settings.publicUrl}/api/tenants/${tenantId}/consent`,
  fields: [
    { label: "Organisation", value: microsoft365.tenantId },
    { label: "Domains", value: microsoft365.domains.join(", ") },
    { label: "Permissions", value: missing.join(", ") },
  ],
});

/** Names of roles, or `service principal` where our application is not there at all. */
function azureAccess({ settings }: Asking, { azure }: TenantSpec, { missing }: Pending): Asked {
  const { applicationId } = settings;
  const scope = `/subscriptions/${azure.subscriptionId}`;
  const roles = missing.filter((name) => name !== "service principal");
  const wanted = roles.length === 0 ? ["Contributor", "Role Based Access Control Administrator"] : roles;
  return {
    title: `Let our application build in subscription ${azure.subscriptionId}`,
    instructions:
      "An owner of the subscription runs what text has, or assigns the roles in Azure's portal (Access control). A role may take minutes to count. What waits goes on by itself.",
    text: [
      `az login --tenant ${azure.tenantId}`,
      ...(roles.length === missing.length ? [] : [`az ad sp create --id ${applicationId}`]),
      ...wanted.map((role) => `az role assignment create --assignee ${applicationId} --role "${role}" --scope ${scope}`),
    ].join("\n"),
    fields: [
      { label: "Subscription", value: azure.subscriptionId },
      { label: "Entra tenant", value: azure.tenantId },
      { label: "Application", value: applicationId },
      { label: "Roles", value: wanted.join(", ") },
    ],
  };
}

type Looking = Pick<OnboardingWorld, "checkConsent" | "azureAccess"> & {
  stores: Pick<OnboardingWorld["stores"], "tenants">;
};

/** By what the clouds let us do, never by what somebody says. */
export const accessCheck = (world: Looking): TaskCheck => ({
  async look({ partnerId, tenantId, kind }) {
    const tenant = await world.stores.tenants.find(partnerId, tenantId);
    if (tenant === undefined) return { found: "needless", message: `there is no tenant ${tenantId} any more` };
    return sightOf(await checkAccess(world, tenant.spec, kind === "consent" ? "consent" : "azureAccess"));
  },
});

function sightOf(found: Access): Sight {
  if (found.state === "refused") return { found: "missing", message: `${found.failure.code}: ${found.failure.message}` };
  return { found: found.state === "granted" ? "done" : "missing", message: found.message };
}

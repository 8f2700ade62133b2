/**
 * Mission B11: with its permissions begun anew, the WebClient lets in nobody but members of the admin groups. So each of them is seen to
 * exist and to have a member first; what can't be seen is refused, too, since a mistake locks everybody out.
 */
import type { Check } from "../../shared/api/plan.ts";
import { organization } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { Groups } from "../../shared/graph/groups.ts";
import { observing } from "../../shared/resources/observing.ts";

const code = "AdminGroupUnproven";
const target = "spec.gateway.iqSuite.webClient.adminGroups";

export async function adminGroups({ groups }: { groups: Groups }, tenant: Target): Promise<Check[]> {
  const { webClient } = tenant.spec.gateway.iqSuite ?? {};
  if (webClient?.resetSecurityContext === undefined) return [];
  return Promise.all(webClient.adminGroups.map((name) => adminGroup(groups, organization(tenant), name)));
}

async function adminGroup(groups: Groups, organizationId: string, name: string): Promise<Check> {
  const found = await observing(() => groups.named(organizationId, name));
  if (found.state === "unknown")
    return refused(
      `whether the group ${name} has a member can't be told, so nobody's permissions are begun anew: ${found.reason.code}`,
      "grant our application GroupMember.Read.All in the customer's directory, or leave gateway.iqSuite.webClient.resetSecurityContext out",
    );
  const all = found.state === "present" ? found.actual : [];
  const remedy =
    "correct gateway.iqSuite.webClient.adminGroups, or put it right in Entra, or leave gateway.iqSuite.webClient.resetSecurityContext out";
  if (all.length === 0) return refused(`there is no group ${name} in the customer's directory`, remedy);
  if (all.length > 1) return refused(`${all.length} groups in the customer's directory are called ${name}`, remedy);
  if (!all.every(({ peopled }) => peopled)) return refused(`no person is a direct member of the group ${name}`, remedy);
  return { code, status: "pass", message: `the group ${name} has a member who will administer the WebClient` };
}

const refused = (message: string, remedy: string): Check => ({ code, status: "fail", message, remedy, target });

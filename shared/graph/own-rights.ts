/**
 * What our application was given beyond its every-day permissions, and gives back: an Entra role of its own, and the permission that giving
 * it back takes. Sources: "Delete unifiedRoleAssignment", "Delete appRoleAssignment" (Microsoft Graph v1.0).
 */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { type Graph, literal, nothing, segment } from "./client.ts";

/** Template id of the built-in role Exchange Administrator, the same in every tenant. */
export const EXCHANGE_ADMINISTRATOR = "29232cdf-9323-42fd-ade2-1d097af3e4de";
/** The only permission with which an application may take an Entra role away, its own as well. */
const ROLE_MANAGEMENT = "RoleManagement.ReadWrite.Directory";
const MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000";

export interface OwnRights {
  /** `gone`: the principal has it no more, or never had. `refused`: we lack the permission to look or to take it away. */
  dropExchangeAdministrator(organization: string, principalId: string): Promise<"gone" | "refused">;
  restoreExchangeAdministrator(organization: string, principalId: string): Promise<void>;
  /** Gives the permission back that dropping takes; true when it was there. */
  giveUpRoleManagement(organization: string, principalId: string): Promise<boolean>;
}

const assignmentSchema = z.looseObject({ id: z.string(), roleDefinitionId: z.string() });
const resourceSchema = z.looseObject({
  id: z.string(),
  appRoles: z.array(z.looseObject({ id: z.string(), value: z.string().nullish() })),
});
const grantSchema = z.looseObject({ id: z.string(), resourceId: z.string(), appRoleId: z.string() });
const ASSIGNMENTS = "/roleManagement/directory/roleAssignments";

export const createOwnRights = (graph: Graph): OwnRights => {
  const held = async (organization: string, principalId: string): Promise<string[]> => {
    const all = await graph.list(
      organization,
      `${ASSIGNMENTS}?$filter=principalId%20eq%20${literal(principalId)}`,
      assignmentSchema,
    );
    return all.filter(({ roleDefinitionId }) => roleDefinitionId === EXCHANGE_ADMINISTRATOR).map(({ id }) => id);
  };

  return {
    dropExchangeAdministrator: async (organization, principalId) => {
      try {
        for (const id of await held(organization, principalId)) await graph.delete(organization, `${ASSIGNMENTS}/${segment(id)}`);
        return "gone";
      } catch (error) {
        if (error instanceof ControlPlaneError && error.code === "ConsentRequired") return "refused";
        throw error;
      }
    },
    restoreExchangeAdministrator: async (organization, principalId) => {
      if ((await held(organization, principalId)).length > 0) return;
      const body = { principalId, roleDefinitionId: EXCHANGE_ADMINISTRATOR, directoryScopeId: "/" };
      await graph.post(organization, ASSIGNMENTS, body, nothing);
    },
    giveUpRoleManagement: async (organization, principalId) => {
      const path = `/servicePrincipals(appId=${literal(MICROSOFT_GRAPH)})?$select=id,appRoles`;
      const { id: resourceId, appRoles } = await graph.get(organization, path, resourceSchema);
      const role = appRoles.find(({ value }) => value === ROLE_MANAGEMENT)?.id;
      const granted = `/servicePrincipals/${segment(principalId)}/appRoleAssignments`;
      const found = (await graph.list(organization, granted, grantSchema)).filter(
        (one) => one.resourceId === resourceId && one.appRoleId === role,
      );
      for (const { id } of found) await graph.delete(organization, `${granted}/${segment(id)}`);
      return found.length > 0;
    },
  };
};

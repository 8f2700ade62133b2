/** Mission D6: the role group through which our application may run what it runs; its roles are ours whole, its other members are not ours. */
import type { Exchange } from "../exchange/client.ts";
import { markerOf, ownAmong } from "../exchange/ownership.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface RoleGroup {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Names of management roles. */
  roles: string[];
}

export interface RoleGroupActual {
  guid: string;
  roles: string[];
  /** Whether our application is in it. */
  member: boolean;
}

const KIND = "roleGroup";
const NAME = "Gatehouse";

export const roleGroup = ({ exchange }: { exchange: Exchange }): Resource<RoleGroup, RoleGroupActual> => {
  const find = async ({ owner, organization }: RoleGroup) =>
    ownAmong(
      await exchange.list(organization, "Get-RoleGroup", { Identity: NAME }),
      { name: NAME, marker: markerOf(owner, KIND), what: "role group" },
      ({ Description }) => Description,
    );

  return {
    kind: KIND,
    observe: (desired) =>
      observing(async () => {
        const found = await find(desired);
        if (!found) return undefined;
        const { organization } = desired;
        const { objectId } = await exchange.ourselves(organization);
        const members = await exchange.list(organization, "Get-RoleGroupMember", { Identity: found.Name });
        const member = members.some(({ Name, ExternalDirectoryObjectId }) =>
          [Name, ExternalDirectoryObjectId].some((id) => id?.toLowerCase() === objectId),
        );
        return { guid: found.Guid, roles: found.Roles.toSorted(), member };
      }),
    diff: ({ roles }, actual) => changesBetween({ roles: roles.toSorted(), member: true }, actual),
    async create({ owner, organization, roles }) {
      const { objectId } = await exchange.ourselves(organization);
      await exchange.run(organization, "New-RoleGroup", {
        Name: NAME,
        Description: markerOf(owner, KIND),
        Roles: roles,
        Members: [objectId],
      });
      return done;
    },
    async update({ organization, roles }, _, actual) {
      for (const role of actual.roles.filter((one) => !roles.includes(one)))
        for (const { Name } of await exchange.list(organization, "Get-ManagementRoleAssignment", {
          RoleAssignee: NAME,
          Role: role,
        }))
          await exchange.run(organization, "Remove-ManagementRoleAssignment", { Identity: Name });
      for (const role of roles.filter((one) => !actual.roles.includes(one)))
        await exchange.run(organization, "New-ManagementRoleAssignment", { SecurityGroup: NAME, Role: role });
      if (actual.member) return done;
      const { objectId } = await exchange.ourselves(organization);
      await exchange.run(organization, "Add-RoleGroupMember", { Identity: NAME, Member: objectId });
      return done;
    },
    async remove(desired) {
      const found = await find(desired);
      if (found) await exchange.run(desired.organization, "Remove-RoleGroup", { Identity: found.Name });
      return done;
    },
  };
};

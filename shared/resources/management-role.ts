/** Mission D6: a management role of our own, made from a built-in one, with those of its cmdlets that we use and no others. */
import type { Exchange } from "../exchange/client.ts";
import { type ManagementRoleName, ownRoleName } from "../exchange/management-roles.ts";
import { markerOf, ownAmong } from "../exchange/ownership.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface ManagementRole {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** The built-in role that it is made from. */
  parent: ManagementRoleName;
  cmdlets: string[];
}

export interface ManagementRoleActual {
  name: string;
  cmdlets: string[];
}

const KIND = "managementRole";

export const managementRole = ({ exchange }: { exchange: Exchange }): Resource<ManagementRole, ManagementRoleActual> => {
  // By its name, which nobody can change.
  const find = async ({ owner, organization, parent }: ManagementRole) => {
    const name = ownRoleName(parent);
    const named = await exchange.list(organization, "Get-ManagementRole", { Identity: name });
    return ownAmong(named, { name, marker: markerOf(owner, KIND), what: "management role" }, ({ Description }) => Description);
  };
  const entries = async ({ organization }: ManagementRole, name: string): Promise<string[]> =>
    (await exchange.list(organization, "Get-ManagementRoleEntry", { Identity: `${name}\\*` })).map(({ Name }) => Name).toSorted();

  return {
    kind: KIND,
    observe: (desired) =>
      observing(async () => {
        const found = await find(desired);
        return found && { name: found.Name, cmdlets: await entries(desired, found.Name) };
      }),
    diff: ({ cmdlets }, actual) => changesBetween({ cmdlets: cmdlets.toSorted() }, actual),
    async create({ owner, organization, parent, cmdlets }) {
      await exchange.run(organization, "New-ManagementRole", {
        Name: ownRoleName(parent),
        Parent: parent,
        EnabledCmdlets: cmdlets,
        Description: markerOf(owner, KIND),
      });
      return done;
    },
    async update({ organization, cmdlets }, _, actual) {
      for (const cmdlet of actual.cmdlets.filter((one) => !cmdlets.includes(one)))
        await exchange.run(organization, "Remove-ManagementRoleEntry", { Identity: `${actual.name}\\${cmdlet}` });
      for (const cmdlet of cmdlets.filter((one) => !actual.cmdlets.includes(one)))
        await exchange.run(organization, "Add-ManagementRoleEntry", { Identity: `${actual.name}\\${cmdlet}` });
      return done;
    },
    async remove(desired) {
      const found = await find(desired);
      if (found) await exchange.run(desired.organization, "Remove-ManagementRole", { Identity: found.Name });
      return done;
    },
  };
};

/** Rows of the conformance suite: what our application may run in Exchange Online. */
import type { DesiredOf } from "../../shared/durable/resources.ts";
import { cmdletsFrom } from "../../shared/exchange/management-roles.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { owner, type Json, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

interface InOrganization {
  organization: string;
}

const run = async (one: World, { organization }: InOrganization, name: string, parameters: Json): Promise<unknown> =>
  (await one.exchange(organization)).run(name, parameters);
const list = async (one: World, { organization }: InOrganization, name: string, parameters: Json = {}): Promise<Json[]> =>
  (await one.exchange(organization)).list(name, parameters).catch(() => []);
/** What an Exchange administrator runs. */
const cmdlet =
  (name: string, parameters: Json) =>
  (one: World, desired: InOrganization): Promise<unknown> =>
    run(one, desired, name, parameters);

const ourId = ({ clouds }: World): string => clouds.application.applicationId;
const SOMEBODY = "b0b0b0b0-0000-4000-8000-000000000001";

const exchangePrincipal: RowOf<"exchangePrincipal"> = {
  prepare: async (one) => ({ organization: await one.organization() }),
  drifts: [
    {
      paths: ["objectId"],
      async change(one, desired) {
        await run(one, desired, "Remove-ServicePrincipal", { Identity: ourId(one), Confirm: false });
        await run(one, desired, "New-ServicePrincipal", { AppId: ourId(one), ObjectId: SOMEBODY, DisplayName: "Gatehouse" });
      },
    },
  ],
  fixed: { ours: "it is what our token says", applicationId: "it is what it is found by" },
  unowned: {
    what: "the reference of another application",
    set: async (one, desired) => {
      if ((await list(one, desired, "Get-ServicePrincipal", { Identity: SOMEBODY })).length === 0)
        await run(one, desired, "New-ServicePrincipal", { AppId: SOMEBODY, ObjectId: SOMEBODY, DisplayName: "Another" });
    },
    read: async (one, desired) =>
      (await list(one, desired, "Get-ServicePrincipal"))
        .filter(({ AppId }) => AppId === SOMEBODY)
        .map(({ ObjectId }) => ObjectId),
  },
  stranger: { notApplicable: "nobody else's application has our application's id" },
  count: async (one, desired) => (await list(one, desired, "Get-ServicePrincipal", { Identity: ourId(one) })).length,
};

const RULES = "Gatehouse Transport Rules";
const entriesOf = async (one: World, desired: InOrganization): Promise<unknown> =>
  (await list(one, desired, "Get-ManagementRoleEntry", { Identity: `${RULES}\\*` })).map(({ Name }) => Name);

const managementRole: RowOf<"managementRole"> = {
  prepare: async (one) => ({
    owner,
    organization: await one.organization(),
    parent: "Transport Rules",
    cmdlets: cmdletsFrom("Transport Rules").filter((name) => name !== "Remove-TransportRule"),
  }),
  drifts: [
    { paths: ["cmdlets"], change: cmdlet("Add-ManagementRoleEntry", { Identity: `${RULES}\\Remove-TransportRule` }) },
    {
      paths: ["cmdlets"],
      change: cmdlet("Remove-ManagementRoleEntry", { Identity: `${RULES}\\Set-TransportRule`, Confirm: false }),
    },
  ],
  fixed: { name: "nobody can rename a management role" },
  unowned: {
    what: "a role that somebody made from the same one",
    set: async (one, desired) => {
      if ((await list(one, desired, "Get-ManagementRole", { Identity: "Readers of rules" })).length === 0)
        await run(one, desired, "New-ManagementRole", {
          Name: "Readers of rules",
          Parent: "Transport Rules",
          EnabledCmdlets: ["Get-TransportRule"],
        });
    },
    read: (one, desired) => list(one, desired, "Get-ManagementRoleEntry", { Identity: "Readers of rules\\*" }),
  },
  stranger: {
    what: "made by hand",
    meets: "conflict",
    set: cmdlet("New-ManagementRole", { Name: RULES, Parent: "Transport Rules", Description: "made by hand" }),
    read: entriesOf,
    unset: cmdlet("Remove-ManagementRole", { Identity: RULES, Confirm: false }),
  },
  count: async (one, desired) => (await list(one, desired, "Get-ManagementRole", { Identity: RULES })).length,
};

const roleGroup: RowOf<"roleGroup"> = {
  async prepare(one): Promise<DesiredOf<Resources["roleGroup"]>> {
    const organization = await one.organization();
    await one.ensure("exchangePrincipal", { organization });
    return { owner, organization, roles: ["Transport Rules", "View-Only Configuration"] };
  },
  drifts: [
    {
      paths: ["member"],
      change: (one, desired) =>
        run(one, desired, "Remove-RoleGroupMember", { Identity: "Gatehouse", Member: ourId(one), Confirm: false }),
    },
    {
      paths: ["roles"],
      change: cmdlet("New-ManagementRoleAssignment", { SecurityGroup: "Gatehouse", Role: "Role Management" }),
    },
    {
      paths: ["roles"],
      change: cmdlet("Remove-ManagementRoleAssignment", { Identity: "Transport Rules-Gatehouse", Confirm: false }),
    },
  ],
  fixed: {},
  unowned: {
    what: "another member",
    set: async (one, desired) => {
      if ((await list(one, desired, "Get-ServicePrincipal", { Identity: SOMEBODY })).length === 0)
        await run(one, desired, "New-ServicePrincipal", { AppId: SOMEBODY, ObjectId: SOMEBODY, DisplayName: "Another" });
      await run(one, desired, "Add-RoleGroupMember", { Identity: "Gatehouse", Member: SOMEBODY });
    },
    read: async (one, desired) =>
      (await list(one, desired, "Get-RoleGroupMember", { Identity: "Gatehouse" }))
        .map(({ Name }) => Name)
        .filter((name) => name === SOMEBODY),
  },
  stranger: {
    what: "made by hand",
    meets: "conflict",
    set: cmdlet("New-RoleGroup", { Name: "Gatehouse", Roles: ["Transport Rules"], Description: "made by hand" }),
    read: async (one, desired) =>
      (await list(one, desired, "Get-RoleGroup", { Identity: "Gatehouse" })).map(({ Roles }) => Roles),
    unset: cmdlet("Remove-RoleGroup", { Identity: "Gatehouse", Confirm: false }),
  },
  count: async (one, desired) => (await list(one, desired, "Get-RoleGroup", { Identity: "Gatehouse" })).length,
};

export const privilegeRows = { exchangePrincipal, managementRole, roleGroup };

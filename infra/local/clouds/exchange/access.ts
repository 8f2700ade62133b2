/**
 * Role-based access control: who may run which cmdlet. An Entra role gives all of them; a role group gives what its roles have, to members
 * that Exchange has a reference of. Both are slow to arrive, and the Entra role is slow to leave.
 *
 * Sources: "App-only authentication for unattended scripts" (the two ways to assign a role to a service principal), New-ManagementRole,
 * New-RoleGroup, New-ServicePrincipal, Add-ManagementRoleEntry, New-ManagementRoleAssignment (Microsoft's cmdlet reference).
 */
import { droppedKey, roleKey } from "../entra/consent.ts";
import type { Directory } from "../entra/directory.ts";
import { exchangeAdministrator } from "../entra/first-party.ts";
import type { Settling } from "../settling.ts";
import type { Claims } from "../simulator.ts";
import { alreadyExists, ARGUMENT, CmdletError, dehydrated, notFound } from "./answers.ts";
import type { Bound } from "./binder.ts";
import { type Cmdlet, type CmdletContext, madeNow, type Prepared, reading, text } from "./cmdlet.ts";
import { list } from "./connectors.ts";
import { builtInRoles } from "./management-roles.ts";
import type { ExchangeStore, ManagementRole, Owned, OwnedCollection, RoleGroup, ServicePrincipalReference } from "./store.ts";

const NAME_LIMIT = 64;
/** How many calls of the principal still miss a change of its role groups, times the platform's lag. */
const LOOKS = 3;

/** Whether the caller may run a cmdlet now; asking is a look at what has not arrived yet. */
export function mayRun(
  { store, directory, settling }: { store: ExchangeStore; directory: Directory; settling: Settling },
  { tid, oid }: Claims,
): (cmdlet: string) => boolean {
  const held = directory.holdsDirectoryRole(tid, oid, exchangeAdministrator);
  if (held ? !settling.unseen(roleKey(tid, oid)) : settling.unseen(droppedKey(tid, oid))) return () => true;
  const tenantId = tid.toLowerCase();
  const reference = store.servicePrincipals.of(tenantId).find(({ objectId }) => objectId === oid.toLowerCase());
  const groups = reference
    ? store.roleGroups
        .of(tenantId)
        .filter(({ guid, members }) => members.includes(reference.guid) && !settling.unseen(groupKey(guid)))
    : [];
  const allowed = new Set(groups.flatMap(({ roles }) => roles.flatMap((role) => cmdletsOf(store, tenantId, role))));
  return (cmdlet) => allowed.has(cmdlet);
}

const groupKey = (guid: string): string => `role group/${guid}`;

const cmdletsOf = (store: ExchangeStore, tenantId: string, role: string): string[] =>
  store.managementRoles.find(tenantId, role)?.cmdlets ?? builtInRoles[role] ?? [];

interface AccessKind<Value extends Owned> {
  noun: string;
  collection(store: ExchangeStore): OwnedCollection<Value>;
  shown(value: Value, context: CmdletContext): Record<string, unknown>;
}

const roles: AccessKind<ManagementRole> = {
  noun: "management role",
  collection: ({ managementRoles }) => managementRoles,
  shown: ({ name, guid, parent, description }) => ({
    Identity: name,
    Name: name,
    Guid: guid,
    Parent: parent,
    Description: description,
    IsRootRole: false,
  }),
};
const groups: AccessKind<RoleGroup> = {
  noun: "role group",
  collection: ({ roleGroups }) => roleGroups,
  shown: ({ name, guid, description, roles: names }) => ({
    Identity: name,
    Name: name,
    Guid: guid,
    Description: description,
    Roles: names,
  }),
};
const principals: AccessKind<ServicePrincipalReference> = {
  noun: "service principal",
  collection: ({ servicePrincipals }) => servicePrincipals,
  shown: ({ name, guid, appId, objectId }) => ({
    Identity: objectId,
    Name: objectId,
    DisplayName: name,
    Guid: guid,
    AppId: appId,
    ObjectId: objectId,
  }),
};

/** A new object isn't in the first answer of its Get-. */
const getting = <Value extends Owned>(kind: AccessKind<Value>): Cmdlet => ({
  parameters: { Identity: "string" },
  prepare: (context, bound) =>
    reading(() => {
      const identity = text(bound, "Identity");
      const all = kind.collection(context.store).of(context.tenantId);
      const found = identity === undefined ? all : all.filter((one) => isNamed(one, identity));
      const seen = found.filter(({ guid }) => !context.settling.unseen(guid));
      if (identity !== undefined && seen.length === 0) throw notFound(identity);
      return seen.map((one) => kind.shown(one, context));
    }),
});

const making = <Value extends Owned>(kind: AccessKind<Value>, { store, settling }: CmdletContext, value: Value): Prepared => {
  if (value.name.length > NAME_LIMIT) throw new CmdletError(ARGUMENT, `The name can't be longer than ${NAME_LIMIT} characters.`);
  return {
    target: value.name,
    commit: () => {
      kind.collection(store).set(value);
      settling.begin(value.guid);
      settling.begin(groupKey(value.guid), { looks: LOOKS });
      return [];
    },
  };
};

const removing = <Value extends Owned>(
  kind: AccessKind<Value>,
  refuse: (context: CmdletContext, value: Value) => void = () => undefined,
): Cmdlet => ({
  parameters: { Identity: "string" },
  mandatory: ["Identity"],
  shouldProcess: true,
  asksByDefault: true,
  prepare: (context, bound) => {
    const value = required(kind, context, text(bound, "Identity") ?? "");
    refuse(context, value);
    return {
      target: value.name,
      commit: () => {
        kind.collection(context.store).delete(value);
        return [];
      },
    };
  },
});

const isNamed = (value: Owned & { appId?: string; objectId?: string }, identity: string): boolean =>
  [value.name, value.guid, value.appId, value.objectId].some((one) => one?.toLowerCase() === identity.toLowerCase());

function required<Value extends Owned>(kind: AccessKind<Value>, { store, tenantId }: CmdletContext, identity: string): Value {
  const found = kind
    .collection(store)
    .of(tenantId)
    .find((one) => isNamed(one, identity));
  if (!found) throw notFound(identity);
  return found;
}

/** `Role\Cmdlet`; `Role\*` for all of a role's. */
function entryOf(context: CmdletContext, bound: Bound): { role: ManagementRole; cmdlet: string } {
  const identity = text(bound, "Identity") ?? "";
  const at = identity.lastIndexOf("\\");
  if (at < 0) throw new CmdletError(ARGUMENT, `"${identity}" isn't a role and an entry with a backslash between them.`);
  return { role: required(roles, context, identity.slice(0, at)), cmdlet: identity.slice(at + 1) };
}

const changingEntries = (changed: (cmdlets: string[], cmdlet: string, role: ManagementRole) => string[]): Cmdlet => ({
  parameters: { Identity: "string" },
  mandatory: ["Identity"],
  shouldProcess: true,
  prepare: (context, bound) => {
    const { role, cmdlet } = entryOf(context, bound);
    const cmdlets = changed(role.cmdlets, cmdlet, role);
    return {
      target: `${role.name}\\${cmdlet}`,
      commit: () => {
        context.store.managementRoles.set({ ...role, cmdlets, whenChanged: context.now() });
        return [];
      },
    };
  },
});

const roleNamed = (context: CmdletContext, name: string): string => {
  const known = Object.keys(builtInRoles).find((one) => one.toLowerCase() === name.toLowerCase());
  return known ?? required(roles, context, name).name;
};

const changingGroup = (context: CmdletContext, group: RoleGroup, change: Partial<RoleGroup>): Prepared => ({
  target: group.name,
  commit: () => {
    context.store.roleGroups.set({ ...group, ...change, whenChanged: context.now() });
    context.settling.begin(groupKey(group.guid), { looks: LOOKS });
    return [];
  },
});

const membership = (changed: (members: string[], member: ServicePrincipalReference, group: RoleGroup) => string[]): Cmdlet => ({
  parameters: { Identity: "string", Member: "string", BypassSecurityGroupManagerCheck: "boolean" },
  mandatory: ["Identity", "Member"],
  shouldProcess: true,
  prepare: (context, bound) => {
    const group = required(groups, context, text(bound, "Identity") ?? "");
    const member = required(principals, context, text(bound, "Member") ?? "");
    return changingGroup(context, group, { members: changed(group.members, member, group) });
  },
});

/** The assignments that role groups have of their roles; each is named by both. */
const assignmentsOf = ({ store, tenantId }: CmdletContext): { group: RoleGroup; role: string; name: string }[] =>
  store.roleGroups.of(tenantId).flatMap((group) => group.roles.map((role) => ({ group, role, name: `${role}-${group.name}` })));

export const accessCmdlets: Record<string, Cmdlet> = {
  "Get-ServicePrincipal": getting(principals),
  "New-ServicePrincipal": {
    parameters: { AppId: "string", ObjectId: "string", DisplayName: "string" },
    mandatory: ["AppId", "ObjectId"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const appId = (text(bound, "AppId") ?? "").toLowerCase();
      // Nobody looks whether there is such an object: a wrong one shows when nothing works.
      const objectId = (text(bound, "ObjectId") ?? "").toLowerCase();
      if (context.store.servicePrincipals.of(context.tenantId).some((one) => isNamed(one, appId)))
        throw alreadyExists("service principal", appId);
      const value = { ...madeNow(context, text(bound, "DisplayName") ?? appId), appId, objectId };
      return making(principals, context, value);
    },
  },
  "Remove-ServicePrincipal": {
    ...removing(principals),
    prepare: (context, bound) => {
      const { guid, name } = required(principals, context, text(bound, "Identity") ?? "");
      return {
        target: name,
        commit: () => {
          for (const group of context.store.roleGroups.of(context.tenantId))
            if (group.members.includes(guid))
              context.store.roleGroups.set({ ...group, members: group.members.filter((one) => one !== guid) });
          const value = required(principals, context, guid);
          context.store.servicePrincipals.delete(value);
          return [];
        },
      };
    },
  },

  "Get-ManagementRole": getting(roles),
  "New-ManagementRole": {
    parameters: { Name: "string", Parent: "string", EnabledCmdlets: "strings", Description: "string", Force: "boolean" },
    mandatory: ["Name", "Parent"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const name = text(bound, "Name") ?? "";
      const parent = roleNamed(context, text(bound, "Parent") ?? "");
      if (builtInRoles[name] || context.store.managementRoles.find(context.tenantId, name))
        throw alreadyExists("management role", name);
      const offered = cmdletsOf(context.store, context.tenantId, parent);
      const wanted = bound.has("EnabledCmdlets") ? list(bound.get("EnabledCmdlets")) : offered;
      for (const cmdlet of wanted) if (!offered.includes(cmdlet)) throw notFound(`${parent}\\${cmdlet}`);
      const value = { ...madeNow(context, name), parent, description: text(bound, "Description") ?? "", cmdlets: wanted };
      return making(roles, context, value);
    },
  },
  "Remove-ManagementRole": removing(roles, (context, { name }) => {
    if (assignmentsOf(context).some(({ role }) => role === name))
      throw new CmdletError(
        "Microsoft.Exchange.Management.Tasks.RoleHasAssignmentsException",
        `The management role "${name}" can't be removed because it has role assignments.`,
      );
  }),
  "Get-ManagementRoleEntry": {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    prepare: (context, bound) =>
      reading(() => {
        const { role, cmdlet } = entryOf(context, bound);
        if (context.settling.unseen(role.guid)) throw notFound(role.name);
        return role.cmdlets
          .filter((one) => cmdlet === "*" || one.toLowerCase() === cmdlet.toLowerCase())
          .map((Name) => ({ Name, Role: role.name, Identity: `${role.name}\\${Name}`, Type: "Cmdlet" }));
      }),
  },
  "Add-ManagementRoleEntry": changingEntries((cmdlets, cmdlet, { parent, name }) => {
    if (!builtInRoles[parent]?.includes(cmdlet)) throw notFound(`${parent}\\${cmdlet}`);
    if (cmdlets.includes(cmdlet)) throw alreadyExists("management role entry", `${name}\\${cmdlet}`);
    return [...cmdlets, cmdlet];
  }),
  "Remove-ManagementRoleEntry": {
    ...changingEntries((cmdlets, cmdlet, { name }) => {
      if (!cmdlets.includes(cmdlet)) throw notFound(`${name}\\${cmdlet}`);
      return cmdlets.filter((one) => one !== cmdlet);
    }),
    asksByDefault: true,
  },

  "Get-RoleGroup": getting(groups),
  "New-RoleGroup": {
    parameters: { Name: "string", Description: "string", Roles: "strings", Members: "strings" },
    mandatory: ["Name"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const name = text(bound, "Name") ?? "";
      if (context.store.organization(context.tenantId)?.exchange?.dehydrated) throw dehydrated();
      if (context.store.roleGroups.find(context.tenantId, name)) throw alreadyExists("role group", name);
      const value = {
        ...madeNow(context, name),
        description: text(bound, "Description") ?? "",
        roles: list(bound.get("Roles")).map((role) => roleNamed(context, role)),
        members: list(bound.get("Members")).map((member) => required(principals, context, member).guid),
      };
      return making(groups, context, value);
    },
  },
  "Remove-RoleGroup": removing(groups),
  "Get-RoleGroupMember": {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    prepare: (context, bound) =>
      reading(() => {
        const group = required(groups, context, text(bound, "Identity") ?? "");
        if (context.settling.unseen(group.guid)) throw notFound(group.name);
        return context.store.servicePrincipals
          .of(context.tenantId)
          .filter(({ guid }) => group.members.includes(guid))
          .map(({ guid, objectId, name }) => ({
            Name: objectId,
            DisplayName: name,
            Guid: guid,
            ExternalDirectoryObjectId: objectId,
            RecipientType: "ServicePrincipal",
          }));
      }),
  },
  "Add-RoleGroupMember": membership((members, { guid, name }, group) => {
    if (members.includes(guid))
      throw new CmdletError(
        "Microsoft.Exchange.Management.Tasks.MemberAlreadyExistsException",
        `The recipient "${name}" is already a member of the group "${group.name}".`,
      );
    return [...members, guid];
  }),
  "Remove-RoleGroupMember": {
    ...membership((members, { guid }) => members.filter((one) => one !== guid)),
    asksByDefault: true,
  },

  "Get-ManagementRoleAssignment": {
    parameters: { Identity: "string", RoleAssignee: "string", Role: "string" },
    prepare: (context, bound) =>
      reading(() => {
        const [assignee, role] = [text(bound, "RoleAssignee"), text(bound, "Role")];
        return assignmentsOf(context)
          .filter((one) => (assignee === undefined || isNamed(one.group, assignee)) && (role === undefined || one.role === role))
          .map((one) => ({ Identity: one.name, Name: one.name, Role: one.role, RoleAssigneeName: one.group.name }));
      }),
  },
  "New-ManagementRoleAssignment": {
    parameters: { Name: "string", Role: "string", SecurityGroup: "string" },
    mandatory: ["Role", "SecurityGroup"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const group = required(groups, context, text(bound, "SecurityGroup") ?? "");
      const role = roleNamed(context, text(bound, "Role") ?? "");
      if (group.roles.includes(role)) throw alreadyExists("management role assignment", `${role}-${group.name}`);
      return changingGroup(context, group, { roles: [...group.roles, role] });
    },
  },
  "Remove-ManagementRoleAssignment": {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    asksByDefault: true,
    prepare: (context, bound) => {
      const identity = text(bound, "Identity") ?? "";
      const found = assignmentsOf(context).find(({ name }) => name === identity);
      if (!found) throw notFound(identity);
      return changingGroup(context, found.group, { roles: found.group.roles.filter((one) => one !== found.role) });
    },
  },
};

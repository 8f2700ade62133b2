/**
 * Role-based access control for applications: what an application may do in which mailboxes, beside the roles of role groups.
 *
 * Sources: "Role Based Access Control for Applications in Exchange Online"; New-ManagementScope, New-ManagementRoleAssignment (parameter set
 * App), Test-ServicePrincipalAuthorization (Microsoft's cmdlet reference).
 */
import { accessCmdlets } from "./access.ts";
import { alreadyExists, ARGUMENT, CmdletError, dehydrated, notFound } from "./answers.ts";
import type { Bound } from "./binder.ts";
import { type Cmdlet, type CmdletContext, distinguishedName, madeNow, reading, text } from "./cmdlet.ts";
import type { ApplicationAssignment, ManagementScope, Owned, OwnedCollection, ServicePrincipalReference } from "./store.ts";

const NAME_LIMIT = 64;
/** Of the application roles, those that go with Exchange Web Services. */
const applicationRoles = ["Application EWS.AccessAsApp", "Application Exchange Full Access"];

/** Cmdlets of access.ts that another parameter set or another kind of assignee makes ours. */
const ofGroups = (name: string): Cmdlet => {
  const cmdlet = accessCmdlets[name];
  if (!cmdlet) throw new Error(`there is no ${name}`);
  return cmdlet;
};

export const applicationAccessCmdlets: Record<string, Cmdlet> = {
  "Get-ManagementScope": {
    parameters: { Identity: "string" },
    prepare: (context, bound) =>
      reading(() => found(context, context.store.managementScopes, text(bound, "Identity")).map(shownScope)),
  },
  "New-ManagementScope": {
    parameters: { Name: "string", RecipientRestrictionFilter: "string", RecipientRoot: "unmodelled", Exclusive: "unmodelled" },
    mandatory: ["Name", "RecipientRestrictionFilter"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const { store, tenantId } = context;
      if (store.organization(tenantId)?.exchange?.dehydrated) throw dehydrated();
      const name = nameIn(bound);
      if (store.managementScopes.find(tenantId, name)) throw alreadyExists("management scope", name);
      const scope: ManagementScope = { ...madeNow(context, name), filter: filterIn(bound) };
      return making(context, store.managementScopes, scope, () => [shownScope(scope)]);
    },
  },
  "Set-ManagementScope": {
    parameters: { Identity: "string", Name: "string", RecipientRestrictionFilter: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const { store } = context;
      const scope = required(context, store.managementScopes, text(bound, "Identity") ?? "");
      const filter = bound.has("RecipientRestrictionFilter") ? filterIn(bound) : scope.filter;
      const name = text(bound, "Name") ?? scope.name;
      return {
        target: scope.name,
        commit: () => {
          store.managementScopes.set({ ...scope, name, filter, whenChanged: context.now() });
          return [];
        },
      };
    },
  },
  "Remove-ManagementScope": {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    asksByDefault: true,
    prepare: (context, bound) => {
      const { store, tenantId } = context;
      const scope = required(context, store.managementScopes, text(bound, "Identity") ?? "");
      const user = store.applicationAssignments.of(tenantId).find((one) => one.scope === scope.name);
      if (user)
        throw new CmdletError(
          "Microsoft.Exchange.Management.Tasks.ManagementScopeInUseException",
          `The management scope "${scope.name}" can't be removed because it's used by the role assignment "${user.name}".`,
        );
      return {
        target: scope.name,
        commit: () => {
          store.managementScopes.delete(scope);
          return [];
        },
      };
    },
  },

  "Get-ManagementRoleAssignment": {
    ...ofGroups("Get-ManagementRoleAssignment"),
    prepare: (context, bound) =>
      reading(() => {
        const { store, tenantId } = context;
        const [identity, assignee, role] = ["Identity", "RoleAssignee", "Role"].map((name) => text(bound, name));
        const applications = store.applicationAssignments
          .of(tenantId)
          .filter(({ guid }) => !context.settling.unseen(guid))
          .filter((one) => assignee === undefined || one.assignee === assignee.toLowerCase())
          .filter((one) => role === undefined || one.role === role)
          .map(shownAssignment);
        const groups = ofGroups("Get-ManagementRoleAssignment").prepare(context, bound).commit() as Record<string, unknown>[];
        const all = [...groups, ...applications].filter(
          ({ Name }) => identity === undefined || String(Name).toLowerCase() === identity.toLowerCase(),
        );
        if (identity !== undefined && all.length === 0) throw notFound(identity);
        return all;
      }),
  },
  "New-ManagementRoleAssignment": {
    ...ofGroups("New-ManagementRoleAssignment"),
    parameters: {
      ...ofGroups("New-ManagementRoleAssignment").parameters,
      App: "string",
      CustomResourceScope: "string",
      RecipientGroupScope: "unmodelled",
      RecipientAdministrativeUnitScope: "unmodelled",
    },
    mandatory: ["Role"],
    prepare: (context, bound) => {
      const app = text(bound, "App");
      if (app === undefined) return ofGroups("New-ManagementRoleAssignment").prepare(context, bound);
      if (bound.has("SecurityGroup")) throw new CmdletError(ARGUMENT, "The parameters App and SecurityGroup exclude each other.");
      const { store, tenantId } = context;
      const role = text(bound, "Role") ?? "";
      if (!applicationRoles.includes(role)) throw notAnApplicationRole(role);
      const principal = principalNamed(context, app);
      const name = text(bound, "Name") ?? `${role}-${principal.objectId}`;
      if (name.length > NAME_LIMIT) throw tooLong();
      if (store.applicationAssignments.find(tenantId, name)) throw alreadyExists("management role assignment", name);
      const scope = text(bound, "CustomResourceScope");
      const assignment: ApplicationAssignment = {
        ...madeNow(context, name),
        role,
        assignee: principal.objectId,
        scope: scope === undefined ? null : required(context, store.managementScopes, scope).name,
      };
      return making(context, store.applicationAssignments, assignment, () => [shownAssignment(assignment)]);
    },
  },
  "Set-ManagementRoleAssignment": {
    parameters: { Identity: "string", CustomResourceScope: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const { store } = context;
      const assignment = required(context, store.applicationAssignments, text(bound, "Identity") ?? "");
      const scope = text(bound, "CustomResourceScope");
      const name = scope === undefined ? assignment.scope : required(context, store.managementScopes, scope).name;
      return {
        target: assignment.name,
        commit: () => {
          store.applicationAssignments.set({ ...assignment, scope: name, whenChanged: context.now() });
          return [];
        },
      };
    },
  },
  "Remove-ManagementRoleAssignment": {
    ...ofGroups("Remove-ManagementRoleAssignment"),
    prepare: (context, bound) => {
      const { store, tenantId } = context;
      const assignment = store.applicationAssignments.find(tenantId, text(bound, "Identity") ?? "");
      if (!assignment) return ofGroups("Remove-ManagementRoleAssignment").prepare(context, bound);
      return {
        target: assignment.name,
        commit: () => {
          store.applicationAssignments.delete(assignment);
          return [];
        },
      };
    },
  },
  "Remove-ServicePrincipal": {
    ...ofGroups("Remove-ServicePrincipal"),
    prepare: (context, bound) => {
      const { store, tenantId } = context;
      const { objectId, name } = principalNamed(context, text(bound, "Identity") ?? "");
      if (store.applicationAssignments.of(tenantId).some(({ assignee }) => assignee === objectId))
        throw new CmdletError(
          "Microsoft.Exchange.Management.Tasks.ServicePrincipalInUseException",
          `The service principal "${name}" can't be removed because it has role assignments.`,
        );
      return ofGroups("Remove-ServicePrincipal").prepare(context, bound);
    },
  },
  "Test-ServicePrincipalAuthorization": {
    parameters: { Identity: "string", Resource: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const { store, tenantId } = context;
      const principal = principalNamed(context, text(bound, "Identity") ?? "");
      const mailbox = text(bound, "Resource");
      if (mailbox !== undefined && store.messagesIn(tenantId, mailbox) === undefined) throw notFound(mailbox);
      return {
        target: principal.name,
        commit: () =>
          store.applicationAssignments
            .of(tenantId)
            .filter(({ assignee }) => assignee === principal.objectId)
            .map(({ role, scope }) => ({
              RoleName: role,
              GrantedPermissions: role.replace(/^Application /, ""),
              AllowedResourceScope: scope ?? "Organization",
              ScopeType: scope === null ? "Organization" : "CustomRecipientScope",
              InScope: mailbox === undefined ? "Not Run" : inScope(context, scope, mailbox),
            })),
      };
    },
  },
};

/** Only direct members of a group count, and of filters this model knows that one. */
function inScope(context: CmdletContext, scope: string | null, mailbox: string): boolean {
  const { store, tenantId } = context;
  if (scope === null) return true;
  const filter = required(context, store.managementScopes, scope).filter;
  const name = /^\s*MemberOfGroup\s+-eq\s+'(.+)'\s*$/i.exec(filter)?.[1]?.replaceAll("''", "'").toLowerCase();
  const group = store.groups
    .of(tenantId)
    .find((one) => distinguishedName(one.name, "Recipients", tenantId).toLowerCase() === name);
  return group?.members.includes(mailbox.toLowerCase()) ?? false;
}

const tooLong = (): CmdletError => new CmdletError(ARGUMENT, `The name can't be longer than ${NAME_LIMIT} characters.`);
const notAnApplicationRole = (role: string): CmdletError =>
  new CmdletError(ARGUMENT, `The role "${role}" isn't an application role; only those can be assigned to an application.`);

function nameIn(bound: Bound): string {
  const name = text(bound, "Name") ?? "";
  if (name.length > NAME_LIMIT) throw tooLong();
  return name;
}

/** OPATH: a property, an operator, a value. */
function filterIn(bound: Bound): string {
  const filter = text(bound, "RecipientRestrictionFilter") ?? "";
  if (!/^[\s({]*\w+\s+-\w+\s+\S/.test(filter))
    throw new CmdletError(ARGUMENT, `The recipient restriction filter "${filter}" isn't valid. Use OPATH syntax.`);
  return filter;
}

const making = <Value extends Owned>(
  { settling }: CmdletContext,
  collection: OwnedCollection<Value>,
  value: Value,
  answer: () => Record<string, unknown>[],
) => ({
  target: value.name,
  commit: () => {
    collection.set(value);
    settling.begin(value.guid);
    return answer();
  },
});

/** A new object isn't in the first answer of its Get-. */
function found<Value extends Owned>(
  { tenantId, settling }: CmdletContext,
  collection: OwnedCollection<Value>,
  identity: string | undefined,
): Value[] {
  const one = identity === undefined ? undefined : collection.find(tenantId, identity);
  const seen = (identity === undefined ? collection.of(tenantId) : one ? [one] : []).filter(({ guid }) => !settling.unseen(guid));
  if (identity !== undefined && seen.length === 0) throw notFound(identity);
  return seen;
}

function required<Value extends Owned>({ tenantId }: CmdletContext, collection: OwnedCollection<Value>, identity: string): Value {
  const value = collection.find(tenantId, identity);
  if (!value) throw notFound(identity);
  return value;
}

function principalNamed({ store, tenantId }: CmdletContext, identity: string): ServicePrincipalReference {
  const wanted = identity.toLowerCase();
  const principal = store.servicePrincipals
    .of(tenantId)
    .find((one) => [one.objectId, one.appId, one.guid, one.name].some((name) => name.toLowerCase() === wanted));
  if (!principal) throw notFound(identity);
  return principal;
}

const shownScope = ({ name, guid, filter }: ManagementScope): Record<string, unknown> => ({
  Identity: name,
  Name: name,
  Guid: guid,
  ScopeRestrictionType: "RecipientScope",
  RecipientRoot: "",
  RecipientFilter: filter,
  Exclusive: false,
});

const shownAssignment = ({ name, guid, role, assignee, scope }: ApplicationAssignment): Record<string, unknown> => ({
  Identity: name,
  Name: name,
  Guid: guid,
  Role: role,
  RoleAssignee: assignee,
  RoleAssigneeName: assignee,
  RoleAssigneeType: "ServicePrincipal",
  AssignmentMethod: "Direct",
  RecipientWriteScope: scope === null ? "Organization" : "CustomRecipientScope",
  CustomRecipientWriteScope: scope,
  CustomResourceScope: scope,
  Enabled: true,
});

/**
 * Mission D3: which mailboxes an application reaches, said by Exchange Online itself (RBAC for Applications): a reference of the
 * application's service principal, a scope with the direct members of a group, and the role in that scope. An application without it
 * reaches none.
 */
import { ControlPlaneError } from "../errors.ts";
import type { Exchange } from "../exchange/client.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type PropertyChange, type Resource } from "./resource.ts";

export interface MailboxAccess {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Of scope and assignment: it derives from the tenant, so that nobody else's has it. */
  name: string;
  /** Client id of the application, and object id of its service principal. */
  appId: string;
  servicePrincipalId: string;
  role: "Application EWS.AccessAsApp";
  /** Address of a mail-enabled group. Members of groups in it don't count: Exchange looks at direct ones only. */
  group: string;
}

export interface MailboxAccessActual {
  /** What Exchange's reference of the application leads to. */
  servicePrincipal: string | null;
  /** Canonical. */
  recipients: string | null;
  role: string | null;
  assignee: string | null;
  scope: string | null;
}

export const mailboxAccess = ({ exchange }: { exchange: Exchange }): Resource<MailboxAccess, MailboxAccessActual & Members> => {
  /** The group's own name in the directory, by which a scope finds its members. */
  async function filterOf({ organization, group }: MailboxAccess): Promise<string> {
    const [found] = await exchange.list(organization, "Get-DistributionGroup", { Identity: group });
    if (!found)
      throw new ControlPlaneError(
        "MailboxGroupMissing",
        `the organisation has no group ${group} whose members' mailboxes could be reached; make it there, mail-enabled, or name another`,
        409,
      );
    return `MemberOfGroup -eq '${found.DistinguishedName.replaceAll("'", "''")}'`;
  }

  async function read({ organization, name, appId }: Pick<MailboxAccess, "organization" | "name" | "appId">) {
    const [reference] = await exchange.list(organization, "Get-ServicePrincipal", { Identity: appId });
    const [scope] = await exchange.list(organization, "Get-ManagementScope", { Identity: name });
    const [assignment] = await exchange.list(organization, "Get-ManagementRoleAssignment", { Identity: name });
    return { reference, scope, assignment };
  }

  const assign = ({ organization, name, role, servicePrincipalId }: MailboxAccess) =>
    exchange
      .run(organization, "New-ManagementRoleAssignment", {
        Name: name,
        Role: role,
        App: servicePrincipalId,
        CustomResourceScope: name,
      })
      .catch(settling);

  /** Each part that isn't there, in the order in which the later need the earlier; what can't be changed in place is made anew. */
  async function complete(desired: MailboxAccess, changes: PropertyChange[]): Promise<void> {
    const { organization, name, appId, servicePrincipalId } = desired;
    const changed = (...paths: (keyof MailboxAccessActual)[]): boolean =>
      changes.some(({ path }) => paths.some((one) => one === path));
    const filter = await filterOf(desired);
    const { reference, scope, assignment } = await read(desired);
    const unfit = assignment !== undefined && changed("servicePrincipal", "assignee", "role");
    if (unfit) await exchange.run(organization, "Remove-ManagementRoleAssignment", { Identity: name });
    const astray = reference !== undefined && changed("servicePrincipal");
    if (astray) await exchange.run(organization, "Remove-ServicePrincipal", { Identity: appId });
    if (!reference || astray)
      await exchange.run(organization, "New-ServicePrincipal", { AppId: appId, ObjectId: servicePrincipalId, DisplayName: name });
    if (!scope) await exchange.run(organization, "New-ManagementScope", { Name: name, RecipientRestrictionFilter: filter });
    else if (changed("recipients"))
      await exchange.run(organization, "Set-ManagementScope", { Identity: name, RecipientRestrictionFilter: filter });
    if (!assignment || unfit) await assign(desired);
    else if (changed("scope"))
      await exchange.run(organization, "Set-ManagementRoleAssignment", { Identity: name, CustomResourceScope: name });
  }

  return {
    kind: "mailboxAccess",
    observe: (desired) =>
      observing(async () => {
        const members = canonicalFilter(await filterOf(desired));
        const { reference, scope, assignment } = await read(desired);
        if (!reference && !scope && !assignment) return undefined;
        return {
          servicePrincipal: reference?.ObjectId.toLowerCase() ?? null,
          recipients: scope ? canonicalFilter(scope.RecipientFilter ?? "") : null,
          role: assignment?.Role ?? null,
          assignee: assignment?.RoleAssigneeName?.toLowerCase() ?? null,
          scope: assignment?.CustomResourceScope ?? assignment?.CustomRecipientWriteScope ?? null,
          members,
        };
      }),
    diff: ({ name, role, servicePrincipalId }, { members, ...actual }) =>
      changesBetween(
        {
          servicePrincipal: servicePrincipalId.toLowerCase(),
          recipients: members,
          role,
          assignee: servicePrincipalId.toLowerCase(),
          scope: name,
        } satisfies MailboxAccessActual,
        actual,
      ),
    async create(desired) {
      await complete(desired, []);
      return done;
    },
    async update(desired, changes) {
      await complete(desired, changes);
      return done;
    },
    /** The access first: what is left of it meanwhile opens nothing. */
    async remove(desired) {
      const { organization, name, appId } = desired;
      const { reference, scope, assignment } = await read(desired);
      if (assignment) await exchange.run(organization, "Remove-ManagementRoleAssignment", { Identity: name });
      if (scope) await exchange.run(organization, "Remove-ManagementScope", { Identity: name });
      if (reference) await exchange.run(organization, "Remove-ServicePrincipal", { Identity: appId });
      return done;
    },
  };
};

/** What the assignment names was made a moment ago, and isn't known everywhere. */
function settling(cause: unknown): never {
  if (cause instanceof ControlPlaneError && cause.code === "ExchangeObjectNotFound")
    throw new ControlPlaneError(
      "ResourceSettling",
      "Exchange Online does not know the application or its scope (yet)",
      503,
      true,
      {
        cause,
      },
    );
  throw cause;
}

interface Members {
  /** The filter that the group's own name asks for now: it changes with the group's name. */
  members: string;
}

/** Exchange parses a filter and shows it in its own way: blanks, case and brackets around it mean nothing. */
export const canonicalFilter = (filter: string): string =>
  filter
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/^[\s({]+|[\s)}]+$/g, "");

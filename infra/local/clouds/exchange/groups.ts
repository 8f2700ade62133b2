/**
 * Distribution groups, by which a forwarding rule can be opened to many without changing it: Get-, New- and Remove-, and their members.
 *
 * Sources: New-DistributionGroup, Add-DistributionGroupMember and Get-DistributionGroupMember (Microsoft's cmdlet reference).
 */
import { randomUUID } from "node:crypto";
import { alreadyExists, ARGUMENT, CmdletError, notFound } from "./answers.ts";
import { type Cmdlet, type CmdletContext, distinguishedName, reading, text } from "./cmdlet.ts";
import { list } from "./connectors.ts";
import type { Group } from "./store.ts";

const NAME_LIMIT = 64;

export const groupCmdlets: Record<string, Cmdlet> = {
  "Get-DistributionGroup": {
    parameters: { Identity: "string", ResultSize: "string" },
    prepare: (context, bound) =>
      reading(() => {
        const identity = text(bound, "Identity");
        const groups = identity === undefined ? context.store.groups.of(context.tenantId) : [required(context, identity)];
        const seen = groups.filter(({ guid }) => !context.settling.unseen(guid));
        if (identity !== undefined && seen.length === 0) throw notFound(identity);
        return seen.map(shown);
      }),
  },
  "New-DistributionGroup": {
    parameters: {
      Name: "string",
      Members: "strings",
      PrimarySmtpAddress: "string",
      Type: ["Distribution", "Security"],
      ...Object.fromEntries(["Alias", "DisplayName", "ManagedBy", "Notes"].map((name) => [name, "unmodelled"] as const)),
    },
    mandatory: ["Name"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const { tenantId, store, now } = context;
      const name = text(bound, "Name") ?? "";
      if (name.length > NAME_LIMIT) throw new CmdletError(ARGUMENT, `The name can't be longer than ${NAME_LIMIT} characters.`);
      const domain = store.organization(tenantId)?.domains.find(({ verified }) => verified)?.name ?? "";
      const address = (text(bound, "PrimarySmtpAddress") ?? `${name.replaceAll(/[^\w.-]/g, "")}@${domain}`).toLowerCase();
      if (store.organizationOf(address)?.tenantId !== tenantId)
        throw new CmdletError(ARGUMENT, `The domain of "${address}" isn't an accepted domain of your organization.`);
      if (store.groups.find(tenantId, name) || groupAt(context, address)) throw alreadyExists("group", name);
      const group: Group = {
        tenantId,
        guid: randomUUID(),
        name,
        address,
        security: text(bound, "Type") === "Security",
        members: list(bound.get("Members")).map((member) => mailbox(context, member)),
        whenCreated: now(),
        whenChanged: now(),
      };
      return {
        target: name,
        commit: () => {
          store.groups.set(group);
          context.settling.begin(group.guid);
          return [shown(group)];
        },
      };
    },
  },
  "Remove-DistributionGroup": {
    parameters: { Identity: "string", BypassSecurityGroupManagerCheck: "boolean" },
    mandatory: ["Identity"],
    shouldProcess: true,
    asksByDefault: true,
    prepare: (context, bound) => {
      const group = required(context, text(bound, "Identity") ?? "");
      return {
        target: group.name,
        commit: () => {
          context.store.groups.delete(group);
          return [];
        },
      };
    },
  },
  "Get-DistributionGroupMember": {
    parameters: { Identity: "string", ResultSize: "string" },
    mandatory: ["Identity"],
    prepare: (context, bound) =>
      reading(() =>
        required(context, text(bound, "Identity") ?? "").members.map((member) => ({
          Identity: member,
          Name: member.slice(0, member.indexOf("@")),
          PrimarySmtpAddress: member,
          RecipientType: "UserMailbox",
        })),
      ),
  },
  "Add-DistributionGroupMember": membership(
    (members, member) => (members.includes(member) ? undefined : [...members, member]),
    "MemberAlreadyExistsException",
    "is already a member",
  ),
  "Remove-DistributionGroupMember": {
    ...membership(
      (members, member) => (members.includes(member) ? members.filter((one) => one !== member) : undefined),
      "MemberNotFoundException",
      "isn't a member",
    ),
    asksByDefault: true,
  },
};

/** `changed` gives the new members, or undefined when there is nothing to change. */
function membership(
  changed: (members: string[], member: string) => string[] | undefined,
  exception: string,
  words: string,
): Cmdlet {
  return {
    parameters: { Identity: "string", Member: "string", BypassSecurityGroupManagerCheck: "boolean" },
    mandatory: ["Identity", "Member"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const group = required(context, text(bound, "Identity") ?? "");
      const member = mailbox(context, text(bound, "Member") ?? "");
      const members = changed(group.members, member);
      if (!members)
        throw new CmdletError(
          `Microsoft.Exchange.Management.Tasks.${exception}`,
          `The recipient "${member}" ${words} of the group "${group.name}".`,
        );
      return {
        target: group.name,
        commit: () => {
          context.store.groups.set({ ...group, members, whenChanged: context.now() });
          return [];
        },
      };
    },
  };
}

const groupAt = ({ tenantId, store }: Pick<CmdletContext, "tenantId" | "store">, address: string): Group | undefined =>
  store.groups.of(tenantId).find((group) => group.address === address.toLowerCase());

/** By name, Guid or address. */
export const findGroup = (context: Pick<CmdletContext, "tenantId" | "store">, identity: string): Group | undefined =>
  context.store.groups.find(context.tenantId, identity) ?? groupAt(context, identity);

function required(context: CmdletContext, identity: string): Group {
  const group = findGroup(context, identity);
  if (!group) throw notFound(identity);
  return group;
}

function mailbox({ tenantId, store }: CmdletContext, address: string): string {
  if (store.messagesIn(tenantId, address) === undefined) throw notFound(address);
  return address.toLowerCase();
}

const shown = ({ tenantId, guid, name, address, security, whenCreated, whenChanged }: Group): Record<string, unknown> => ({
  Identity: name,
  Name: name,
  DisplayName: name,
  Guid: guid,
  DistinguishedName: distinguishedName(name, "Recipients", tenantId),
  PrimarySmtpAddress: address,
  GroupType: security ? "Universal, SecurityEnabled" : "Universal",
  RecipientTypeDetails: security ? "MailUniversalSecurityGroup" : "MailUniversalDistributionGroup",
  IsValid: true,
  WhenCreated: whenCreated,
  WhenChanged: whenChanged,
});

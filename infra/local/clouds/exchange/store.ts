/** What Exchange Online keeps of its organisations: connectors, rules, filter policies, mailboxes. */
import { createHash } from "node:crypto";
import type { Collection, ExchangeOrganization, MailboxMessage, MessageTrace, Organization, Platform } from "../simulator.ts";
import { domainOf } from "../mail/message.ts";

export interface Owned {
  tenantId: string;
  guid: string;
  name: string;
  whenCreated: string;
  whenChanged: string;
}

/** Settings under the names that Get- shows them with. */
export interface Connector extends Owned {
  settings: Record<string, unknown>;
}

export interface TransportRule extends Owned {
  priority: number;
  enabled: boolean;
  mode: "Enforce" | "Audit" | "AuditAndNotify";
  /** A person, as `LastModifiedBy` shows it; what an application did shows nobody. */
  lastModifiedBy?: string | undefined;
  /** Conditions, exceptions, actions and properties, under their parameter names; absent when not set. */
  settings: Record<string, unknown>;
}

export interface ConnectionFilterPolicy extends Owned {
  allowed: string[];
  blocked: string[];
  safeList: boolean;
}

export interface Group extends Owned {
  /** Primary SMTP address, lower case, as its members' are. */
  address: string;
  members: string[];
  security: boolean;
}

/** Exchange's reference of a service principal in Entra. */
export interface ServicePrincipalReference extends Owned {
  appId: string;
  objectId: string;
}

/** Made from a built-in role, with some of its cmdlets. */
export interface ManagementRole extends Owned {
  parent: string;
  description: string;
  cmdlets: string[];
}

/** Recipients that an OPATH filter finds. */
export interface ManagementScope extends Owned {
  filter: string;
}

/** A role that an application holds, in a scope or everywhere. */
export interface ApplicationAssignment extends Owned {
  role: string;
  /** Object id of its service principal. */
  assignee: string;
  scope: string | null;
}

export interface RoleGroup extends Owned {
  description: string;
  /** Names of roles. */
  roles: string[];
  /** Guids of service principals; users are no part of this model. */
  members: string[];
}

/** The rules of an organisation as the transport servers know them from `effectiveAt` on. */
interface RuleVersion {
  effectiveAt: number;
  rules: TransportRule[];
}

export interface ExchangeStore {
  organization(tenantId: string): Organization | undefined;
  /** Whose accepted domain an address is in. */
  organizationOf(address: string): Organization | undefined;
  inboundConnectors: OwnedCollection<Connector>;
  outboundConnectors: OwnedCollection<Connector>;
  rules: OwnedCollection<TransportRule>;
  groups: OwnedCollection<Group>;
  servicePrincipals: OwnedCollection<ServicePrincipalReference>;
  managementRoles: OwnedCollection<ManagementRole>;
  roleGroups: OwnedCollection<RoleGroup>;
  managementScopes: OwnedCollection<ManagementScope>;
  applicationAssignments: OwnedCollection<ApplicationAssignment>;
  /** Changes what is unusual about an organisation. */
  changeOrganization(tenantId: string, change: Partial<ExchangeOrganization>): void;
  /** Gives the organisation its own copy of what it shared; false when it has one already. */
  hydrate(tenantId: string): boolean;
  filterPolicy(tenantId: string): ConnectionFilterPolicy;
  setFilterPolicy(policy: ConnectionFilterPolicy): void;
  /** Makes the present rules effective after their propagation; called after each change of a rule. */
  propagateRules(tenantId: string): void;
  /** The rules that the transport servers apply now, in order. */
  effectiveRules(tenantId: string): TransportRule[];
  /** Whether these are the rules as they were last written. */
  rulesPropagated(tenantId: string): boolean;
  deliver(tenantId: string, mailbox: string, message: MailboxMessage): void;
  /** Begins, or goes on with what is known of a message. */
  trace(trace: MessageTrace): void;
  traced(id: string, change: Pick<MessageTrace, "status"> & Partial<MessageTrace>): void;
  /** Those that can be seen by now, the newest first. */
  readonly traces: (tenantId: string) => MessageTrace[];
  readonly messagesIn: (tenantId: string, mailbox: string) => MailboxMessage[] | undefined;
}

export interface OwnedCollection<T extends Owned> {
  of(tenantId: string): T[];
  /** By name (without case) or Guid. */
  find(tenantId: string, identity: string): T | undefined;
  set(value: T): void;
  delete(value: T): void;
}

/** Research, chapter 2.2: rules take up to about half an hour; one minute is the model's time for it. */
export const RULE_PROPAGATION_IN_MILLISECONDS = 60_000;

/** "Message trace": data is there after minutes. */
export const TRACE_DELAY_IN_MILLISECONDS = 60_000;

export function createStore(platform: Platform): ExchangeStore {
  const inboundConnectors = owned(platform.collection<Connector>("exchange.inbound-connectors"));
  const outboundConnectors = owned(platform.collection<Connector>("exchange.outbound-connectors"));
  const rules = owned(platform.collection<TransportRule>("exchange.transport-rules"));
  const groups = owned(platform.collection<Group>("exchange.groups"));
  const versions = platform.collection<RuleVersion[]>("exchange.rule-versions");
  const policies = platform.collection<ConnectionFilterPolicy>("exchange.connection-filters");
  const messageTraces = platform.collection<MessageTrace>("exchange.message-traces");
  const messages = platform.collection<MailboxMessage & { tenantId: string; mailbox: string }>("exchange.messages");

  const organization = (tenantId: string): Organization | undefined =>
    platform.organizations.values().find((one) => one.tenantId.toLowerCase() === tenantId.toLowerCase());

  return {
    organization,
    organizationOf: (address) => {
      const domain = domainOf(address);
      return platform.organizations
        .values()
        .find(({ domains }) => domains.some((one) => one.verified && one.name.toLowerCase() === domain));
    },
    inboundConnectors,
    outboundConnectors,
    rules,
    groups,
    servicePrincipals: owned(platform.collection<ServicePrincipalReference>("exchange.service-principals")),
    managementRoles: owned(platform.collection<ManagementRole>("exchange.management-roles")),
    roleGroups: owned(platform.collection<RoleGroup>("exchange.role-groups")),
    managementScopes: owned(platform.collection<ManagementScope>("exchange.management-scopes")),
    applicationAssignments: owned(platform.collection<ApplicationAssignment>("exchange.application-assignments")),
    changeOrganization: (tenantId, change) => {
      const known = organization(tenantId);
      if (known) platform.organizations.set(known.tenantId, { ...known, exchange: { ...known.exchange, ...change } });
    },
    hydrate: (tenantId) => {
      const known = organization(tenantId);
      if (!known?.exchange?.dehydrated) return false;
      platform.organizations.set(known.tenantId, { ...known, exchange: { ...known.exchange, dehydrated: false } });
      return true;
    },
    filterPolicy: (tenantId) =>
      policies.get(tenantId) ?? {
        tenantId,
        guid: guidFrom(tenantId),
        name: "Default",
        allowed: [],
        blocked: [],
        safeList: false,
        whenCreated: new Date(platform.now()).toISOString(),
        whenChanged: new Date(platform.now()).toISOString(),
      },
    setFilterPolicy: (policy) => policies.set(policy.tenantId, policy),
    propagateRules: (tenantId) => {
      const now = platform.now();
      const known = versions.get(tenantId) ?? [];
      const past = known.filter(({ effectiveAt }) => effectiveAt <= now).slice(-1);
      const coming = known.filter(({ effectiveAt }) => effectiveAt > now);
      const effectiveAt = now + RULE_PROPAGATION_IN_MILLISECONDS * platform.tempo;
      versions.set(tenantId, [...past, ...coming, { effectiveAt, rules: rules.of(tenantId) }]);
    },
    effectiveRules: (tenantId) => {
      const effective = (versions.get(tenantId) ?? []).filter(({ effectiveAt }) => effectiveAt <= platform.now()).at(-1);
      return (effective?.rules ?? []).filter(({ enabled }) => enabled).sort((one, other) => one.priority - other.priority);
    },
    rulesPropagated: (tenantId) => (versions.get(tenantId) ?? []).every(({ effectiveAt }) => effectiveAt <= platform.now()),
    trace: (trace) => messageTraces.set(trace.id, trace),
    traced: (id, change) => {
      const known = messageTraces.get(id);
      if (known) messageTraces.set(id, { ...known, ...change });
    },
    traces: (tenantId) =>
      messageTraces
        .values()
        .filter((one) => one.tenantId === tenantId)
        .filter(({ receivedAt }) => receivedAt + TRACE_DELAY_IN_MILLISECONDS * platform.tempo <= platform.now())
        .toReversed()
        .sort((one, other) => other.receivedAt - one.receivedAt),
    deliver: (tenantId, mailbox, message) => messages.set(message.id, { ...message, tenantId, mailbox }),
    messagesIn: (tenantId, mailbox) => {
      const address = mailbox.toLowerCase();
      if (!organization(tenantId)?.mailboxes.some((one) => one.toLowerCase() === address)) return undefined;
      return messages
        .values()
        .filter((one) => one.tenantId === tenantId && one.mailbox === address)
        .map(({ id, folder, receivedAt, envelopeFrom, mime }) => ({ id, folder, receivedAt, envelopeFrom, mime }))
        .sort((one, other) => one.receivedAt - other.receivedAt);
    },
  };
}

const owned = <T extends Owned>(collection: Collection<T>): OwnedCollection<T> => ({
  of: (tenantId) => collection.values().filter((one) => one.tenantId === tenantId),
  find: (tenantId, identity) =>
    collection
      .values()
      .find(
        (one) =>
          one.tenantId === tenantId &&
          (one.guid.toLowerCase() === identity.toLowerCase() || one.name.toLowerCase() === identity.toLowerCase()),
      ),
  set: (value) => collection.set(`${value.tenantId}/${value.guid}`, value),
  delete: (value) => void collection.delete(`${value.tenantId}/${value.guid}`),
});

/** A second GUID for the organisation's one policy, the same at each read. */
function guidFrom(tenantId: string): string {
  const digits = createHash("sha256").update(`connection filter of ${tenantId}`).digest("hex");
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

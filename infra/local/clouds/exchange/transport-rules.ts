/**
 * Transport rules: Get-, New-, Set-, Enable-, Disable- and Remove-TransportRule.
 *
 * Source: New-TransportRule and Set-TransportRule in Microsoft's cmdlet reference (research step S5): Set- has no `Enabled`; a rule
 * needs an action; a new priority shifts the others.
 */
import { randomUUID } from "node:crypto";
import { alreadyExists, ARGUMENT, CmdletError, notFound } from "./answers.ts";
import type { Bound, ParameterType } from "./binder.ts";
import { type Cmdlet, type CmdletContext, distinguishedName, flag, reading, text } from "./cmdlet.ts";
import { list } from "./connectors.ts";
import { findGroup } from "./groups.ts";
import { predicates, scl } from "./predicates.ts";
import type { TransportRule } from "./store.ts";

const NAME_LIMIT = 64;
const COMMENTS_LIMIT = 1024;
const RULES_LIMIT = 300;

const actions: Record<string, ParameterType> = {
  RouteMessageOutboundConnector: "string",
  SetSCL: "string",
  RemoveHeader: "string",
  SetHeaderName: "string",
  SetHeaderValue: "string",
  PrependSubject: "string",
  DeleteMessage: "boolean",
};

const properties: Record<string, ParameterType> = {
  ActivationDate: "date",
  ExpiryDate: "date",
  Comments: "string",
  RuleErrorAction: ["Ignore", "Defer"],
  RuleSubType: ["None", "Dlp"],
  SenderAddressLocation: ["Header", "Envelope", "HeaderOrEnvelope"],
  SetAuditSeverity: ["DoNotAudit", "Low", "Medium", "High"],
  StopRuleProcessing: "boolean",
};

const unmodelled = [
  "BetweenMemberOf1",
  "BetweenMemberOf2",
  "AnyOfToHeader",
  "AnyOfCcHeader",
  "AnyOfToCcHeader",
  "AnyOfRecipientAddressContainsWords",
  "RecipientAddressContainsWords",
  "FromAddressContainsWords",
  "SubjectOrBodyContainsWords",
  "SubjectOrBodyMatchesPatterns",
  "AttachmentSizeOver",
  "HasSenderOverride",
  "MessageContainsDataClassifications",
];
const unmodelledActions = [
  "AddToRecipients",
  "ApplyHtmlDisclaimerText",
  "ApplyRightsProtectionTemplate",
  "BlindCopyTo",
  "CopyTo",
  "ModerateMessageByUser",
  "Quarantine",
  "RedirectMessageTo",
  "RejectMessageEnhancedStatusCode",
  "RejectMessageReasonText",
  "RouteMessageOutboundRequireTls",
  "ApplyOME",
];

const conditions = Object.fromEntries(Object.entries(predicates).map(([name, { type }]) => [name, type]));
const exceptions = Object.fromEntries(Object.entries(predicates).map(([name, { type }]) => [`ExceptIf${name}`, type]));
const settable: Record<string, ParameterType> = {
  ...conditions,
  ...exceptions,
  ...actions,
  ...properties,
  Mode: ["Enforce", "Audit", "AuditAndNotify"],
  Priority: "integer",
  ...Object.fromEntries(
    [...unmodelled, ...unmodelled.map((name) => `ExceptIf${name}`), ...unmodelledActions].map(
      (name) => [name, "unmodelled"] as const,
    ),
  ),
};

export const transportRuleCmdlets: Record<string, Cmdlet> = {
  "Get-TransportRule": {
    parameters: {
      Identity: "string",
      ResultSize: "string",
      State: ["Enabled", "Disabled"],
      ExcludeConditionActionDetails: "boolean",
      Filter: "unmodelled",
      DlpPolicy: "unmodelled",
    },
    prepare: (context, bound) =>
      reading(() => {
        const identity = text(bound, "Identity");
        const rules = identity === undefined ? inOrder(context) : [required(context, identity)];
        const state = text(bound, "State");
        return rules
          .filter(({ enabled }) => state === undefined || enabled === (state === "Enabled"))
          .filter(({ guid }) => {
            const unseen = context.settling.unseen(guid);
            if (unseen && identity !== undefined) throw notFound(identity);
            return !unseen;
          })
          .map((rule) => shown(context, rule));
      }),
  },
  "New-TransportRule": {
    parameters: { Name: "string", Enabled: "boolean", ...settable },
    mandatory: ["Name"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const rules = inOrder(context);
      if (rules.length >= RULES_LIMIT)
        throw new CmdletError(ARGUMENT, `An organization can't have more than ${RULES_LIMIT} transport rules.`);
      const rule: TransportRule = {
        tenantId: context.tenantId,
        guid: randomUUID(),
        name: named(context, text(bound, "Name") ?? "", undefined),
        priority: priorityIn(bound, rules.length, rules.length),
        enabled: flag(bound, "Enabled") ?? true,
        mode: modeIn(bound, "Enforce"),
        settings: checked(context, merged({}, bound)),
        whenCreated: context.now(),
        whenChanged: context.now(),
      };
      return {
        target: rule.name,
        commit: () => {
          reorder(context, [...rules.slice(0, rule.priority), rule, ...rules.slice(rule.priority)]);
          context.settling.begin(rule.guid);
          return [shown(context, rule)];
        },
      };
    },
  },
  "Set-TransportRule": {
    parameters: { Identity: "string", Name: "string", ...settable },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const old = required(context, text(bound, "Identity") ?? "");
      const others = inOrder(context).filter(({ guid }) => guid !== old.guid);
      const rule: TransportRule = {
        ...old,
        name: named(context, text(bound, "Name") ?? old.name, old),
        priority: priorityIn(bound, old.priority, others.length),
        mode: modeIn(bound, old.mode),
        settings: checked(context, merged(old.settings, bound)),
        whenChanged: context.now(),
        lastModifiedBy: undefined,
      };
      return { target: old.name, commit: () => replace(context, others, rule) };
    },
  },
  "Enable-TransportRule": switching(true),
  "Disable-TransportRule": switching(false),
  "Remove-TransportRule": {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    asksByDefault: true,
    prepare: (context, bound) => {
      const rule = required(context, text(bound, "Identity") ?? "");
      return {
        target: rule.name,
        commit: () => {
          context.store.rules.delete(rule);
          reorder(context, inOrder(context));
          return [];
        },
      };
    },
  },
};

function switching(enabled: boolean): Cmdlet {
  return {
    parameters: { Identity: "string", ...(enabled ? { Mode: ["Enforce", "Audit", "AuditAndNotify"] as const } : {}) },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const old = required(context, text(bound, "Identity") ?? "");
      const others = inOrder(context).filter(({ guid }) => guid !== old.guid);
      const rule = { ...old, enabled, mode: modeIn(bound, old.mode), whenChanged: context.now(), lastModifiedBy: undefined };
      return { target: old.name, commit: () => replace(context, others, rule) };
    },
  };
}

const inOrder = ({ tenantId, store }: CmdletContext): TransportRule[] =>
  store.rules.of(tenantId).sort((one, other) => one.priority - other.priority);

function replace(context: CmdletContext, others: TransportRule[], rule: TransportRule): [] {
  reorder(context, [...others.slice(0, rule.priority), rule, ...others.slice(rule.priority)]);
  return [];
}

/** Priorities are places in one list without gaps: who comes in between shifts the others. */
function reorder({ tenantId, store }: CmdletContext, rules: TransportRule[]): void {
  for (const [priority, rule] of rules.entries()) store.rules.set({ ...rule, priority });
  store.propagateRules(tenantId);
}

function required({ tenantId, store }: CmdletContext, identity: string): TransportRule {
  const rule = store.rules.find(tenantId, identity);
  if (!rule) throw notFound(identity);
  return rule;
}

function named({ tenantId, store }: CmdletContext, name: string, self: TransportRule | undefined): string {
  if (name.length > NAME_LIMIT)
    throw new CmdletError(
      "Microsoft.Exchange.Data.DataValidationException",
      `The length of the property is too long. The maximum length is ${NAME_LIMIT} and the length of the value provided is ${name.length}.`,
    );
  const other = store.rules.find(tenantId, name);
  if (other && other.guid !== self?.guid) throw alreadyExists("transport rule", name);
  return name;
}

function priorityIn(bound: Bound, fallback: number, last: number): number {
  const priority = bound.get("Priority");
  if (typeof priority !== "number") return fallback;
  if (priority < 0 || priority > last)
    throw new CmdletError(ARGUMENT, `The priority ${priority} is out of range: use a value between 0 and ${last}.`);
  return priority;
}

function modeIn(bound: Bound, fallback: TransportRule["mode"]): TransportRule["mode"] {
  const mode = bound.get("Mode");
  return mode === "Enforce" || mode === "Audit" || mode === "AuditAndNotify" ? mode : fallback;
}

/** What was given over what there is; null and the empty list clear. */
function merged(settings: Record<string, unknown>, bound: Bound): Record<string, unknown> {
  const result = { ...settings };
  for (const [name, value] of bound) {
    const predicate = predicates[name] ?? predicates[name.replace(/^ExceptIf/, "")];
    if (predicate === undefined && !(name in actions) && !(name in properties)) continue;
    const off = value === false && name in actions;
    if (off || value === null || value === "" || (Array.isArray(value) && value.length === 0)) delete result[name];
    else if (name === "SetSCL") result[name] = scl(value);
    else result[name] = predicate ? predicate.normalise(value) : value;
  }
  return result;
}

function checked({ tenantId, store }: CmdletContext, settings: Record<string, unknown>): Record<string, unknown> {
  for (const prefix of ["", "ExceptIf"])
    for (const [header, values] of [
      ["HeaderContainsMessageHeader", "HeaderContainsWords"],
      ["HeaderMatchesMessageHeader", "HeaderMatchesPatterns"],
    ])
      if ((settings[`${prefix}${header}`] === undefined) !== (settings[`${prefix}${values}`] === undefined))
        throw new CmdletError(ARGUMENT, `The ${prefix}${header} and ${prefix}${values} parameters must be used together.`);
  for (const name of ["FromMemberOf", "SentToMemberOf", "ExceptIfFromMemberOf", "ExceptIfSentToMemberOf"])
    for (const group of list(settings[name]))
      if (!findGroup({ tenantId, store }, group)) throw new CmdletError(ARGUMENT, `The recipient "${group}" couldn't be found.`);
  if ((settings["SetHeaderName"] === undefined) !== (settings["SetHeaderValue"] === undefined))
    throw new CmdletError(ARGUMENT, "The SetHeaderName and SetHeaderValue parameters must be used together.");
  if (!Object.keys(actions).some((name) => settings[name] !== undefined))
    throw new CmdletError(ARGUMENT, "To be valid, all rules have to include at least one action.");
  if (typeof settings["Comments"] === "string" && settings["Comments"].length > COMMENTS_LIMIT)
    throw new CmdletError(ARGUMENT, `The length of Comments can't be more than ${COMMENTS_LIMIT} characters.`);
  const wanted = settings["RouteMessageOutboundConnector"];
  if (typeof wanted !== "string") return settings;
  const connector = store.outboundConnectors.find(tenantId, wanted);
  if (!connector) throw new CmdletError(ARGUMENT, `The outbound connector "${wanted}" couldn't be found.`);
  if (connector.settings["IsTransportRuleScoped"] !== true)
    throw new CmdletError(
      ARGUMENT,
      `The outbound connector "${connector.name}" can't be used in a transport rule: it isn't scoped to transport rules.`,
    );
  return { ...settings, RouteMessageOutboundConnector: connector.guid };
}

function shown({ store }: CmdletContext, rule: TransportRule): Record<string, unknown> {
  const { tenantId, guid, name, priority, enabled, mode, settings, whenCreated, whenChanged, lastModifiedBy } = rule;
  const connector = settings["RouteMessageOutboundConnector"];
  const route = typeof connector === "string" ? (store.outboundConnectors.find(tenantId, connector)?.name ?? connector) : null;
  const set = (names: string[]): string[] => names.filter((one) => settings[one] !== undefined);
  const unset = Object.fromEntries(
    Object.keys({ ...conditions, ...exceptions, ...actions, ...properties }).map((one) => [one, null]),
  );
  return {
    Identity: name,
    Name: name,
    Guid: guid,
    ImmutableId: guid,
    DistinguishedName: distinguishedName(name, "TransportVersioned,CN=Rules", tenantId),
    Priority: priority,
    State: enabled ? "Enabled" : "Disabled",
    Mode: mode,
    RuleVersion: "14.0.0.0",
    ManuallyModified: false,
    Conditions: set(Object.keys(conditions)).map((one) => `Microsoft.Exchange.MessagingPolicies.Rules.Tasks.${one}Predicate`),
    Exceptions: set(Object.keys(exceptions)).map(
      (one) => `Microsoft.Exchange.MessagingPolicies.Rules.Tasks.${one.replace("ExceptIf", "")}Predicate`,
    ),
    Actions: set(Object.keys(actions)).map((one) => `Microsoft.Exchange.MessagingPolicies.Rules.Tasks.${one}Action`),
    ...unset,
    RuleErrorAction: "Ignore",
    RuleSubType: "None",
    SenderAddressLocation: "Header",
    StopRuleProcessing: false,
    DeleteMessage: false,
    ...settings,
    RouteMessageOutboundConnector: route,
    IsValid: true,
    ObjectState: "Unchanged",
    WhenCreated: whenCreated,
    WhenChanged: whenChanged,
    LastModifiedBy: lastModifiedBy ?? null,
  };
}

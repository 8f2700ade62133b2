/** What our transport rules have in common: ownership by marker, relative order, one way to observe, write and remove. */
import { adoptable, type Marked, type TakenOver } from "../resources/adoptable.ts";
import { kept } from "../resources/kept.ts";
import { observing } from "../resources/observing.ts";
import { changesBetween, only } from "../resources/property-changes.ts";
import { done, type Owner, type Resource } from "../resources/resource.ts";
import { canonicalFlag } from "./canonical.ts";
import type { Exchange } from "./client.ts";
import type { CmdletParameters, TransportRuleObject } from "./cmdlets.ts";
import { carries, markedComment, markerOf, ownAmong } from "./ownership.ts";
import { addedTo, type RuleProperty, withoutAdditions } from "./rule-properties.ts";
import { type RuleKind, ruleKinds } from "./rule-kinds.ts";

/** How many rules of ours an organisation may have. */
export const MOST_OF_OURS = ruleKinds.length;

export interface RuleDesired extends TakenOver {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
}

/** What every rule of ours says, beside its own conditions and actions. */
export interface RuleSettings {
  name: string;
  enabled: boolean;
  mode: string;
  /** Whether a message on which the rule fails goes on without it, or waits. */
  ruleErrorAction: "Ignore" | "Defer";
  stopRuleProcessing: boolean;
  /** Whether it stands above and below our other rules as it should. */
  order: "kept" | "broken";
}

type RuleParameters = Omit<CmdletParameters["Set-TransportRule"], "Identity">;

/** Conditions, exceptions and actions that somebody added to a rule of ours, by name: there should be none. */
interface Added {
  addedByOthers: Record<string, unknown>;
}

export interface RuleDefinition<Desired extends RuleDesired, Settings extends RuleSettings> {
  kind: RuleKind;
  name: string;
  /** Its conditions, exceptions and actions; any other is somebody's addition. */
  own: readonly RuleProperty[];
  /** Throws when the rule must not be written like this. */
  check(desired: Desired): void;
  settings(desired: Desired): Settings;
  /** The rule's own properties in canonical form; the common ones are added. */
  canonical(rule: TransportRuleObject, desired: Desired): Promise<Omit<Settings, keyof RuleSettings>>;
  /** For those settings that are given; secrets are resolved here, at the last moment. */
  parameters(settings: Partial<Settings>, desired: Desired): Promise<RuleParameters>;
}

export type RuleActual<Settings> = Settings & Added & Marked & { guid: string };

export function transportRule<Desired extends RuleDesired, Settings extends RuleSettings>(
  exchange: Exchange,
  definition: RuleDefinition<Desired, Settings>,
): Resource<Desired, RuleActual<Settings>> {
  const { kind, name } = definition;
  const wanted = (desired: Desired): Settings & Added => ({ ...definition.settings(desired), addedByOthers: {} });

  async function find({
    owner,
    organization,
    adopting,
    found,
  }: Desired): Promise<{ own: TransportRuleObject | undefined; ours: Ours }> {
    const rules = await exchange.list(organization, "Get-TransportRule", {});
    return {
      own: ownAmong(
        rules,
        { name: kept({ found }, "name", name), marker: markerOf(owner, kind), what: "transport rule", adopting },
        ({ Comments }) => Comments,
      ),
      ours: rankedRules(rules, owner),
    };
  }

  const resource: Resource<Desired, RuleActual<Settings>> = {
    kind,
    observe: (desired) =>
      observing(async () => {
        const { own, ours } = await find(desired);
        if (!own) return undefined;
        const common: RuleSettings & Added = {
          name: own.Name,
          enabled: own.State === "Enabled",
          mode: own.Mode ?? "Enforce",
          ruleErrorAction: own.RuleErrorAction === "Defer" ? "Defer" : "Ignore",
          stopRuleProcessing: canonicalFlag(own.StopRuleProcessing),
          order: placeOf(kind, ours) === undefined ? "kept" : "broken",
          addedByOthers: addedTo(own, definition.own),
        };
        const unmarked = !carries(own.Comments, markerOf(desired.owner, kind));
        const shown = { guid: own.Guid, ...common, ...(await definition.canonical(own, desired)), ...(unmarked && { unmarked }) };
        return shown as unknown as RuleActual<Settings>;
      }),
    diff: (desired, actual) => changesBetween(wanted(desired), actual),
    async create(desired) {
      definition.check(desired);
      const { ours } = await find(desired);
      const parameters = await definition.parameters(definition.settings(desired), desired);
      await exchange.run(desired.organization, "New-TransportRule", {
        ...withoutClearing(parameters),
        ...commonParameters(definition.settings(desired)),
        Name: kept(desired, "name", name),
        Comments: markerOf(desired.owner, kind),
        Priority: placeOfNew(kind, ours),
        Enabled: true,
      });
      return done;
    },
    async update(desired, changes, { guid, addedByOthers }) {
      definition.check(desired);
      const changed = only(definition.settings(desired), changes);
      const additions = changes.find(({ path }) => path === "addedByOthers");
      const { organization } = desired;
      const { enabled, ...others } = changed;
      if (additions || Object.keys(others).length > 0) {
        const place = changed.order === undefined ? undefined : placeOf(kind, (await find(desired)).ours);
        await exchange.run(organization, "Set-TransportRule", {
          Identity: guid,
          ...(await definition.parameters(changed, desired)),
          ...commonParameters(changed),
          ...(additions && (withoutAdditions(addedByOthers, additions.to as Added["addedByOthers"]) as RuleParameters)),
          Priority: place,
        });
      }
      // Last, so that a rule never works with half of its conditions.
      if (enabled !== undefined)
        await exchange.run(organization, enabled ? "Enable-TransportRule" : "Disable-TransportRule", { Identity: guid });
      return done;
    },
    async remove(desired) {
      const { own } = await find(desired);
      if (own) await exchange.run(desired.organization, "Remove-TransportRule", { Identity: own.Guid });
      return done;
    },
  };
  return adoptable(resource, async (desired, { guid }) => {
    const { own } = await find(desired);
    const Comments = markedComment(own?.Comments, markerOf(desired.owner, kind));
    await exchange.run(desired.organization, "Set-TransportRule", { Identity: guid, Comments });
    return done;
  });
}

/** Priorities (0 is the top) of our rules that exist. */
export type Ours = Partial<Record<RuleKind, number>>;

const rankedRules = (rules: TransportRuleObject[], owner: Owner): Ours =>
  Object.fromEntries(
    ruleKinds.flatMap((kind) => {
      const rule = rules.find(({ Comments }) => carries(Comments, markerOf(owner, kind)));
      return rule ? [[kind, rule.Priority]] : [];
    }),
  );

const prioritiesOf = (kinds: readonly RuleKind[], ours: Ours): number[] =>
  kinds.flatMap((kind) => {
    const priority = ours[kind];
    return priority === undefined ? [] : [priority];
  });

const neighbours = (kind: RuleKind, ours: Ours): { above: number[]; below: number[] } => {
  const rank = ruleKinds.indexOf(kind);
  return { above: prioritiesOf(ruleKinds.slice(0, rank), ours), below: prioritiesOf(ruleKinds.slice(rank + 1), ours) };
};

/** Where a rule that doesn't exist yet is put in: Exchange shifts those from there on down. */
export function placeOfNew(kind: RuleKind, ours: Ours): number {
  // At the very top: a rule above that stops processing would let forged headers pass.
  if (kind === "guardRule") return 0;
  const { above, below } = neighbours(kind, ours);
  if (above.length > 0) return Math.max(...above) + 1;
  return below.length > 0 ? Math.min(...below) : 0;
}

/** Where an existing rule has to move, or undefined when it stands right. Moving takes it out first, so those below it move up by one. */
export function placeOf(kind: RuleKind, ours: Ours): number | undefined {
  const priority = ours[kind];
  if (priority === undefined) return undefined;
  const { above, below } = neighbours(kind, ours);
  const lowestAbove = Math.max(-1, ...above);
  if (priority < lowestAbove) return lowestAbove;
  const highestBelow = Math.min(Number.POSITIVE_INFINITY, ...below);
  return priority > highestBelow ? highestBelow : undefined;
}

const commonParameters = ({ name, mode, ruleErrorAction, stopRuleProcessing }: Partial<RuleSettings>) => ({
  Name: name,
  Mode: mode === undefined ? undefined : ("Enforce" as const),
  RuleErrorAction: ruleErrorAction,
  StopRuleProcessing: stopRuleProcessing,
});

/** A new rule has nothing to clear. */
const withoutClearing = (parameters: RuleParameters): Omit<CmdletParameters["New-TransportRule"], "Name"> =>
  Object.fromEntries(
    Object.entries(parameters).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0)),
  );

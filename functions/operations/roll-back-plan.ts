/**
 * In which order an operation is taken back, which is not the order in which it was done: first nobody's mail goes where it went because of
 * it, then, once that is proven, what mail needed, and machines last. What goes with a resource group is not taken away by itself.
 */
import { connectionKinds, forwardingKinds, goesWithItsGroup } from "../../shared/desired/removals.ts";
import type { BeforeImage } from "../../shared/resources/ensure.ts";

/** A step that has written something. */
export interface Written {
  step: string;
  image: Pick<BeforeImage, "kind" | "desired" | "before" | "changes">;
  /** By an earlier roll-back, which ended before its end. */
  undone?: boolean;
}

export interface RollBackPlan {
  /** Steps, in order: ways of mail into a gateway. */
  forwarding: string[];
  /** Whether mail of others than the probe mailbox went that way, so that it has to be proven that none does any more. */
  proof: boolean;
  /** Steps, in order: what such mail needed, and then everything else. */
  rest: string[];
  /** Ways of mail that the operation has taken away, and that come back once everything they need is there. */
  ways: string[];
  /** Steps whose objects go with a group that this operation has made. */
  withGroup: string[];
}

/** @param written in the order of the step graph */
export function rollBackPlan(written: Written[]): RollBackPlan {
  const isGroup = ({ image }: Written): boolean => image.kind === "resourceGroup" && image.before.state === "absent";
  const groups = new Set(written.filter(isGroup).map(({ image }) => groupOf(image)));
  const goes = ({ image }: Written): boolean =>
    goesWithItsGroup.some((kind) => kind === image.kind) &&
    image.before.state === "absent" &&
    groups.size > 0 &&
    (groupOf(image) === undefined || groups.has(groupOf(image)));
  const ways = written.filter(({ image }) => forwardingKinds.includes(image.kind));
  const opened = ways.filter(({ image }) => image.before.state === "absent" || widened(image)).toReversed();
  const closed = ways.filter((way) => !opened.includes(way)).toReversed();
  const others = written.filter((one) => !ways.includes(one) && !goes(one)).toReversed();
  const remaining = (some: Written[]): string[] => some.flatMap(({ step, undone }) => (undone ? [] : [step]));
  return {
    forwarding: remaining(sorted(opened, forwardingKinds)),
    // As long as nothing goes that mail needs, mail may be on its way.
    proof: others.length > 0 && opened.some(({ image }) => beyondProbes(image)),
    rest: remaining(sorted(others, connectionKinds)),
    ways: remaining(closed),
    withGroup: remaining(written.filter(goes)),
  };
}

const groupOf = ({ desired }: Pick<BeforeImage, "desired">): string | undefined =>
  (desired as { resourceGroup?: string }).resourceGroup;

interface Scoped {
  scope?: { mailboxes: string[] };
  probeMailbox?: string;
}

const scopeOf = ({ desired }: Pick<BeforeImage, "desired">): string[] => (desired as Scoped).scope?.mailboxes ?? [];

/** One that stood and was changed, rather than taken away: an image of a removal has no change to come. */
const widened = ({ changes }: Written["image"]): boolean => changes.length > 0;

/** The first scope of a rule for mailboxes is the probe mailbox alone. */
const beyondProbes = (image: Written["image"]): boolean =>
  image.before.state === "present" ||
  (image.kind !== "forwardingRule" && image.kind !== "incomingForwardingRule") ||
  scopeOf(image).length > 1;

/** Kinds that the list doesn't have come last; within a kind, and among those, the order stays. */
const sorted = (written: Written[], kinds: readonly string[]): Written[] => {
  const rank = ({ image }: Written): number => {
    const found = kinds.indexOf(image.kind);
    return found < 0 ? kinds.length : found;
  };
  return written.toSorted((one, other) => rank(one) - rank(other));
};

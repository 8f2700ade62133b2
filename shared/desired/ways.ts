/**
 * Which ways of mail the pilot has had: when its spec no longer has one of them, the rules of that way go (mission C5). What is opened is
 * kept before it is, so that nothing is forgotten that an onboarding made before it ended early. Pure.
 */
import type { Resources } from "../resources/index.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { TenantSpec } from "../tenants/spec.ts";

export interface Ways {
  /** Mail to the pilot, too. */
  incoming: boolean;
  groups: boolean;
}

export type ForwardingKind = Extract<keyof Resources, `${string}orwardingRule`>;

export const waysOf = ({ pilot }: Pick<TenantSpec, "pilot">): Ways => ({
  incoming: pilot.incoming === true,
  groups: pilot.groups !== undefined,
});

/** With those that any spec since the last onboarding had. */
export function waysOpened({ spec, facts }: Pick<TenantRecord, "spec" | "facts">): Ways {
  const { incoming, groups } = waysOf(spec);
  const before = facts["ways"] as Ways | undefined;
  return { incoming: incoming || before?.incoming === true, groups: groups || before?.groups === true };
}

/** Rules that have to go, the widest first. */
export function closedWays(tenant: Pick<TenantRecord, "spec" | "facts" | "stage">): ForwardingKind[] {
  const [wanted, opened] = [waysOf(tenant.spec), waysOpened(tenant)];
  const incoming = opened.incoming && !wanted.incoming;
  const groups = opened.groups && !wanted.groups;
  return [
    ...(incoming && tenant.stage === "live" ? (["incomingDomainForwardingRule"] as const) : []),
    ...((incoming && opened.groups) || (groups && opened.incoming) ? (["incomingGroupForwardingRule"] as const) : []),
    ...(groups ? (["groupForwardingRule"] as const) : []),
    ...(incoming ? (["incomingForwardingRule"] as const) : []),
  ];
}

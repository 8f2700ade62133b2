/** Mission D6: how much our application may do in Exchange Online, against what it needs; what is too much is given back. */
import type { Condition } from "../../shared/api/tenant.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { type CmdletDifference, differenceFrom, expectedCmdlets } from "../../shared/exchange/management-roles.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { audited } from "../../shared/resources/audited-step.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { OnboardingWorld } from "./world.ts";

/** `limited`: as expected. `administratorRemains`: a person has to take the Entra role away. `restored`: the role group did not do. */
export type PrivilegeOutcome = "limited" | "administratorRemains" | "tooMuch" | "tooLittle" | "restored";

/** As an operation's result shows it. */
export interface Privilege extends CmdletDifference {
  outcome: PrivilegeOutcome;
  /** How many cmdlets our application needs. */
  expected: number;
}

export type PrivilegeActivities = ReturnType<typeof createPrivilegeActivities>;

interface Step {
  work: Work;
  spec: TenantSpec;
}

const STEP = "leastPrivilege";
const administratorRole = { kind: "entraRole", name: "Exchange Administrator" };

export const createPrivilegeActivities = ({ ownAccess, ownRights, stores }: OnboardingWorld) => {
  const { tenants } = stores;
  const recorded = recordingSteps(stores);
  const principalIn = async ({ microsoft365 }: TenantSpec): Promise<[string, string]> => {
    const { objectId } = await ownAccess.ourselves(microsoft365.tenantId);
    return [microsoft365.tenantId, objectId];
  };

  return {
    /** The list of cmdlets that Exchange says we may run, against those that we run. */
    comparePrivilege: ({ spec }: Step): Promise<CmdletDifference> => comparePrivilege(ownAccess, spec),

    /** Never before our role group was read back. */
    dropAdministrator: ({ work, spec }: Step): Promise<"gone" | "refused"> =>
      recorded(work, STEP, async (begin) => {
        await begin({ action: "remove", target: administratorRole });
        return { result: await ownRights.dropExchangeAdministrator(...(await principalIn(spec))), running: true };
      }),

    /**
     * What was tried without the role did not come to be in time: back to where it worked. Nobody asks whether the operation still goes on:
     * cancelling it must not leave our application without either.
     */
    restoreAdministrator: ({ operation, spec }: { operation: Work; spec: TenantSpec }): Promise<void> =>
      audited(stores.audit, operation, { action: "create", target: administratorRole }, async () =>
        ownRights.restoreExchangeAdministrator(...(await principalIn(spec))),
      ),

    /** Says what came of it; the permission to take roles away goes once nothing is left to take. */
    settlePrivilege: ({ work, spec, ...found }: Step & CmdletDifference & { outcome: PrivilegeOutcome }): Promise<Privilege> =>
      recorded(work, STEP, async () => {
        const done = found.outcome === "limited" || found.outcome === "tooMuch";
        const gaveUp = done && (await ownRights.giveUpRoleManagement(...(await principalIn(spec))));
        const privilege = { ...found, expected: expectedCmdlets().length };
        await tenants.setConditions(work.partnerId, work.tenantId, [privilegeCondition(privilege)]);
        return { result: privilege, change: gaveUp ? "updated" : "unchanged" };
      }),
  };
};

export const comparePrivilege = async (
  ownAccess: OnboardingWorld["ownAccess"],
  { microsoft365 }: TenantSpec,
): Promise<CmdletDifference> => differenceFrom(expectedCmdlets(), await ownAccess.allowedCmdlets(microsoft365.tenantId));

/** Exchange Administrator brings some hundreds of cmdlets. */
const MOST_NAMES = 10;
const named = (cmdlets: string[]): string =>
  cmdlets.length <= MOST_NAMES
    ? cmdlets.join(", ")
    : `${cmdlets.slice(0, MOST_NAMES).join(", ")} and ${cmdlets.length - MOST_NAMES} more`;

const messages: Record<PrivilegeOutcome, (privilege: Privilege) => string> = {
  limited: ({ expected }) => `our application may run the ${expected} cmdlets of Exchange Online that it needs, and no others`,
  administratorRemains: ({ excess }) =>
    `our application still has the Entra role Exchange Administrator beside its role group; an administrator can take it away now (Entra admin centre, Roles and administrators); too much: ${named(excess)}`,
  tooMuch: ({ excess }) => `our application may run more in Exchange Online than it needs: ${named(excess)}`,
  tooLittle: ({ missing }) => `our application's role group in Exchange Online does not let it run ${named(missing)}`,
  restored: ({ missing }) =>
    `without the Entra role Exchange Administrator our application could not run ${named(missing)} in time, so it has the role again; onboard again later`,
};

/** From names alone, where nothing was tried. */
export const outcomeOf = ({ missing, excess }: CmdletDifference): PrivilegeOutcome =>
  missing.length > 0 ? "tooLittle" : excess.length > 0 ? "tooMuch" : "limited";

export const privilegeCondition = (privilege: Privilege): Omit<Condition, "since"> => ({
  type: "LeastPrivilege",
  status: privilege.outcome === "limited" ? "True" : "False",
  reason: privilege.outcome.charAt(0).toUpperCase() + privilege.outcome.slice(1),
  message: messages[privilege.outcome](privilege),
});

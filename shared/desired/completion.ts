/**
 * An onboarding over an installation that a person made: what of it stays until the gateway is proven, and what can't be made whole without
 * moving mail that runs. Pure.
 */
import { refusal } from "../api/error-codes.ts";
import type { Finding } from "../api/plan.ts";
import { ruleConditions } from "../exchange/rule-properties.ts";
import type { Found } from "../resources/adoptable.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import { type Adopted, adoptedOf } from "./adopted.ts";

/** What an onboarding has to know of it. */
export interface Completion {
  /** Everybody's mail runs through the gateway already. */
  live: boolean;
  /** The person's forwarding rule as it is to be until the loop is proven: as it was found, and with the probe mailbox in its scope. */
  forwarding: Found;
}

type Tenant = Pick<TenantRecord, "id" | "spec" | "stage" | "facts">;

/** Undefined for a tenant that nobody made by hand, and for one that is whole by now. */
export function completionOf(tenant: Tenant): Completion | undefined {
  const adopted = adoptedOf(tenant);
  if (!adopted) return undefined;
  const forwarding = forwardingIn(adopted);
  const { probeMailbox } = tenant.spec.microsoft365;
  const { scope } = forwarding;
  // Whoever is not named is everybody: the probe mailbox, too.
  const named = scope.length === 0 ? [] : [...new Set([...scope, probeMailbox.toLowerCase()])].toSorted();
  return { live: tenant.stage === "live", forwarding: { ...forwarding, scope: named } };
}

/** What was found of it, in the forwarding rule's own words. */
interface FoundForwarding extends Found {
  scope: string[];
  exceptLoopHeader?: string | null;
  loopGuid?: unknown;
  addedByOthers?: Record<string, unknown>;
}

const forwardingIn = ({ found }: Pick<Adopted, "found">): FoundForwarding => {
  const { scope, ...others } = found["forwardingRule"] ?? {};
  return { ...others, scope: (scope as string[] | undefined) ?? [] };
};

/** Throws TenantAdopted. */
export function refuseIncompletable(tenant: Tenant): void {
  const findings = incompletable(tenant);
  if (findings.length === 0) return;
  throw refusal(
    "TenantAdopted",
    `a person made what stands of tenant ${tenant.id}, and it can't be made whole yet: ${findings.map(({ message }) => message).join("; ")}`,
    { details: findings.map(({ code, message, remedy }) => ({ code, message: `${message}; ${remedy}` })) },
  );
}

/** Why an onboarding can't make it whole; nothing where it can, or where nobody made anything by hand. */
export function incompletable(tenant: Tenant): Finding[] {
  if (tenant.facts["adopting"] !== undefined)
    return [
      error(
        "AdoptionUnfinished",
        "it was not taken over to its end",
        `POST /api/tenants/${tenant.id}/adopt goes on from there; then onboard`,
      ),
    ];
  const adopted = adoptedOf(tenant);
  if (!adopted) return [];
  return [...beyondWhatStands(tenant.spec), ...ofForwarding(forwardingIn(adopted), tenant.stage === "live")];
}

/** It grows when it is whole. */
function beyondWhatStands({ gateway: { regions, certificate } }: TenantRecord["spec"]): Finding[] {
  const several = regions.length > 1 || regions.some(({ machines }) => machines > 1);
  return [
    ...(several
      ? [
          error(
            "SeveralMachines",
            "the spec names several machines, and one stands",
            "onboard with one machine first, then with more",
          ),
        ]
      : []),
    ...(certificate
      ? [
          error(
            "CertificateNotAdoptable",
            "the spec names a certificate, and the vault that it would be in is not there yet",
            "onboard without gateway.certificate first, then with it",
          ),
        ]
      : []),
  ];
}

function ofForwarding({ scope, exceptLoopHeader, loopGuid, addedByOthers = {} }: FoundForwarding, live: boolean): Finding[] {
  const conditions: readonly string[] = ruleConditions;
  const limited = Object.keys(addedByOthers).filter((name) => conditions.includes(name));
  const known = typeof loopGuid === "object" && loopGuid !== null && !Array.isArray(loopGuid);
  const again = "then POST …/adopt again, and onboard";
  return [
    ...(!live && (scope.length === 0 || limited.length > 0)
      ? [
          error(
            "ForwardingRuleLimited",
            `the person's forwarding rule is limited by ${[...limited, ...(scope.length > 0 ? ["From"] : [])].join(", ")}, so that no probe mail could be put beside its mail`,
            `name the senders by their addresses (From) and by nothing else, ${again}`,
          ),
        ]
      : []),
    ...(exceptLoopHeader !== undefined
      ? [
          error(
            "LoopHeaderDiffers",
            `the person's forwarding rule looks for another loop header (${exceptLoopHeader ?? "none"}): while it changed, mail would go round and round`,
            `use the manual's header (chapter 4.5.1), ${again}`,
          ),
        ]
      : []),
    ...(known
      ? []
      : [
          error(
            "LoopGuidUnknown",
            "the person's forwarding rule has no loop GUID, or several: which one is the gateway's is not known",
            `leave the one of configuration.xml on the machine, ${again}`,
          ),
        ]),
  ];
}

const error = (code: string, message: string, remedy: string): Finding => ({ code, severity: "error", message, remedy });

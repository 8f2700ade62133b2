/** What surrounds a tenant's mail flow in its organisation: told before an onboarding by a plan, and kept on the tenant after it. */
import type { Condition } from "../api/tenant.ts";
import type { Check, Finding } from "../api/plan.ts";
import { egressIps, type Ground, home, LOOP_HEADER, organization, outboundConnectorName } from "../desired/state.ts";
import { targetOf } from "../desired/target.ts";
import { adoptedOf } from "../desired/adopted.ts";
import { interactionFindings } from "../exchange/findings/interactions.ts";
import { senderChecks } from "../exchange/findings/senders.ts";
import { type MailFlow, surroundingsOf } from "../exchange/findings/surroundings.ts";
import type { Remembered } from "../exchange/remembered.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { RunbookWorld } from "./world.ts";

export interface LookAround {
  /** Mission C10: what would stop an onboarding halfway. */
  checks: Check[];
  /** What meets our mail flow and isn't ours to change. */
  findings: Finding[];
  remembered: Remembered;
}

/** Reads only, and never throws for what can't be read. */
export async function lookAround(
  { exchange, clock }: Pick<RunbookWorld, "exchange" | "clock">,
  tenant: TenantRecord,
): Promise<LookAround> {
  const flow = mailFlowOf(tenant);
  const { remembered, ...seen } = await surroundingsOf(exchange, flow);
  return { checks: senderChecks(seen, flow), findings: interactionFindings(seen, flow, clock.now()), remembered };
}

/** What a person made and we took over stands as well as what an onboarding left. */
export function mailFlowOf(tenant: TenantRecord): MailFlow {
  const target = targetOf(tenant);
  const ground = tenant.facts["ground"] as Ground | undefined;
  const adopted = adoptedOf(tenant);
  const standing = ground ?? adopted;
  const { microsoft365, pilot, gateway, connectionFilter } = target.spec;
  return {
    owner: home(target).owner,
    organization: organization(target),
    loopHeader: LOOP_HEADER,
    outboundConnector: outboundConnectorName(target),
    ...(target.otherCertificate?.state === "kept" && { keptName: target.otherCertificate.name }),
    egressIps: standing ? egressIps(standing) : [],
    senders: [...new Set([microsoft365.probeMailbox, ...pilot.addresses])],
    domains: microsoft365.domains,
    connectionFilter,
    // A person need not have put the address there.
    onboarded: ground !== undefined || (adopted !== undefined && Object.hasOwn(adopted.found, "connectionFilter")),
    exchangeWebServices: gateway.exchangeWebServices && {
      applicationId: ground?.applications?.exchangeWebServices?.appId,
    },
  };
}

/** Informations disturb nobody; the first of the others is the reason, and all are in the message. */
export function undisturbed(findings: Finding[]): Omit<Condition, "since"> {
  const type = "MailFlowUndisturbed";
  const disturbing = findings.filter(({ severity }) => severity !== "information");
  const [first] = [...disturbing.filter(({ severity }) => severity === "error"), ...disturbing];
  if (first)
    return {
      type,
      status: "False",
      reason: first.code,
      message: disturbing.map(({ code, message, remedy }) => `${code}: ${message}; ${remedy}`).join(" · "),
    };
  const unread = findings.find(({ code }) => code === "MailFlowNotRead");
  if (unread) return { type, status: "Unknown", reason: unread.code, message: unread.message };
  return { type, status: "True", reason: "NothingFound", message: "nothing in the organisation disturbs the mail flow" };
}

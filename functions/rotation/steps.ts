/** The step graph of a rotation, known before it starts. */
import type { Branch } from "../../shared/api/operation.ts";
import { machineTitles } from "../../shared/desired/machines.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import { markedRules } from "../../shared/desired/marked-rules.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { RotationRequest } from "./rotations.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });

export const rotationSteps = (spec: { gateway: Pick<TenantSpec["gateway"], "regions"> }) => [
  step("directory", "createSecret", "New client secret, straight into the vault"),
  step("directory", "testSecret", "Entra takes the new secret"),
  ...machineTitles(spec).flatMap(({ suffix, where }) => [
    step("gateway", `applyToGateway${suffix}`, ["The gateway holds the new secret", ...where].join(", ")),
    step("gateway", `verifyGateway${suffix}`, ["The gateway's own test says so", ...where].join(", ")),
  ]),
  step("proof", "verifySecret", "Entra still takes the new secret"),
  step("directory", "flip", "The new secret is the current one"),
  step("directory", "revoke", "The old secret is revoked, and dead"),
];

/** Of a password's. With `finish` only the old one is left to go. */
export const passwordSteps = (
  spec: { gateway: Pick<TenantSpec["gateway"], "regions"> },
  { finish = false }: Pick<RotationRequest, "finish">,
) => {
  const changed = [
    step("root", "createPassword", "New password, in the vault"),
    ...machineTitles(spec).flatMap(({ suffix, where }) => [
      step("gateway", `changeOnGateway${suffix}`, ["The account has the new password", ...where].join(", ")),
      step("gateway", `logOnToGateway${suffix}`, ["Windows lets it log on", ...where].join(", ")),
    ]),
    step("root", "flip", "The new password is the current one"),
  ];
  return [...(finish ? [] : changed), step("root", "revoke", "The old password is switched off in the vault")];
};

/** Of the certificate's: the new one comes into use in one operation, and the old one goes from the machines in another. */
export function certificateSteps(
  spec: { gateway: Pick<TenantSpec["gateway"], "regions"> },
  { finish = false, back = false }: Pick<RotationRequest, "finish" | "back">,
  { renaming = false, clears = false }: { renaming?: boolean; clears?: boolean } = {},
) {
  const machines = machineTitles(spec).flatMap(({ suffix, where, balanced }) => {
    const at = (title: string): string => [title, ...where].join(", ");
    return [
      ...(balanced ? [step("gateway", `leavesPool${suffix}`, at("Out of its load balancer"))] : []),
      step(
        "gateway",
        `applyToGateway${suffix}`,
        at(finish ? "The old certificate goes from the gateway" : "The gateway has the certificate"),
      ),
      step("gateway", `verifyGateway${suffix}`, at("The gateway's own test says so")),
      step("proof", `certificateShown${suffix}`, at("Seen from outside, by STARTTLS")),
      ...(balanced ? [step("gateway", `joinsPool${suffix}`, at("Behind its load balancer again"))] : []),
      ...(renaming ? [step("proof", `probeMail${suffix}`, at("A mail comes back by the other name"))] : []),
    ];
  });
  const accepted = [
    step("mailFlow", "secondConnector", "Inbound connector for the other name, beside the first"),
    step("mailFlow", "eitherName", "Outbound connector: either name"),
    step("proof", "acceptedEverywhere", "Everybody has had the time to hear of the other name"),
  ];
  const settled = [
    step("mailFlow", "onlyName", "Outbound connector: the name in use only"),
    step("mailFlow", "formerConnector", `Inbound connector for the former name ${clears ? "gone" : "disabled"}`),
  ];
  return [
    ...(finish || back ? [] : [step("root", "newCertificate", "New certificate in the vault")]),
    ...(renaming ? accepted : []),
    ...machines,
    ...(finish ? [] : [step("root", "flip", "It is the one in use")]),
    ...(renaming || clears ? settled : []),
  ];
}

/** Of the loop GUID's: the new one comes into use in one operation, and the old one goes in another, unless nothing may wait. */
export function loopGuidSteps(
  tenant: TenantRecord,
  { emergency = false, finish = false }: Pick<RotationRequest, "emergency" | "finish">,
) {
  const target = targetOf(tenant);
  // Only the rules' kinds are read here.
  const rules = markedRules(target, tenant.facts["ground"] as Ground, settledStage(tenant) === "live");
  const proof = tenant.stage === "bypassed" ? [] : [step("proof", "probeMail", "A mail comes back with the new loop GUID")];
  const replaced = [
    step("root", "createLoopGuid", "New loop GUID, in the vault"),
    ...rules.map(({ kind, title }) => step("mailFlow", `both-${kind}`, `${title}: accepts the old one and the new one`)),
    ...machineTitles(tenant.spec).flatMap(({ suffix, where }) => [
      step("gateway", `applyToGateway${suffix}`, ["The gateway writes the new loop GUID", ...where].join(", ")),
      step("gateway", `verifyGateway${suffix}`, ["The gateway's own test says so", ...where].join(", ")),
    ]),
    ...proof,
    step("root", "flip", "The new loop GUID is the current one"),
  ];
  const dropped = [
    ...rules.map(({ kind, title }) => step("mailFlow", `only-${kind}`, `${title}: accepts the new one only`)),
    step("root", "revoke", "The old loop GUID is switched off in the vault"),
  ];
  return [...(finish ? [] : replaced), ...(finish || emergency ? dropped : [])];
}

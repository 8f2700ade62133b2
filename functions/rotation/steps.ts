/** The step graph of a rotation, known before it starts. */
import type { Branch } from "../../shared/api/operation.ts";
import { machineTitles } from "../../shared/desired/machines.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

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

/** The step graph of a rotation, known before it starts. */
import type { Branch } from "../../shared/api/operation.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });

export const rotationSteps = [
  step("directory", "createSecret", "New client secret, straight into the vault"),
  step("directory", "testSecret", "Entra takes the new secret"),
  step("gateway", "applyToGateway", "The gateway holds the new secret"),
  step("gateway", "verifyGateway", "The gateway's own test says so"),
  step("proof", "verifySecret", "Entra still takes the new secret"),
  step("directory", "flip", "The new secret is the current one"),
  step("directory", "revoke", "The old secret is revoked, and dead"),
];

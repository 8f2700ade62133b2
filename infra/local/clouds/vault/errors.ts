/** Key Vault's errors: `{ error: { code, message, innererror } }` (Key Vault REST API reference, "Authentication, requests and responses"). */
import type { Claims, SimulatedResponse } from "../simulator.ts";

export const refused = (status: number, code: string, message: string, inner?: string): SimulatedResponse => ({
  status,
  body: { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } },
});

/** The challenge tells the client which tenant's token it needs, for which resource; clients send their first request without one. */
export function unauthorized(challenge: string, why: "missing" | "invalid" | "issuer"): SimulatedResponse {
  const message = {
    missing: "AKV10000: Request is missing a Bearer or PoP token.",
    invalid: "AKV10022: Invalid audience or signature, or the token expired.",
    issuer: "AKV10032: Invalid issuer.",
  }[why];
  return { ...refused(401, "Unauthorized", message), headers: { "www-authenticate": challenge } };
}

export const secretNotFound = (name: string): SimulatedResponse =>
  refused(
    404,
    "SecretNotFound",
    `A secret with (name/id) ${name} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
  );

export const certificateNotFound = (name: string): SimulatedResponse =>
  refused(
    404,
    "CertificateNotFound",
    `A certificate with (name/id) ${name} was not found in this key vault. If you recently deleted this certificate you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
  );

export const pendingNotFound = (name: string): SimulatedResponse =>
  refused(404, "PendingCertificateNotFound", `Pending certificate not found: ${name}`);

export const issuerNotFound = (name: string): SimulatedResponse =>
  refused(404, "CertificateIssuerNotFound", `The certificate issuer ${name} was not found in this key vault.`);

export const managedByCertificate = (name: string): SimulatedResponse =>
  forbidden("SecretManagedByKeyVault", `Operation is not allowed on the secret ${name}, which a certificate manages.`);

export const forbidden = (inner: string, message: string): SimulatedResponse => refused(403, "Forbidden", message, inner);

export function forbiddenByRole({
  claims,
  resource,
  vault,
  action,
}: {
  claims: Claims;
  resource: string;
  vault: string;
  action: string;
}): SimulatedResponse {
  const lines = [
    "Caller is not authorized to perform action on resource.",
    "If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
    `Caller: appid=${claims.appid ?? claims.azp ?? ""};oid=${claims.oid};iss=${claims.iss}`,
    `Action: '${action}'`,
    `Resource: '${resource}'`,
    "Assignment: (not found)",
    "DenyAssignmentId: null",
    "DecisionReason: null ",
    `Vault: ${vault}`,
    "",
  ];
  return forbidden("ForbiddenByRbac", lines.join("\r\n"));
}

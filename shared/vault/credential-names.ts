/** The credentials of a tenant that are rotated, and the secret in its vault that each of them is. */

/** The WebClient's, and that by which the gateways reach mailboxes. */
export const clientSecretNames = ["clientSecret", "exchangeWebServicesSecret"] as const;
export type ClientSecretName = (typeof clientSecretNames)[number];

/** Of accounts inside the machines, Windows' own and SQL Server's: an account has one, so that the old one is dead as soon as it has the new one. */
export const passwordNames = ["administratorPassword", "sqlAdministratorPassword"] as const;
export type PasswordName = (typeof passwordNames)[number];

/** Beside them the loop GUID, which is a secret too: who knows it can pass by the gateway; and the certificate that gateways show. */
export const credentialNames = [...clientSecretNames, "loopGuid", "smtpCertificate", ...passwordNames] as const;
export type CredentialName = (typeof credentialNames)[number];

export const secretNames: Record<CredentialName, string> = {
  clientSecret: "webclient-client-secret",
  exchangeWebServicesSecret: "ews-client-secret",
  loopGuid: "loop-guid",
  administratorPassword: "gateway-admin-password",
  sqlAdministratorPassword: "sql-administrator-password",
  smtpCertificate: "smtp-certificate",
};

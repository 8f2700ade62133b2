/** The credentials of a tenant that are rotated, and the secret in its vault that each of them is. */

/** The WebClient's, and that by which the gateways reach mailboxes. */
export const credentialNames = ["clientSecret", "exchangeWebServicesSecret"] as const;
export type CredentialName = (typeof credentialNames)[number];

export const secretNames: Record<CredentialName, string> = {
  clientSecret: "webclient-client-secret",
  exchangeWebServicesSecret: "ews-client-secret",
};

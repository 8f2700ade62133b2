/** Key Vault's own name for itself as an issuer of certificates: nobody else trusts what it signs. */
export const SELF = "Self";

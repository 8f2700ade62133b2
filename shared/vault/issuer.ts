/** What Key Vault calls itself as an issuer of certificates, and whoever it doesn't know. */

/** Nobody else trusts what the vault itself signs. */
export const SELF = "Self";
/** The vault makes a key and a request; somebody takes that elsewhere, and merges what came of it. */
export const NOBODY = "Unknown";

/** Where a secret is, instead of the secret: what travels through orchestrations, tables, messages and logs. */
export interface SecretReference {
  /** Base URL of the vault, for example `https://contoso-4f2a.vault.azure.net`. */
  vaultUrl: string;
  name: string;
  version: string;
}

/** Where a secret is, instead of the secret: what travels through orchestrations, tables, messages and logs. */
export interface SecretReference {
  /** Base URL of the vault, for example `https://contoso-4f2a.vault.azure.net`. */
  vaultUrl: string;
  name: string;
  version: string;
}

/** Of a secret that is in no vault: nothing was made yet, or a person made it elsewhere. */
export const IN_NO_VAULT: SecretReference = { vaultUrl: "https://never-made.invalid", name: "never-made", version: "0" };
export const isInVault = ({ vaultUrl }: SecretReference): boolean => vaultUrl !== IN_NO_VAULT.vaultUrl;

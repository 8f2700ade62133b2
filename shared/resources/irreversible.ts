/** What no roll-back brings back, and why: the one list, which docs/roll-back.md shows. */
import type { OperationKind } from "../api/operation.ts";

/** Kinds of operations that are not taken back, some of them from a point on. */
export const noWayBack = {
  adoption: "marks are all that it wrote, and they change nothing; adopt again, which goes on from there",
  onboarding:
    "the gateway stands and mail runs through it; put the spec back and onboard again, which moves mail before it takes anything away",
  rotation: "both secrets are good while it goes on, and the next look at the credential finishes it or makes another",
  renewal:
    "of a loop GUID both are accepted until the old one is dropped, of a password each machine has one that the vault has; asked for again it goes on where it ended",
  bypass: "a restore is the way back, which proves the gateway before anybody's mail goes there",
  restore: "a bypass is the way back, which proves that mails go round the gateway",
  repair: "what stood before was wrong; change the tenant's spec where it was not",
  smtpRestart: "the SMTP service runs again, and nothing else was changed",
  addressReplacement:
    "replace-address with back is the way back, which loses no mail, as long as the former address is held; before the swap nothing has moved: retry, or leave it",
  offboarding: "nothing brings that back; retry, or onboard again afterwards",
} as const satisfies Partial<Record<OperationKind, string>>;

/** Kinds of resources that stay, since nobody can take them back or our own rights don't reach them. */
export const stays: Readonly<Record<string, string>> = {
  marketplaceTerms: "the terms of the marketplace image are accepted for the whole subscription",
  tlsCertificate: "a certificate that was issued stays in its vault",
  roleGroup: "our rights don't reach our own role group: an administrator removes it",
  managementRole: "our rights don't reach our own roles: an administrator removes them",
  exchangePrincipal: "our rights don't reach our own service principal: an administrator removes it",
};

/** What remains of an operation that was taken back whole. */
export const remains = {
  vault: "the vault, deleted and recoverable for 30 days, after which Azure forgets it",
  applications: "the applications, deleted and recoverable for 30 days in the organisation's Entra directory",
  probeMails: "probe mails in the probe mailbox",
  consent: "the consent that the customer's administrator gave",
} as const;

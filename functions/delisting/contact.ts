/** Whom a list may write to: the postmaster of a domain of the customer's own, since lists don't write to free mailboxes. */

/** The first own domain's; where there is none, the first one's. */
export const contactOf = (domains: readonly string[]): string => {
  const domain = domains.find((one) => !shared(one)) ?? domains[0] ?? "";
  return `postmaster@${domain}`;
};

export const freeMail = (contact: string): boolean => shared(contact.split("@")[1] ?? "");

/** Domains in which anybody has a mailbox, and those that Microsoft lends. */
const shared = (domain: string): boolean =>
  domain === "" ||
  domain.endsWith(".onmicrosoft.com") ||
  /^(gmail|googlemail|outlook|hotmail|live|yahoo|gmx|web|aol|icloud|proton|mail)\.[a-z.]+$/.test(domain);

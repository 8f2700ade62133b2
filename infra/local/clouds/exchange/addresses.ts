/** Exchange Online's own addresses on the mail internet, modelled from one of its published ranges. */

/** Part of `40.92.0.0/15 … 52.100.0.0/14` in Microsoft's list of endpoints (Exchange Online, SMTP). */
export const EXCHANGE_ONLINE_RANGE = "52.100.0.0/24";
/** Where every organisation's MX host points. */
export const FRONT_END_ADDRESS = "52.100.0.10";
/** Where Exchange Online's outgoing connections come from. */
export const OUTBOUND_ADDRESS = "52.100.0.20";
export const OUTBOUND_NAME = "mail-westeurope.outbound.protection.outlook.com";
export const MX_SUFFIX = "mail.protection.outlook.com";

/** `contoso.example` → `contoso-example.mail.protection.outlook.com` (the record value that Graph shows for the domain). */
export const mxHostOf = (domain: string): string => `${domain.replaceAll(".", "-")}.${MX_SUFFIX}`;

export const exchangeOnlineAddress = (address: string): boolean => address.startsWith("52.100.0.");

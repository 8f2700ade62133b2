/** A customer's organisation as Microsoft Graph shows it: its domains and where their mail is taken in. */
import * as z from "zod";
import { type Graph, segment } from "./client.ts";

export interface Organizations {
  /** Names of the domains that are verified there, lower case. */
  verifiedDomains(organization: string): Promise<string[]>;
  /** The MX host that Microsoft 365 wants for the domain: the gateway's smart host. Undefined when the domain takes no mail there. */
  mailExchangerOf(organization: string, domain: string): Promise<MailExchanger | undefined>;
}

export interface MailExchanger {
  host: string;
  preference: number;
}

const domainSchema = z.looseObject({ id: z.string(), isVerified: z.boolean() });
const recordSchema = z.looseObject({
  "@odata.type": z.string().optional(),
  mailExchange: z.string().nullish(),
  preference: z.number().nullish(),
});

export const createOrganizations = (graph: Graph): Organizations => ({
  async verifiedDomains(organization) {
    const domains = await graph.list(organization, "/domains?$select=id,isVerified", domainSchema);
    return domains.filter(({ isVerified }) => isVerified).map(({ id }) => id.toLowerCase());
  },
  // Never computed from the domain's name: with DNSSEC the host is another one.
  async mailExchangerOf(organization, domain) {
    const records = await graph.list(organization, `/domains/${segment(domain)}/serviceConfigurationRecords`, recordSchema);
    const [best] = records
      .flatMap(({ "@odata.type": type, mailExchange, preference }) =>
        type === "#microsoft.graph.domainDnsMxRecord" && mailExchange
          ? [{ host: mailExchange.toLowerCase().replace(/\.$/, ""), preference: preference ?? 0 }]
          : [],
      )
      .sort((one, other) => one.preference - other.preference);
    return best;
  },
});

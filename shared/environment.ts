/** A cloud environment says where the clouds are. It is data: public, US Government and China are built in, any other comes from settings. */
import * as z from "zod";

const https = z.url({ protocol: /^https$/ }).transform((url) => url.replace(/\/$/, ""));

export const cloudEnvironmentSchema = z.strictObject({
  name: z.string(),
  /** Entra's authority, for example `https://login.microsoftonline.com`. */
  authorityHost: https,
  /** Whether MSAL may ask Microsoft's public directory whether the authority is genuine; false outside Microsoft's clouds. */
  instanceDiscovery: z.boolean(),
  /** `refill`: how many times as fast as Azure's its token buckets fill; 1 where it is Azure. */
  resourceManager: z.strictObject({ endpoint: https, audience: https, refill: z.number().positive().default(1) }),
  graph: z.strictObject({ endpoint: https, audience: https }),
  /** `spfHost`: the host whose SPF record lists the addresses that Exchange Online sends from. */
  exchange: z.strictObject({ endpoint: https, audience: https, spfHost: z.string() }),
  /** `{name}` in the URL stands for the vault's name. `verifyChallenge`: the vault's host must match the challenge's resource. */
  vault: z.strictObject({ url: https, audience: https, verifyChallenge: z.boolean() }),
  /** Audience of the managed identity's token that stands for our application's credential. */
  tokenExchangeAudience: z.string(),
  /** Suffix of public DNS labels, for example `cloudapp.azure.com`: `{label}.{region}.{suffix}`. */
  publicDnsSuffix: z.string(),
  /** `address[:port]` of the resolvers to ask; empty for the system's own. */
  dnsServers: z.array(z.string()),
  /** An HTTP proxy that may dial port 25, which Azure closes for its own functions; without one it is dialled directly. */
  smtpProxy: z.url({ protocol: /^https?$/ }).optional(),
  /** Port of the servers that domains are delegated to: 53 wherever the internet is. */
  nameServerPort: z.int().min(1).max(65_535).optional(),
  /** Where partners' webhooks may lead besides public addresses and port 443; left out, nowhere else. */
  webhookTargets: z
    .strictObject({
      ports: z.array(z.int().min(1).max(65_535)).min(1),
      /** CIDR ranges, such as those of a private network that partners share. */
      allowedRanges: z.array(z.union([z.cidrv4(), z.cidrv6()])),
    })
    .optional(),
});

export type CloudEnvironment = z.output<typeof cloudEnvironmentSchema>;

const usGovernment: CloudEnvironment = {
  name: "AzureUSGovernment",
  authorityHost: "https://login.microsoftonline.us",
  instanceDiscovery: true,
  resourceManager: {
    endpoint: "https://management.usgovcloudapi.net",
    audience: "https://management.usgovcloudapi.net",
    refill: 1,
  },
  graph: { endpoint: "https://graph.microsoft.us", audience: "https://graph.microsoft.us" },
  exchange: {
    endpoint: "https://outlook.office365.us",
    audience: "https://outlook.office365.us",
    spfHost: "spf.protection.office365.us",
  },
  vault: { url: "https://{name}.vault.usgovcloudapi.net", audience: "https://vault.usgovcloudapi.net", verifyChallenge: true },
  tokenExchangeAudience: "api://AzureADTokenExchangeUSGov",
  publicDnsSuffix: "cloudapp.usgovcloudapi.net",
  dnsServers: [],
};

/** Sources: Microsoft's "National clouds" pages for Entra, ARM and Graph; "Set up SPF to identify valid email sources" for the SPF hosts. */
export const cloudEnvironments: Record<string, CloudEnvironment> = {
  AzureCloud: {
    name: "AzureCloud",
    authorityHost: "https://login.microsoftonline.com",
    instanceDiscovery: true,
    resourceManager: { endpoint: "https://management.azure.com", audience: "https://management.azure.com", refill: 1 },
    graph: { endpoint: "https://graph.microsoft.com", audience: "https://graph.microsoft.com" },
    exchange: {
      endpoint: "https://outlook.office365.com",
      audience: "https://outlook.office365.com",
      spfHost: "spf.protection.outlook.com",
    },
    vault: { url: "https://{name}.vault.azure.net", audience: "https://vault.azure.net", verifyChallenge: true },
    tokenExchangeAudience: "api://AzureADTokenExchange",
    publicDnsSuffix: "cloudapp.azure.com",
    dnsServers: [],
  },
  AzureUSGovernment: usGovernment,
  /** The Department of Defense's Microsoft 365, beside the same Azure. */
  AzureUSGovernmentDoD: {
    ...usGovernment,
    name: "AzureUSGovernmentDoD",
    graph: { endpoint: "https://dod-graph.microsoft.us", audience: "https://dod-graph.microsoft.us" },
    exchange: {
      endpoint: "https://outlook-dod.office365.us",
      audience: "https://outlook-dod.office365.us",
      spfHost: "spf.protection.office365.us",
    },
  },
  AzureChinaCloud: {
    name: "AzureChinaCloud",
    authorityHost: "https://login.chinacloudapi.cn",
    instanceDiscovery: true,
    resourceManager: {
      endpoint: "https://management.chinacloudapi.cn",
      audience: "https://management.chinacloudapi.cn",
      refill: 1,
    },
    graph: { endpoint: "https://microsoftgraph.chinacloudapi.cn", audience: "https://microsoftgraph.chinacloudapi.cn" },
    exchange: {
      endpoint: "https://outlook.office365.cn",
      audience: "https://partner.outlook.cn",
      spfHost: "spf.protection.partner.outlook.cn",
    },
    vault: { url: "https://{name}.vault.azure.cn", audience: "https://vault.azure.cn", verifyChallenge: true },
    tokenExchangeAudience: "api://AzureADTokenExchangeChina",
    publicDnsSuffix: "cloudapp.chinacloudapi.cn",
    dnsServers: [],
  },
};

/** What a partner says about a tenant: the desired state of one customer's gateway and mail flow. */
import * as z from "zod";
import { zoneOf } from "./dns-zones.ts";
import { iqSuiteConflicts, iqSuiteSchema, passwordLifetime, windowsFile } from "./iq-suite.ts";

export const domainName = z
  .string()
  .max(253)
  .regex(
    /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/,
    "must be a lower-case domain name such as contoso.example",
  );
/** One of these domains, or a name below one. */
export const underOneOf = (domains: string[], name: string): boolean =>
  domains.some((domain) => name === domain || name.endsWith(`.${domain}`));

const mailAddress = z
  .email("must be a mail address such as pilot@contoso.example")
  .max(254)
  .transform((address) => address.toLowerCase());

const ipv4Range = z.union([z.ipv4(), z.cidrv4()], { error: "must be an IPv4 address or range such as 203.0.113.0/24" });
/** `0.0.0.0/0` has relatives: two halves of the internet are the internet. */
const WIDEST_PREFIX = 8;
const somewhereInParticular = (source: string): boolean => Number(source.split("/")[1] ?? 32) >= WIDEST_PREFIX;
const closedSource = ipv4Range.refine(somewhereInParticular, {
  error: "admits the whole internet or much of it; name the static addresses of your own company, such as 203.0.113.0/24",
});

/** Sources that may reach a service; without any, everybody may. */
const openService = z.strictObject({ sources: z.array(closedSource).min(1).max(100).optional() });

const RDP_NEEDS_SOURCES = "name at least one source for RDP, such as 203.0.113.0/24";

/** Mission A2: a service that is named is opened, with the manual's rule name, priority and port; one that is not named stays closed. */
export const servicesSchema = z.strictObject({
  smtp: openService.default({}),
  /** RDP's source is the own static company address (manual, chapter 2.1); from anywhere, or from nowhere in particular, is refused. */
  rdp: z
    .strictObject({ sources: z.array(closedSource, { error: RDP_NEEDS_SOURCES }).min(1, RDP_NEEDS_SOURCES).max(100) })
    .optional(),
  webClient: openService.optional(),
  keyManager: openService.optional(),
  iqSuite: openService.optional(),
  http: openService.optional(),
  https: openService.optional(),
});

/** What Azure admits in names of publishers, offers and plans. */
const marketplaceName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "must be letters, digits, dots, dashes and underscores");

const imageFields = z.strictObject({
  publisher: z.string().min(1),
  offer: z.string().min(1),
  sku: z.string().min(1),
  version: z.string().min(1),
});

/**
 * Mission A9 (manual, chapter 1): the machines' own SQL Server, or a server in Azure SQL with a database each for iQ.Suite and WebClient.
 * Only people and identities of Entra sign in there; the administrator is a group, so that nobody's leaving locks everybody out.
 */
export const databaseSchema = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ kind: z.literal("local") }),
    z.strictObject({
      kind: z.literal("azureSql"),
      administrator: z.strictObject({
        /** Object id of a group in the Entra tenant of the subscription. */
        entraGroupId: z.uuid("must be the object id of a group in Entra").transform((id) => id.toLowerCase()),
        /** The group's display name, which Azure SQL shows as its administrator. */
        name: z.string().trim().min(1).max(128),
      }),
      /** The same for both databases. From S2 on their files are on solid state disks ("DTU-based purchasing model overview"). */
      sku: z.enum(["Basic", "S0", "S1", "S2", "S3"]).default("S2"),
      /** Where backups are kept: also in the paired region, in three zones, or in one place. */
      backups: z.enum(["Geo", "Zone", "Local"]).default("Geo"),
    }),
  ],
  { error: 'must be { "kind": "local" } or { "kind": "azureSql", "administrator": … }' },
);

export const imageSchema = imageFields
  .extend({
    /** Mission A10: a marketplace image is bought by its plan, which a machine keeps for life. `product` is the offer. */
    plan: z.strictObject({ publisher: marketplaceName, product: marketplaceName, name: marketplaceName }).optional(),
    /** Accepts the publisher's terms for the whole subscription, in its owner's name: a decision of a person, so never the default. */
    acceptTerms: z.boolean().optional(),
  })
  .refine(({ plan, acceptTerms }) => plan !== undefined || acceptTerms !== true, {
    path: ["acceptTerms"],
    error: "names no plan whose terms could be accepted; give gateway.image.plan too",
  });

const windowsServer2022: z.output<typeof imageFields> = {
  publisher: "MicrosoftWindowsServer",
  offer: "WindowsServer",
  sku: "2022-datacenter-azure-edition",
  version: "latest",
};

const vmSize = z.string().regex(/^Standard_[A-Za-z0-9_]+$/, "must be a VM size such as Standard_D4as_v5");

/** Of a public zone in Azure DNS, in any subscription of the gateway's Entra tenant. */
const dnsZoneId = z
  .string()
  .max(400)
  .regex(
    /^\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[\w.()-]{0,89}[\w()-]\/providers\/Microsoft\.Network\/dnsZones\/[A-Za-z0-9.-]{4,253}$/i,
    "must be a DNS zone's resource id: /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/dnsZones/…",
  );

/** Mission B15: the certificate that the gateways show on port 25, in the tenant's own vault. */
export const certificateSchema = z.strictObject({
  /** What it is for, and what the SMTP servers then call themselves: one of the tenant's domains or a name below it. */
  name: domainName,
  /**
   * An issuer that is set up in the vault with an account of the customer's, such as DigiCert or GlobalSign; `Self` is the vault itself,
   * which Exchange Online does not trust. Without one, a person imports a certificate into the vault.
   */
  issuer: z
    .string()
    .regex(/^[0-9a-zA-Z-]{1,127}$/, "must be an issuer's name in Key Vault, such as DigiCert")
    .refine((issuer) => issuer !== "Unknown", "orders nothing; leave it out and import a certificate instead")
    .optional(),
  /** Instead of an issuer: the deployment's ACME server, which is shown by a TXT record in this zone that the name is the customer's. */
  acme: z.strictObject({ zone: dnsZoneId }).optional(),
  /** What Exchange Online asks of it: a public authority's and for the name, or a public authority's. */
  validation: z.enum(["DomainValidation", "CertificateValidation"]).default("DomainValidation"),
});

/** Mission A8: a machine of its own, beside the gateways in the home region. Its own network always reaches its port 8080. */
export const keyManagerSchema = z.strictObject({
  /** Without one, the cheapest size of the region that is large enough for a gateway. */
  size: vmSize.optional(),
  /** One of Microsoft's own: nothing is bought for it. */
  image: imageFields.default(windowsServer2022),
  /** A service that is named is opened; with `keyManager` named, the machine has a public address. */
  services: servicesSchema.pick({ keyManager: true, rdp: true }).default({}),
});

/** Mission D1 (manual, chapter 5.1): where people reach the WebClient beside the gateways' own names, and what it reads. */
export const webClientSchema = z.strictObject({
  urls: z
    .array(
      z
        .url({ protocol: /^https$/, error: "must be an https URL such as https://webclient.contoso.example/" })
        .max(256)
        .regex(/^[^?#]*\/$/, "must end with a slash, without query or fragment: so the product asks"),
    )
    .max(50)
    .optional(),
  /** People's pictures are exported too (NoExportUserThumbnails is off), which takes the permission User.Read.All. */
  thumbnails: z.boolean().optional(),
});

/**
 * Mission D3, B13: the gateways' way into mailboxes, until Exchange Online ends it on 1 April 2027. Into those of the direct members of a
 * mail-enabled group, or, said in so many words, into all.
 */
export const exchangeWebServicesSchema = z.discriminatedUnion(
  "access",
  [z.strictObject({ access: z.literal("group"), group: mailAddress }), z.strictObject({ access: z.literal("allMailboxes") })],
  { error: 'must be { "access": "group", "group": "…" } or { "access": "allMailboxes" }' },
);

/** Of a Log Analytics workspace, in any subscription of the gateway's Entra tenant. */
const workspaceId = z
  .string()
  .max(400)
  .regex(
    /^\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[\w.()-]{0,89}[\w()-]\/providers\/Microsoft\.OperationalInsights\/workspaces\/[A-Za-z0-9-]{4,63}$/i,
    "must be a Log Analytics workspace's resource id: /subscriptions/…/resourceGroups/…/providers/Microsoft.OperationalInsights/workspaces/…",
  );

const UCM_NEEDS_SOURCES = "name at least one source, such as 203.0.113.0/24: its pages are nobody else's";
const closedService = z.strictObject({
  sources: z.array(closedSource, { error: UCM_NEEDS_SOURCES }).min(1, UCM_NEEDS_SOURCES).max(100),
});

/** Mission E4 to E10: a server for itrezzo UCM in the home region. */
export const ucmSchema = z.strictObject({
  /** How many mailboxes it is to serve: its size follows from that. */
  mailboxes: z.int().min(1).max(1_000_000),
  /** The service account in the customer's directory; the machine knows it once it is a member of the domain. */
  serviceAccount: z
    .string()
    .regex(/^[A-Za-z0-9.-]{1,15}\\[^\\/"[\]:;|=,+*?<>@\p{Cc}]{1,64}$/u, "must be an account's name such as CONTOSO\\svc-ucm"),
  /** Addresses of the domain controllers. */
  controllers: z.array(z.ipv4()).min(1).max(20),
  /** Mission E1 to E3: where the service account's mailbox is. Without it nobody looks at the mailbox. */
  exchange: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("online"), mailbox: mailAddress }),
      z.strictObject({ kind: z.literal("onPremises"), version: z.enum(["2010", "later"]) }),
    ])
    .optional(),
  /** Mission E6: never open to anybody. `http` is the web administration. */
  services: z.strictObject({ http: closedService.optional(), rdp: closedService.optional() }).default({}),
});

/** Mission C6: the domains' SPF records list the gateways. Those in a zone that is named here are published; of others, a person is asked. */
export const spfSchema = z.strictObject({ zones: z.array(dnsZoneId).max(50).default([]) });

export const directorySpecSchema = z.strictObject({
  /** How many steps up, from group to group, a membership counts; 1 is direct membership. */
  depth: z.int().min(1).max(20).default(5),
  /** A document from which more are gone waits for a person. */
  largestLossInPercent: z.int().min(0).max(100).default(10),
  /** Where the gateways put it, each of which fetches it itself (mission B12); without it none does. */
  file: windowsFile.optional(),
});

/**
 * Mission F5: what becomes of mail when no gateway works. `failClosed`: it waits, as Exchange Online keeps it, until somebody bypasses them.
 * `failOpen`: it goes round them, unprocessed, and comes back by itself.
 */
export const outagePolicySchema = z.strictObject({
  mailFlow: z.enum(["failOpen", "failClosed"]),
  /** How long all of them have to be down. */
  afterInMinutes: z.int().min(0).max(1440).default(30),
  /** How long all of them have to be healthy again. */
  restoreAfterInMinutes: z.int().min(1).max(1440).default(30),
  /** With the last one of a day, mail stays round the gateways until a person leads it back. */
  bypassesADay: z.int().min(1).max(24).default(3),
});

/** Zones are three, an availability set has two or three fault domains: more machines in a region add little. */
const MOST_MACHINES = 8;
const MOST_REGIONS = 4;

export const tenantSpecSchema = z
  .strictObject({
    displayName: z.string().trim().min(1).max(120),
    microsoft365: z.strictObject({
      /** Entra tenant id of the customer's Microsoft 365 organisation. */
      tenantId: z.uuid(),
      /** Domains whose mail runs through the gateway; each must be verified in that organisation. The first one gives the smart host. */
      domains: z.array(domainName).min(1).max(50),
      /** The mailbox that proves the loop; nobody's mail moves before its mail came back. */
      probeMailbox: mailAddress,
      /**
       * Mission D6: after the proof our application goes on with a role group of its own, which lets it run what it runs and nothing else,
       * and without the Entra role Exchange Administrator.
       */
      leastPrivilege: z.boolean().optional(),
      webClient: webClientSchema.optional(),
      /** Mission D2: the application by which iQ.Suite's PowerShell acts for people who signed in to the WebClient. */
      powerShellApplication: z.boolean().optional(),
    }),
    pilot: z.strictObject({
      /** Whose mail moves first (manual, chapter 4.5.1: productive tenants start with one address). */
      addresses: z.array(mailAddress).max(50).default([]),
      /** Mail-enabled groups: who joins one joins the pilot, without another change. */
      groups: z.array(mailAddress).min(1).max(10).optional(),
      /** Mail to them runs through the gateway, too, not only mail from them. */
      incoming: z.boolean().optional(),
    }),
    /** A marked mail in each direction is part of the proof, traced where the permission for that is granted. */
    canary: z.boolean().optional(),
    /** Mail that is larger goes without the gateway; by default none does. Exchange Online's own limit is 150 MB. */
    forwarding: z.strictObject({ largestMessageInMegabytes: z.int().min(1).max(150) }).optional(),
    azure: z.strictObject({
      /** Entra tenant of the subscription: the partner's or the customer's. */
      tenantId: z.uuid(),
      subscriptionId: z.uuid(),
      /** Azure blocks port 25 for most kinds of subscriptions, and has exempted some of them: then say so here (mission A13). */
      outboundSmtpExempt: z.boolean().default(false),
    }),
    gateway: z.strictObject({
      /** Mission A11, A12: two machines or more in a region stand behind a load balancer; mail goes to every region. */
      regions: z
        .array(
          z.strictObject({
            name: z.string().regex(/^[a-z][a-z0-9]{2,29}$/, "must be an Azure region's name such as westeurope"),
            machines: z.int().min(1).max(MOST_MACHINES).default(1),
          }),
        )
        .min(1)
        .max(MOST_REGIONS),
      /** Mission A3: without one, the cheapest size of the region that is large enough. */
      size: vmSize.optional(),
      /** Fixed when a machine is made: changing it replaces the machine. `automatic` is zones where the region has them, else a set. */
      placement: z.enum(["automatic", "zones", "availabilitySet", "none"]).default("automatic"),
      /** Mission A4: kind of the machines' managed disks; the last two are kept in three zones. */
      disk: z.enum(["Premium_LRS", "StandardSSD_LRS", "Standard_LRS", "Premium_ZRS", "StandardSSD_ZRS"]).default("Premium_LRS"),
      image: imageSchema.default(windowsServer2022),
      services: servicesSchema.default({ smtp: {} }),
      /** Mission A7, A11: what machines and load balancers report goes to a workspace of the customer, who pays for what it takes in. */
      monitoring: z.strictObject({ workspaceId }).optional(),
      /**
       * Mission A4: a storage account in each region for what machines say while they start; without one, Azure keeps that itself. Boot
       * diagnostics takes neither premium accounts nor those that are kept in zones.
       */
      diagnostics: z.strictObject({ replication: z.enum(["LRS", "GRS", "RAGRS"]).default("LRS") }).optional(),
      keyManager: keyManagerSchema.optional(),
      certificate: certificateSchema.optional(),
      iqSuite: iqSuiteSchema.optional(),
      /** Mission F4: the administrator's password is replaced at two thirds of its life; without this, on request only. */
      administratorPassword: z.strictObject({ lifetimeInDays: passwordLifetime }).optional(),
      /** Mission B4: for whom the gateway takes mail in: the named domains, or whatever the organisation has verified by then. */
      relayDomains: z.enum(["named", "accepted"]).optional(),
      exchangeWebServices: exchangeWebServicesSchema.optional(),
    }),
    ucm: ucmSchema.optional(),
    /** Without one, `local`. */
    database: databaseSchema.optional(),
    /** Adds the gateway's addresses to the connection filter's allow list (manual, chapter 4.7). */
    connectionFilter: z.boolean().default(true),
    /** Mission D5: users and groups as an LDIF document for the gateways, kept by what changed. */
    directory: directorySpecSchema.optional(),
    /** Mission F6: what becomes of what somebody changed by hand. `automatic` brings it back, a few times a day; without it, it is reported. */
    drift: z.strictObject({ repair: z.enum(["report", "automatic"]) }).optional(),
    /** Without it mail waits for the gateways. */
    outage: outagePolicySchema.optional(),
    /** Without it nobody's SPF is looked at: a gateway that sends by Microsoft 365 needs none of its own. */
    spf: spfSchema.optional(),
  })
  .superRefine(({ microsoft365, pilot, gateway }, context) => {
    const { domains, probeMailbox } = microsoft365;
    const { regions, services, keyManager, certificate } = gateway;
    const ours = (address: string): boolean => domains.includes(address.slice(address.lastIndexOf("@") + 1));
    if (new Set(domains).size !== domains.length)
      context.addIssue({ code: "custom", path: ["microsoft365", "domains"], message: "names a domain twice" });
    if (new Set(regions.map(({ name }) => name)).size !== regions.length)
      context.addIssue({ code: "custom", path: ["gateway", "regions"], message: "names a region twice" });
    if (certificate && !underOneOf(domains, certificate.name))
      context.addIssue({
        code: "custom",
        path: ["gateway", "certificate", "name"],
        message: `must be one of the tenant's domains or a name below one: ${domains.join(", ")}`,
      });
    if (certificate?.acme && certificate.issuer !== undefined)
      context.addIssue({
        code: "custom",
        path: ["gateway", "certificate", "acme"],
        message: "is another way than gateway.certificate.issuer: leave one of the two out",
      });
    if (certificate?.acme && zoneOf([certificate.acme.zone], certificate.name) === undefined)
      context.addIssue({
        code: "custom",
        path: ["gateway", "certificate", "acme", "zone"],
        message: `is not the zone that ${certificate.name} is in, so nothing there proves that the name is the customer's`,
      });
    if (keyManager !== undefined && services.keyManager !== undefined)
      context.addIssue({
        code: "custom",
        path: ["gateway", "services", "keyManager"],
        message: "KeyManager has a machine of its own: open it in gateway.keyManager.services",
      });
    for (const { path, message } of iqSuiteConflicts(microsoft365, gateway))
      context.addIssue({ code: "custom", path: ["gateway", "iqSuite", ...path], message });
    if (!ours(probeMailbox))
      context.addIssue({
        code: "custom",
        path: ["microsoft365", "probeMailbox"],
        message: `must be in one of the tenant's domains: ${domains.join(", ")}`,
      });
    if (pilot.addresses.length === 0 && pilot.groups === undefined)
      context.addIssue({ code: "custom", path: ["pilot", "addresses"], message: "name at least one address, or a group" });
    for (const field of ["addresses", "groups"] as const)
      for (const [index, address] of (pilot[field] ?? []).entries())
        if (!ours(address))
          context.addIssue({
            code: "custom",
            path: ["pilot", field, index],
            message: `must be in one of the tenant's domains: ${domains.join(", ")}`,
          });
  })
  .superRefine(({ microsoft365: { domains }, gateway, directory, spf }, context) => {
    if (directory?.file !== undefined && gateway.iqSuite?.ldifGenerator !== undefined)
      context.addIssue({
        code: "custom",
        path: ["directory", "file"],
        message: "is not needed beside gateway.iqSuite.ldifGenerator, the product's own export: leave one of the two out",
      });
    for (const [index, id] of (spf?.zones ?? []).entries())
      if (!domains.some((domain) => zoneOf([id], domain) !== undefined))
        context.addIssue({
          code: "custom",
          path: ["spf", "zones", index],
          message: `is the zone of none of the tenant's domains: ${domains.join(", ")}`,
        });
  });

export type TenantSpec = z.output<typeof tenantSpecSchema>;
export type OutagePolicy = z.output<typeof outagePolicySchema>;
export type Database = z.output<typeof databaseSchema>;
export type AzureSql = Extract<Database, { kind: "azureSql" }>;
export type ExchangeWebServices = z.output<typeof exchangeWebServicesSchema>;
export type Services = z.output<typeof servicesSchema>;

/** A tenant's own name at its partner: part of URLs, row keys and marks of ownership. */
export const tenantIdSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{1,38}[a-z0-9]$/, "must be 3 to 40 lower-case letters, digits and dashes, beginning with a letter");

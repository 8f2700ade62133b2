/** `/organization` and `/domains` (Graph v1.0). */
import { createHash } from "node:crypto";
import { mxHostOf } from "../exchange/addresses.ts";
import { resourceNotFound } from "./answers.ts";
import { filtered, selected } from "./query.ts";
import type { GraphRequest, Route } from "./route.ts";

const readDomains = ["Domain.Read.All", "Domain.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const readOrganization = ["Organization.Read.All", "Organization.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const TTL_IN_SECONDS = 3600;

export const organizationRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/organization$/,
    permissions: readOrganization,
    run: (graph) => ({
      status: 200,
      body: { "@odata.context": graph.context("organization"), value: [selected(organizationOf(graph), graph.request.url)] },
    }),
  },
  {
    method: "GET",
    pattern: /^\/organization\/([^/]+)$/,
    permissions: readOrganization,
    run: (graph) => {
      const [id = ""] = graph.parts;
      if (id.toLowerCase() !== graph.tenantId) throw resourceNotFound(id);
      return {
        status: 200,
        body: { "@odata.context": graph.context("organization/$entity"), ...selected(organizationOf(graph), graph.request.url) },
      };
    },
  },
  {
    method: "GET",
    pattern: /^\/domains$/,
    permissions: readDomains,
    run: (graph) => ({
      status: 200,
      body: {
        "@odata.context": graph.context("domains"),
        value: filtered(domainsOf(graph), graph.request.url).map((domain) => selected(domain, graph.request.url)),
      },
    }),
  },
  {
    method: "GET",
    pattern: /^\/domains\/([^/]+)$/,
    permissions: readDomains,
    run: (graph) => ({
      status: 200,
      body: { "@odata.context": graph.context("domains/$entity"), ...selected(domainNamed(graph), graph.request.url) },
    }),
  },
  {
    method: "GET",
    pattern: /^\/domains\/([^/]+)\/serviceConfigurationRecords$/,
    permissions: readDomains,
    run: (graph) => {
      const { id: name, isVerified } = domainNamed(graph);
      const value = isVerified ? [mxRecord(name), spfRecord(name), autodiscoverRecord(name)] : [];
      return { status: 200, body: { "@odata.context": graph.context(`domains('${name}')/serviceConfigurationRecords`), value } };
    },
  },
  {
    method: "GET",
    pattern: /^\/domains\/([^/]+)\/verificationDnsRecords$/,
    permissions: readDomains,
    run: (graph) => {
      const { id: name } = domainNamed(graph);
      const number = Number.parseInt(createHash("sha256").update(`${graph.tenantId}/${name}`).digest("hex").slice(0, 6), 16);
      const value = [
        {
          "@odata.type": "#microsoft.graph.domainDnsTxtRecord",
          ...record(name, "Txt", "verification", name),
          supportedService: null,
          text: `MS=ms${String(number).padStart(8, "0")}`,
        },
      ];
      return { status: 200, body: { "@odata.context": graph.context(`domains('${name}')/verificationDnsRecords`), value } };
    },
  },
];

function organizationOf({ organization, tenantId }: GraphRequest): Record<string, unknown> {
  const { displayName, domains } = organization;
  return {
    id: tenantId,
    displayName,
    tenantType: "AAD",
    countryLetterCode: "DE",
    onPremisesSyncEnabled: null,
    verifiedDomains: domains
      .filter(({ verified }) => verified)
      .map(({ name, initial }) => ({
        capabilities: "Email, OfficeCommunicationsOnline",
        isDefault: name === defaultDomain({ organization }),
        isInitial: initial,
        name,
        type: "Managed",
      })),
  };
}

const domainsOf = ({
  organization,
}: Pick<GraphRequest, "organization">): { id: string; isVerified: boolean; [name: string]: unknown }[] =>
  organization.domains.map(({ name, verified, initial }) => ({
    id: name,
    authenticationType: "Managed",
    availabilityStatus: null,
    isAdminManaged: true,
    isDefault: name === defaultDomain({ organization }),
    isInitial: initial,
    isRoot: true,
    isVerified: verified,
    supportedServices: verified ? ["Email", "OfficeCommunicationsOnline"] : [],
  }));

function domainNamed(graph: GraphRequest): { id: string; isVerified: boolean; [name: string]: unknown } {
  const [name = ""] = graph.parts;
  const domain = domainsOf(graph).find(({ id }) => id.toLowerCase() === name.toLowerCase());
  if (!domain) throw resourceNotFound(name);
  return domain;
}

function defaultDomain({ organization: { domains } }: Pick<GraphRequest, "organization">): string | undefined {
  const verified = domains.filter((domain) => domain.verified);
  return (verified.find(({ initial }) => !initial) ?? verified[0])?.name;
}

const record = (name: string, recordType: string, service: string, label: string): Record<string, unknown> => ({
  id: createHash("sha256")
    .update(`${name}/${recordType}/${service}`)
    .digest("hex")
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
  isOptional: false,
  label,
  recordType,
  supportedService: "Email",
  ttl: TTL_IN_SECONDS,
});

const mxRecord = (name: string): Record<string, unknown> => ({
  "@odata.type": "#microsoft.graph.domainDnsMxRecord",
  ...record(name, "Mx", "mail", name),
  mailExchange: mxHostOf(name),
  preference: 0,
});

const spfRecord = (name: string): Record<string, unknown> => ({
  "@odata.type": "#microsoft.graph.domainDnsTxtRecord",
  ...record(name, "Txt", "mail", name),
  text: "v=spf1 include:spf.protection.outlook.com -all",
});

const autodiscoverRecord = (name: string): Record<string, unknown> => ({
  "@odata.type": "#microsoft.graph.domainDnsCnameRecord",
  ...record(name, "CName", "mail", `autodiscover.${name}`),
  canonicalName: "autodiscover.outlook.com",
});

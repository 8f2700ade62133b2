/** Manual, chapter 1; mission A9: the logical server of iQ.Suite's and WebClient's databases, where only Entra signs in. */
import type { Server as FoundServer } from "@azure/arm-sql";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  readBeforeWriting,
  refuseReplacement,
  removeOwned,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import { provisioningStateOfSql } from "../azure/sql.ts";
import type { AzureSql } from "../tenants/spec.ts";
import type { Resource } from "./resource.ts";

export type SqlServer = Named & { administrator: AzureSql["administrator"] };

export interface ActualSqlServer extends Provisioned {
  id: string;
  /** What connections name. */
  fqdn: string;
  region: string;
  /** Ids in lower case, empty without one. */
  administrator: { entraGroupId: string; name: string; entraTenantId: string };
  /** Without it, passwords count too. */
  entraOnly: boolean;
  minimalTls: string;
  /** Closed to all but the addresses of its firewall rules. */
  publicNetworkAccess: string;
}

const MINIMAL_TLS = "1.2";
/** What the administrator and its exclusiveness are called below a server: there is one of each. */
const ADMINISTRATOR = "ActiveDirectory";
const ENTRA_ONLY = "Default";

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const sqlServer = ({ azure }: { azure: Azure }): Resource<SqlServer, ActualSqlServer> => {
  const what = ({ name }: SqlServer): string => `SQL server ${name}`;
  const observe = (desired: SqlServer) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.sql()).servers.get(desired.resourceGroup, desired.name),
      actualOf,
    );
  const write = (action: string, desired: SqlServer, found: FoundServer | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.sql()).servers.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        {
          location: desired.region,
          tags: { ...found?.tags, ...ownershipTags(desired.owner) },
          version: "12.0",
          administrators: { ...administratorOf(desired), principalType: "Group", azureADOnlyAuthentication: true },
          ...settings,
          ...(found?.restrictOutboundNetworkAccess === undefined
            ? {}
            : { restrictOutboundNetworkAccess: found.restrictOutboundNetworkAccess }),
        },
        { onResponse },
      ),
    );

  return {
    kind: "sqlServer",
    fixed,
    observe,
    diff: ({ region, entraTenantId, administrator }, actual) =>
      changesBetween(
        {
          region,
          administrator: { ...administrator, entraTenantId: entraTenantId.toLowerCase() },
          entraOnly: true,
          minimalTls: MINIMAL_TLS,
          publicNetworkAccess: "Enabled",
        },
        actual,
      ),
    create: (desired) => write("creating", desired, undefined),
    /** A server's own body takes its administrator at creation only: later both have addresses of their own, one write after another. */
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const { resourceGroup, name } = desired;
      const changed = (path: keyof ActualSqlServer): boolean => changes.some((one) => one.path === path);
      if (changed("provisioningState")) {
        const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
          (await clients.sql()).servers.get(resourceGroup, name),
        );
        return write("creating again", desired, found);
      }
      return azure.begin(`updating ${what(desired)}`, desired, async (clients, onResponse) => {
        const { servers, serverAzureADAdministrators, serverAzureADOnlyAuthentications } = await clients.sql();
        if (changed("administrator"))
          return serverAzureADAdministrators.beginCreateOrUpdate(resourceGroup, name, ADMINISTRATOR, administratorOf(desired), {
            onResponse,
          });
        if (changed("entraOnly"))
          return serverAzureADOnlyAuthentications.beginCreateOrUpdate(
            resourceGroup,
            name,
            ENTRA_ONLY,
            { azureADOnlyAuthentication: true },
            { onResponse },
          );
        const { minimalTlsVersion, publicNetworkAccess } = settings;
        return servers.beginUpdate(
          resourceGroup,
          name,
          {
            ...(changed("minimalTls") ? { minimalTlsVersion } : {}),
            ...(changed("publicNetworkAccess") ? { publicNetworkAccess } : {}),
          },
          { onResponse },
        );
      });
    },
    /** Its databases and firewall rules go with it. */
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.sql()).servers.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const settings = { minimalTlsVersion: MINIMAL_TLS, publicNetworkAccess: "Enabled" };

const administratorOf = ({ entraTenantId, administrator: { entraGroupId, name } }: SqlServer) => ({
  administratorType: "ActiveDirectory",
  login: name,
  sid: entraGroupId,
  tenantId: entraTenantId,
});

const actualOf = (found: FoundServer): ActualSqlServer => ({
  id: found.id ?? "",
  fqdn: found.fullyQualifiedDomainName ?? "",
  region: regionName(found.location),
  administrator: {
    entraGroupId: found.administrators?.sid?.toLowerCase() ?? "",
    name: found.administrators?.login ?? "",
    entraTenantId: found.administrators?.tenantId?.toLowerCase() ?? "",
  },
  entraOnly: found.administrators?.azureADOnlyAuthentication === true,
  minimalTls: found.minimalTlsVersion ?? "None",
  publicNetworkAccess: found.publicNetworkAccess ?? "Enabled",
  provisioningState: provisioningStateOfSql(found.state),
});

/**
 * Microsoft.Sql: logical servers with their Entra administrator, databases and firewall rules. No SQL is spoken.
 *
 * Sources: sql's Servers.json, Databases.json, ServerAzureADAdministrators.json, ServerAzureADOnlyAuthentications.json and FirewallRules.json
 * (2023-08-01): 202 with both URLs, then the resource; "Microsoft Entra-only authentication with Azure SQL"; "Resources for the service
 * objectives". Passwords and what was refused for them never come back.
 */
import { isIPv4 } from "node:net";
import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { keyOf, sameId, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const administratorSchema = z.looseObject({
  administratorType: z.literal("ActiveDirectory").default("ActiveDirectory"),
  principalType: z.enum(["User", "Group", "Application"]).optional(),
  login: z.string().min(1),
  sid: z.guid(),
  tenantId: z.guid().optional(),
  azureADOnlyAuthentication: z.boolean().optional(),
});

const serverSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    administratorLogin: z.string().optional(),
    administratorLoginPassword: z.string().optional(),
    administrators: administratorSchema.optional(),
    version: z.literal("12.0").default("12.0"),
    minimalTlsVersion: z.enum(["None", "1.0", "1.1", "1.2", "1.3"]).default("1.2"),
    publicNetworkAccess: z.enum(["Enabled", "Disabled", "SecuredByPerimeter"]).default("Enabled"),
    restrictOutboundNetworkAccess: z.enum(["Enabled", "Disabled"]).default("Disabled"),
  }),
});

const serverType = "Microsoft.Sql/servers";
const databaseType = `${serverType}/databases`;
const administratorType = `${serverType}/administrators`;
const onlyEntraType = `${serverType}/azureADOnlyAuthentications`;
const ruleType = `${serverType}/firewallRules`;

const readiness = { property: "state", creating: "Creating", updating: "Ready", ready: "Ready" };

export const sqlServers = (estate: Estate): ResourceType => ({
  type: serverType,
  manner: "sql",
  putInSeconds: 60,
  deleteInSeconds: 30,
  progress: readiness,
  put: ({ id, name, body, existing }) => {
    const { location, tags, properties } = parseBody(serverSchema, body);
    const { administratorLoginPassword: password, administrators, administratorLogin, ...rest } = properties;
    if (password !== undefined) estate.platform.secrets.add(password);
    checkServerName(estate, name, id);
    const before = existing?.body.properties;
    const administration = administrators ?? (before?.["administrators"] as Administration | undefined);
    const onlyEntra = administration?.azureADOnlyAuthentication === true;
    const login = administratorLogin ?? textOf(before?.["administratorLogin"]);
    if (existing === undefined && !onlyEntra) checkLogin(login, password);
    if (existing !== undefined && administratorLogin !== undefined && administratorLogin !== before?.["administratorLogin"])
      throw new ArmError(
        409,
        "ServerAdministratorLoginCannotBeChanged",
        `The administrator login of server '${name}' can't be changed after its creation.`,
      );
    return {
      location,
      body: {
        location,
        tags: tags ?? {},
        kind: "v12.0",
        id,
        name,
        type: serverType,
        properties: {
          ...rest,
          administratorLogin: login === "" ? `CloudSA${id.length.toString(16).padStart(8, "0")}` : login,
          ...(administration === undefined
            ? {}
            : {
                administrators: {
                  ...administration,
                  tenantId: administration.tenantId ?? tenantOf(estate, id),
                  azureADOnlyAuthentication: administration.azureADOnlyAuthentication ?? false,
                },
              }),
          fullyQualifiedDomainName: fqdnOf(name),
          privateEndpointConnections: [],
          externalGovernanceStatus: "Disabled",
        },
      },
    };
  },
  created: (server, ordered) => {
    if (ordered === undefined) showAdministration(estate, server);
    return ordered;
  },
  deleted: (server) => {
    for (const type of [databaseType, ruleType, administratorType, onlyEntraType])
      for (const child of childrenOf(estate, server.id, type)) estate.remove(child.id);
  },
});

type Administration = z.output<typeof administratorSchema>;

const fqdnOf = (name: string): string => `${name}.database.azure.example`;

const tenantOf = (estate: Estate, id: string): string | undefined => estate.subscription(id.split("/")[2] ?? "")?.tenantId;

const childrenOf = (estate: Estate, serverId: string, type: string): Stored[] =>
  estate.ofType(type).filter(({ id }) => keyOf(id).startsWith(`${keyOf(serverId)}/`));

const holderOf = (estate: Estate, name: string): Stored | undefined =>
  estate.ofType(serverType).find((server) => keyOf(server.name) === keyOf(name));

const validName = (name: string): boolean => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name);

function checkServerName(estate: Estate, name: string, id: string): void {
  if (!validName(name))
    throw new ArmError(
      400,
      "InvalidServerName",
      `Invalid server name '${name}'. It can only be made up of lowercase letters 'a'-'z', the numbers 0-9 and the hyphen. The hyphen may not lead or trail in the name.`,
    );
  const holder = holderOf(estate, name);
  if (holder !== undefined && !sameId(holder.id, id))
    throw new ArmError(409, "NameAlreadyExists", `The name '${name}' already exists. Choose a different name.`);
}

/** POST …/checkNameAvailability */
export function checkSqlName(estate: Estate, body: unknown): SimulatedResponse {
  const { name } = parseBody(z.looseObject({ name: z.string() }), body);
  const reason = validName(name) ? (holderOf(estate, name) === undefined ? undefined : "AlreadyExists") : "Invalid";
  const message = `Specified server name '${name}' is ${reason === "Invalid" ? "invalid" : "already used"}.`;
  return { status: 200, body: { name, available: reason === undefined, ...(reason === undefined ? {} : { reason, message }) } };
}

const reserved = new Set(["admin", "administrator", "sa", "root", "dbmanager", "loginmanager", "dbo", "guest", "public"]);

function checkLogin(login: string, password: string | undefined): void {
  if (login === "" || reserved.has(login.toLowerCase()))
    throw new ArmError(400, "InvalidParameterValue", "Invalid value given for parameter Login. Specify a valid parameter value.");
  const kinds = [/[A-Z]/, /[a-z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password ?? "")).length;
  if (password === undefined || password.length < 8 || password.length > 128 || kinds < 3 || password.includes(login))
    throw new ArmError(
      400,
      "PasswordNotComplex",
      "Password validation failed. The password does not meet policy requirements because it is not complex enough.",
    );
}

const databaseSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  sku: z
    .looseObject({
      name: z.string(),
      tier: z.string().optional(),
      capacity: z.number().int().optional(),
      family: z.string().optional(),
    })
    .default({ name: "GP_Gen5", tier: "GeneralPurpose", family: "Gen5", capacity: 2 }),
  properties: z
    .looseObject({
      collation: z.string().default("SQL_Latin1_General_CP1_CI_AS"),
      maxSizeBytes: z.number().int().optional(),
      zoneRedundant: z.boolean().default(false),
      requestedBackupStorageRedundancy: z.enum(["Geo", "GeoZone", "Local", "Zone"]).default("Geo"),
      createMode: z.string().default("Default"),
    })
    .default({
      collation: "SQL_Latin1_General_CP1_CI_AS",
      zoneRedundant: false,
      requestedBackupStorageRedundancy: "Geo",
      createMode: "Default",
    }),
});

/** Service objectives with tier, size of the unit, and the greatest size in gigabytes. */
const objectives: Record<string, { tier: string; capacity: number; gigabytes: number }> = {
  Basic: { tier: "Basic", capacity: 5, gigabytes: 2 },
  S0: { tier: "Standard", capacity: 10, gigabytes: 250 },
  S1: { tier: "Standard", capacity: 20, gigabytes: 250 },
  S2: { tier: "Standard", capacity: 50, gigabytes: 250 },
  S3: { tier: "Standard", capacity: 100, gigabytes: 1024 },
  GP_Gen5: { tier: "GeneralPurpose", capacity: 2, gigabytes: 1024 },
  GP_S_Gen5: { tier: "GeneralPurpose", capacity: 1, gigabytes: 512 },
};

export const sqlDatabases = (estate: Estate): ResourceType => ({
  type: databaseType,
  manner: "sql",
  putInSeconds: 40,
  deleteInSeconds: 15,
  progress: { property: "status", creating: "Creating", updating: "Scaling", ready: "Online" },
  put: ({ id, name, body, existing }) => {
    const { location, tags, sku, properties } = parseBody(databaseSchema, body);
    const server = estate.resource(id.split("/").slice(0, -2).join("/"));
    if (server !== undefined && server.location !== location)
      throw new ArmError(
        409,
        "InvalidResourceLocation",
        `The resource '${name}' cannot be created in location '${location}': its server is in '${server.location}'.`,
      );
    const objective = Object.entries(objectives).find(([own, { tier }]) =>
      sameId(own, sku.name === tier && tier !== "Basic" ? "S0" : sku.name),
    );
    if (objective === undefined)
      throw new ArmError(
        400,
        "InvalidSkuName",
        `Invalid SKU name '${sku.name}'. The SKU name can't be used for a database in location '${location}'.`,
      );
    const [own, { tier, capacity, gigabytes }] = objective;
    const maxSizeBytes = properties.maxSizeBytes ?? Math.min(gigabytes, 32) * 1024 ** 3;
    if (maxSizeBytes > gigabytes * 1024 ** 3)
      throw new ArmError(
        400,
        "InvalidMaxSizeTierCombination",
        `The tier '${tier}' does not support the database max size '${maxSizeBytes}'.`,
      );
    const before = existing?.body.properties;
    if (before !== undefined && before["collation"] !== properties.collation)
      throw new ArmError(400, "CollationChangeNotAllowed", `The collation of database '${name}' can't be changed.`);
    return {
      location,
      body: {
        sku: { ...sku, name: own, tier, capacity: sku.capacity ?? capacity },
        kind: "v12.0,user",
        location,
        tags: tags ?? {},
        id,
        name,
        type: databaseType,
        properties: {
          ...properties,
          createMode: undefined,
          maxSizeBytes,
          databaseId: before?.["databaseId"] ?? randomUUID(),
          creationDate: before?.["creationDate"] ?? new Date(estate.platform.now()).toISOString(),
          currentServiceObjectiveName: own,
          requestedServiceObjectiveName: own,
          defaultSecondaryLocation: "northeurope",
          catalogCollation: "SQL_Latin1_General_CP1_CI_AS",
          currentBackupStorageRedundancy: properties.requestedBackupStorageRedundancy,
          readScale: "Disabled",
          isLedgerOn: false,
        },
      },
    };
  },
  checkDelete: ({ name }) => {
    if (keyOf(name) === "master") throw new ArmError(400, "OperationNotAllowed", "The database 'master' can't be deleted.");
  },
});

const firewallRuleSchema = z.looseObject({
  properties: z.looseObject({ startIpAddress: z.string(), endIpAddress: z.string() }),
});

const numberOf = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

/** 0.0.0.0 to 0.0.0.0 lets in whatever runs in Azure. */
export const sqlFirewallRules = (): ResourceType => ({
  type: ruleType,
  manner: "sync",
  regional: false,
  put: ({ id, name, body }) => {
    const { properties } = parseBody(firewallRuleSchema, body);
    const { startIpAddress, endIpAddress } = properties;
    if (!isIPv4(startIpAddress) || !isIPv4(endIpAddress) || numberOf(startIpAddress) > numberOf(endIpAddress))
      throw new ArmError(
        400,
        "InvalidParameterValue",
        `Invalid value given for parameter ${isIPv4(startIpAddress) ? "EndIpAddress" : "StartIpAddress"}. Specify a valid parameter value.`,
      );
    return { location: "", body: { id, name, type: ruleType, properties: { startIpAddress, endIpAddress } } };
  },
});

const childSchema = z.looseObject({ properties: administratorSchema });

/** The server's Entra administrator, of which there is one; it is kept with the server, which shows it too. */
export const sqlAdministrators = (estate: Estate): ResourceType => ({
  type: administratorType,
  manner: "sql",
  regional: false,
  putInSeconds: 10,
  deleteInSeconds: 10,
  present: withoutState,
  put: ({ id, name, body }) => {
    if (keyOf(name) !== "activedirectory")
      throw new ArmError(400, "InvalidAdministratorName", `'${name}' is no administrator's name.`);
    const { properties } = parseBody(childSchema, body);
    const { login, sid, tenantId = tenantOf(estate, id) } = properties;
    const { azureADOnlyAuthentication } = administrationOf(estate, id);
    return {
      location: serverAbove(estate, id)?.location ?? "",
      body: {
        id,
        name,
        type: administratorType,
        properties: {
          administratorType: "ActiveDirectory",
          login,
          sid,
          tenantId,
          azureADOnlyAuthentication: azureADOnlyAuthentication ?? false,
        },
      },
    };
  },
  created: (administrator, ordered) => {
    const { provisioningState: _state, ...administration } = administrator.body.properties;
    if (ordered === undefined) administer(estate, administrator.id, administration);
    return ordered;
  },
  checkDelete: ({ id }) => {
    if (administrationOf(estate, id).azureADOnlyAuthentication)
      throw new ArmError(
        400,
        "AadOnlyAuthenticationIsEnabled",
        "Cannot delete the Azure AD administrator while Azure AD only authentication is enabled for this server.",
      );
  },
  deleted: ({ id }) => administer(estate, id, undefined),
});

const onlyEntraSchema = z.looseObject({ properties: z.looseObject({ azureADOnlyAuthentication: z.boolean() }) });

export const sqlOnlyEntra = (estate: Estate): ResourceType => ({
  type: onlyEntraType,
  manner: "sql",
  regional: false,
  putInSeconds: 10,
  deleteInSeconds: 10,
  put: ({ id, name, body }) => {
    const { azureADOnlyAuthentication } = parseBody(onlyEntraSchema, body).properties;
    if (azureADOnlyAuthentication && administrationOf(estate, id).sid === undefined)
      throw new ArmError(
        400,
        "AadOnlyAuthenticationRequiresAadAdmin",
        "Azure AD only authentication needs an Azure AD administrator of the server.",
      );
    const { location = "" } = serverAbove(estate, id) ?? {};
    return { location, body: { id, name, type: onlyEntraType, properties: { azureADOnlyAuthentication } } };
  },
  present: withoutState,
  created: ({ id, body }, ordered) => {
    const { azureADOnlyAuthentication } = body.properties;
    if (ordered === undefined) administer(estate, id, { ...administrationOf(estate, id), azureADOnlyAuthentication });
    return ordered;
  },
  deleted: ({ id }) => administer(estate, id, { ...administrationOf(estate, id), azureADOnlyAuthentication: false }),
});

/** These two say nothing of how far they are. */
function withoutState({ body }: Stored): Json {
  const { provisioningState: _state, ...properties } = body.properties;
  return { ...body, properties };
}

/** An administrator that came along with the server's own body is found at its own address too. */
function showAdministration(estate: Estate, server: Stored): void {
  const administration = server.body.properties["administrators"] as Administration | undefined;
  if (administration === undefined) return;
  const { login, sid, tenantId, azureADOnlyAuthentication } = administration;
  const children: [type: string, name: string, properties: Json][] = [
    [
      administratorType,
      "ActiveDirectory",
      { administratorType: "ActiveDirectory", login, sid, tenantId, azureADOnlyAuthentication },
    ],
    [onlyEntraType, "Default", { azureADOnlyAuthentication }],
  ];
  for (const [type, name, properties] of children) {
    const id = `${server.id}/${type.split("/").at(-1) ?? ""}/${name}`;
    const { location, createdAt } = server;
    estate.save({ id, name, type, location, createdAt, facts: {}, body: { id, name, type, properties } });
  }
}

const serverAbove = (estate: Estate, childId: string): Stored | undefined =>
  estate.resource(childId.split("/").slice(0, -2).join("/"));

const administrationOf = (estate: Estate, childId: string): Partial<Administration> =>
  serverAbove(estate, childId)?.body.properties["administrators"] ?? {};

function administer(estate: Estate, childId: string, administrators: Json | undefined): void {
  const server = serverAbove(estate, childId);
  if (server === undefined) return;
  const { administrators: _before, ...properties } = server.body.properties;
  estate.save({
    ...server,
    body: { ...server.body, properties: { ...properties, ...(administrators === undefined ? {} : { administrators }) } },
  });
}

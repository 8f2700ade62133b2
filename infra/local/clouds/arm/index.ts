/** The simulated Azure Resource Manager: finds what a URL means, who asks and whether they may, and lets the provider answer. */
import { setTimeout as wait } from "node:timers/promises";
import type { Claims, Platform, SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import { createAccess, type Access } from "./access.ts";
import { listActivities, noteActivity } from "./activity-log.ts";
import { answerControl } from "./control.ts";
import { availabilitySets } from "./availability-sets.ts";
import { disks } from "./disks.ts";
import { ArmError, envelope, errorBody, requireApiVersion } from "./envelope.ts";
import { createEstate, type Estate } from "./estate.ts";
import { effectsOn } from "./effects.ts";
import { dnsZones, listRecordSets, publicRecords, recordSets } from "./dns-zones.ts";
import { extensions } from "./extensions.ts";
import { dataCollectionRuleAssociations, dataCollectionRules, workspaces } from "./data-collection.ts";
import { diagnosticSettings } from "./diagnostic-settings.ts";
import { createFailures } from "./failures.ts";
import { redacted } from "../guest/state.ts";
import { loadBalancers } from "./load-balancers.ts";
import { answerAgreement } from "./marketplace.ts";
import { networkInterfaces } from "./network-interfaces.ts";
import { networkSecurityGroups } from "./network-security-groups.ts";
import { operationOf, operationResult, operationStatus } from "./operation-status.ts";
import { createOperations } from "./operations.ts";
import { publicIpAddresses } from "./public-ip-addresses.ts";
import { routeProvider } from "./provider-routes.ts";
import { createReachability, identities, publicAddresses } from "./reachability.ts";
import { handleResourceGroup, listAll, listGroups } from "./resource-groups.ts";
import type { ResourceType } from "./resource-type.ts";
import {
  deleteResource,
  getResource,
  handleChild,
  listResources,
  methodNotAllowed,
  patchResource,
  putResource,
  requireResource,
  requireResourceGroup,
  shown,
  type Addressed,
} from "./resources.ts";
import {
  deleteRoleAssignment,
  getRoleAssignment,
  getRoleDefinition,
  listPermissions,
  listRoleAssignments,
  listRoleDefinitions,
  putRoleAssignment,
} from "./role-assignments.ts";
import { availabilityStatus, createResourceGraph, type GraphCall } from "./resource-graph.ts";
import { runCommands, type Fetch } from "./run-commands.ts";
import { shutdownSchedules } from "./shutdown-schedules.ts";
import { sqlAdministrators, sqlDatabases, sqlFirewallRules, sqlOnlyEntra, sqlServers } from "./sql.ts";
import { listKeys, storageAccounts } from "./storage-accounts.ts";
import { getSubscription, listLocations, listSubscriptions } from "./subscriptions.ts";
import { answerTags } from "./tags.ts";
import { createThrottle, type Throttle } from "./throttle.ts";
import { userAssignedIdentities } from "./user-assigned-identities.ts";
import { findVault, vaults } from "./vaults.ts";
import { actOnMachine, bootDiagnosticsData, instanceView, powerAction, virtualMachines } from "./virtual-machines.ts";
import { virtualNetworks } from "./virtual-networks.ts";

/** How long a poll of a run command waits for the machine before it answers "in progress". */
const PATIENCE_IN_MILLISECONDS = 250;

export interface Call {
  endpoint: string;
  /** Without the endpoint's own path and without a slash at the end. */
  path: string;
  query: URLSearchParams;
  headers: Record<string, string>;
  claims: Claims;
  body: unknown;
  method: string;
}

export interface Arm {
  estate: Estate;
  access: Access;
  types: Map<string, ResourceType>;
  queryResources(call: GraphCall): SimulatedResponse;
}

/** `fetch` is how simulated machines reach Key Vault. */
export function createArm(platform: Platform, { fetch = globalThis.fetch }: { fetch?: Fetch } = {}): Simulator {
  const operations = createOperations(platform);
  const failures = createFailures();
  const estate = createEstate(platform, operations, failures);
  const access = createAccess(estate);
  const makers = [
    networkSecurityGroups,
    virtualNetworks,
    publicIpAddresses,
    networkInterfaces,
    loadBalancers,
    availabilitySets,
    virtualMachines,
    runCommands,
    extensions,
    disks,
    vaults,
    userAssignedIdentities,
    storageAccounts,
    workspaces,
    dataCollectionRules,
    dataCollectionRuleAssociations,
    diagnosticSettings,
    shutdownSchedules,
    sqlServers,
    sqlDatabases,
    sqlAdministrators,
    sqlOnlyEntra,
    sqlFirewallRules,
    dnsZones,
    ...recordSets,
  ];
  const types = new Map(makers.map((make) => make(estate)).map((type) => [type.type.toLowerCase(), type]));
  const arm: Arm = { estate, access, types, queryResources: createResourceGraph(estate, access, types) };
  operations.effects(effectsOn(arm, fetch));
  const throttle = createThrottle(platform);
  const reachability = createReachability(estate);
  const settle = (): void => void operations.settle();

  Object.assign(platform.peers, {
    gatewayAt: (address, port, source) => {
      settle();
      return reachability.gatewayAt(address, port, source);
    },
    guestOf: (virtualMachineId) => {
      settle();
      return reachability.guestOf(virtualMachineId);
    },
    publicAddresses: () => {
      settle();
      return publicAddresses(estate);
    },
    publicRecords: (name, type) => publicRecords(estate, name, type),
    holdsRole: (principalId, roleDefinitionId, scope) => access.holdsRole(principalId, roleDefinitionId, scope),
    vaultNamed: (name) => {
      const vault = findVault(estate, name);
      if (vault === undefined) return undefined;
      const { tenantId, enablePurgeProtection } = vault.body.properties;
      return { id: vault.id, tenantId: String(tenantId), purgeProtection: enablePurgeProtection === true };
    },
    identities: () => identities(estate),
    machines: () => {
      settle();
      return estate.ofType("Microsoft.Compute/virtualMachines").map(({ id, body }) => ({
        virtualMachineId: id,
        tags: (body["tags"] ?? {}) as Record<string, string>,
      }));
    },
    actOnMachine: (virtualMachineId, action) => actOnMachine(estate, virtualMachineId, action),
    controlAzure: (request) => answerControl({ estate, failures, throttle }, request),
  } satisfies Platform["peers"]);

  return {
    name: "arm",
    handle: async (request) => {
      try {
        await settleFor(arm, request);
        return envelope(request, await answer(arm, request, throttle));
      } catch (error) {
        if (!(error instanceof ArmError)) throw error;
        const body = request.method === "HEAD" ? undefined : errorBody(error);
        return envelope(request, { status: error.status, headers: error.headers, body });
      }
    },
    state: () => {
      settle();
      return {
        resourceGroups: estate.resourceGroups.values(),
        resources: [...types.values()].flatMap((type) =>
          estate.ofType(type.type).map((resource) => type.present?.(resource, { expand: "instanceView" }) ?? resource.body),
        ),
        roleAssignments: estate.roleAssignments.values(),
        deletedVaults: estate.deletedVaults.values().map(({ resource: { id }, scheduledPurgeAt }) => ({ id, scheduledPurgeAt })),
        operations: operations.all(),
        guests: estate.guests.values().map(redacted),
      };
    },
  };
}

/** Whatever is due happens before the answer; a script that runs is waited for a moment by those who ask for it, not by others. */
async function settleFor({ estate }: Arm, request: SimulatedRequest): Promise<void> {
  const settled = estate.operations.settle();
  const operationId = /\/operations\/([^/?]+)/i.exec(request.url.pathname)?.[1];
  const asked = operationId === undefined ? undefined : estate.operations.get(operationId);
  if (asked?.kind === "runCommand" || /\/runCommands\//i.test(request.url.pathname))
    await Promise.race([settled, wait(PATIENCE_IN_MILLISECONDS, undefined, { ref: false })]);
}

async function answer(arm: Arm, request: SimulatedRequest, throttle: Throttle): Promise<SimulatedResponse> {
  const claims = await arm.access.authenticate(request);
  const endpoint = arm.estate.platform.environment.resourceManager.endpoint;
  const prefix = new URL(endpoint).pathname.replace(/\/$/, "");
  const path = decoded(request.url.pathname.slice(prefix.length)).replace(/\/+$/, "").replace(/^\/+/, "/");
  const { method, headers, body } = request;
  const call: Call = { endpoint, path, query: request.url.searchParams, headers, claims, body, method };
  if (body === undefined && (method === "PUT" || method === "PATCH"))
    throw new ArmError(
      400,
      "InvalidRequestContent",
      "The request content was invalid and could not be deserialized: 'a JSON object is expected'.",
    );
  // Resource Graph counts its own quota.
  if (method === "POST" && /^\/providers\/Microsoft\.ResourceGraph\/resources$/i.test(path))
    return arm.queryResources({ claims, query: call.query, body });
  const subscriptionId = /^\/subscriptions\/([^/]+)/i.exec(path)?.[1] ?? "";
  const remaining = throttle.take({ method, path, principalId: claims.oid });
  const response = route(arm, call, subscriptionId);
  noteActivity(arm.estate.platform, call, response);
  return { ...response, headers: { ...remaining, ...paced(arm.estate.platform, response.headers) } };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ArmError(400, "InvalidRequestUri", "The request URI is not well formed.");
  }
}

/** Waiting is modelled time too: Retry-After shrinks and grows with the platform's tempo, in whole seconds. */
function paced(platform: Platform, headers: Record<string, string> = {}): Record<string, string> {
  const seconds = headers["retry-after"];
  return seconds === undefined ? headers : { ...headers, "retry-after": String(Math.ceil(Number(seconds) * platform.tempo)) };
}

function route(arm: Arm, call: Call, subscriptionId: string): SimulatedResponse {
  const authorization =
    /^(.*)\/providers\/Microsoft\.Authorization\/(roleAssignments|roleDefinitions|permissions)(?:\/([^/]+))?$/i.exec(call.path);
  if (authorization !== null) return routeAuthorization(arm, call, authorization);
  if (/^\/subscriptions$/i.test(call.path)) {
    requireApiVersion(call.query, "Microsoft.Resources");
    return listSubscriptions(arm.estate, arm.access, call);
  }
  const tagged = /^(.+)\/providers\/Microsoft\.Resources\/tags\/default$/i.exec(call.path);
  if (tagged?.[1] !== undefined) return routeTags(arm, call, tagged[1]);
  const health = /^(.+)\/providers\/Microsoft\.ResourceHealth\/availabilityStatuses\/current$/i.exec(call.path);
  if (health?.[1] !== undefined && call.method === "GET") return routeHealth(arm, call, health[1]);
  const extending = /^(\/.+\/providers\/.+)\/providers\/(Microsoft\.Insights)\/([A-Za-z]+)(?:\/([^/]+))?$/i.exec(call.path);
  if (extending !== null) return routeExtension(arm, call, subscriptionId, extending);
  const inGroup = /^\/subscriptions\/[^/]+\/resourceGroups\/([^/]+)(?:\/(.+))?$/i.exec(call.path);
  if (inGroup !== null) return routeGroup(arm, call, subscriptionId, inGroup);
  const inSubscription = /^\/subscriptions\/[^/]+(?:\/(.+))?$/i.exec(call.path);
  if (inSubscription !== null) return routeSubscription(arm, call, subscriptionId, inSubscription[1] ?? "");
  throw new ArmError(404, "InvalidResourceNamespace", `The request path '${call.path}' is not known.`);
}

function routeAuthorization(
  { estate, access }: Arm,
  call: Call,
  [, scope = "", kind = "", name]: RegExpExecArray,
): SimulatedResponse {
  requireApiVersion(call.query, "Microsoft.Authorization");
  const type = `Microsoft.Authorization/${kind}`;
  const scoped = { ...call, scope };
  const { method } = call;
  const lower = kind.toLowerCase();
  if (scope === "" && lower === "roledefinitions" && method === "GET")
    return name === undefined ? listRoleDefinitions(scoped) : getRoleDefinition(name, scoped);
  if (lower === "permissions") {
    access.authorize(call.claims, "Microsoft.Authorization/permissions/read", scope);
    return listPermissions(access, scoped);
  }
  const verb = method === "GET" ? "read" : method === "DELETE" ? "delete" : "write";
  access.authorize(call.claims, `${type}/${verb}`, name === undefined ? scope : call.path);
  if (lower === "roledefinitions") {
    if (method !== "GET") throw methodNotAllowed(method);
    return name === undefined ? listRoleDefinitions(scoped) : getRoleDefinition(name, scoped);
  }
  if (name === undefined) return listRoleAssignments(estate, scoped);
  requireScope(estate, scope);
  if (method === "PUT") return putRoleAssignment(estate, name, scoped);
  if (method === "GET") return getRoleAssignment(estate, name, scoped);
  if (method === "DELETE") return deleteRoleAssignment(estate, name, scoped);
  throw methodNotAllowed(method);
}

function routeTags({ estate, access, types }: Arm, { query, claims, method, body }: Call, scope: string): SimulatedResponse {
  requireApiVersion(query, "Microsoft.Resources");
  access.authorize(claims, `Microsoft.Resources/tags/${method === "GET" ? "read" : "write"}`, scope);
  return answerTags(estate, types, { scope, method, body });
}

function routeHealth({ estate, access }: Arm, call: Call, id: string): SimulatedResponse {
  requireApiVersion(call.query, "Microsoft.ResourceHealth");
  access.authorize(call.claims, "Microsoft.ResourceHealth/availabilityStatuses/read", id);
  requireScope(estate, id);
  const machine = estate.resource(id);
  if (machine?.type !== "Microsoft.Compute/virtualMachines")
    throw new ArmError(400, "UnsupportedResourceType", "The simulator knows the health of virtual machines only.");
  return { status: 200, body: availabilityStatus(estate, machine) };
}

/** A resource that extends another one: its id is the other's, followed by a provider of its own. */
function routeExtension(
  { estate, access, types }: Arm,
  call: Call,
  subscriptionId: string,
  [, scope = "", namespace = "", typeName = "", name]: RegExpExecArray,
): SimulatedResponse {
  const type = types.get(`${namespace}/${typeName}`.toLowerCase());
  if (type === undefined)
    throw new ArmError(404, "InvalidResourceType", `The resource type '${typeName}' could not be found in '${namespace}'.`);
  const apiVersion = requireApiVersion(call.query, namespace, typeName);
  const verb = call.method === "GET" ? "read" : call.method === "DELETE" ? "delete" : "write";
  access.authorize(call.claims, `${type.type}/${verb}`, scope);
  requireScope(estate, scope);
  const resourceGroup = scope.split("/")[4] ?? "";
  const addressed: Addressed = { ...call, apiVersion, subscriptionId, resourceGroup, id: call.path, name: name ?? "" };
  if (name !== undefined) return handle(estate, type, addressed, call.method);
  if (call.method !== "GET") throw methodNotAllowed(call.method);
  return listResources(estate, type, scope, addressed);
}

/** A role can be assigned only on what exists. */
function requireScope(estate: Estate, scope: string): void {
  const group = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)/i.exec(scope);
  if (group !== null) requireResourceGroup(estate, group[1] ?? "", group[2] ?? "");
  if (/\/resourceGroups\/[^/]+\/providers\//i.test(scope) && estate.resource(scope) === undefined)
    throw new ArmError(
      404,
      "ResourceNotFound",
      `The Resource '${scope.split("/providers/").at(-1)}' under resource group '${group?.[2]}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    );
}

function routeSubscription(arm: Arm, call: Call, subscriptionId: string, rest: string): SimulatedResponse {
  const { estate, access, types } = arm;
  const { method, query } = call;
  const scope = `/subscriptions/${subscriptionId}`;
  const allTypes = [...types.values()].map(({ type }) => type);
  const authorize = (action: string): void => access.authorize(call.claims, action, scope);
  const segments = rest === "" ? [] : rest.split("/");
  const [first, namespace = "", third = "", fourth = "", fifth = "", sixth = "", seventh] = segments;
  if (first?.toLowerCase() !== "providers") {
    const apiVersion =
      first?.toLowerCase() === "operationresults"
        ? (query.get("api-version") ?? "")
        : requireApiVersion(query, "Microsoft.Resources");
    const groupCall = { ...call, apiVersion, subscriptionId };
    switch (`${method} ${first?.toLowerCase() ?? ""}`) {
      case "GET ":
        authorize("Microsoft.Resources/subscriptions/read");
        return getSubscription(estate, subscriptionId);
      case "GET locations":
        authorize("Microsoft.Resources/subscriptions/locations/read");
        return listLocations(subscriptionId);
      case "GET resourcegroups":
        authorize("Microsoft.Resources/subscriptions/resourceGroups/read");
        return listGroups(estate, groupCall);
      case "GET resources":
        authorize("Microsoft.Resources/subscriptions/resources/read");
        return listAll(estate, allTypes, scope, groupCall);
      case "GET operationresults":
        authorize("Microsoft.Resources/subscriptions/operationresults/read");
        return operationResult(
          operationOf(estate, subscriptionId, namespace),
          `${call.endpoint}${call.path}?${query.toString()}`,
        );
    }
    throw methodNotAllowed(method);
  }
  if (third.toLowerCase() === "locations" && /^operation(s|Results)$/i.test(fifth) && sixth !== "") {
    authorize(`${namespace}/locations/${fifth}/read`);
    const operation = operationOf(estate, subscriptionId, sixth);
    const result = fifth.toLowerCase() === "operationresults" || query.get("monitor") === "true";
    if (!result) return operationStatus(operation);
    const made = estate.resource(operation.target);
    const type = types.get(made?.type.toLowerCase() ?? "");
    return operationResult(
      operation,
      `${call.endpoint}${call.path}?${query.toString()}`,
      made === undefined || type === undefined ? undefined : shown(type, made, query),
    );
  }
  if (/^GET Microsoft\.Insights\/eventtypes\/management\/values$/i.test(`${method} ${segments.slice(1).join("/")}`)) {
    requireApiVersion(query, namespace, third);
    authorize("Microsoft.Insights/eventtypes/values/read");
    return listActivities(estate.platform, subscriptionId, call);
  }
  if (namespace.toLowerCase() === "microsoft.marketplaceordering") {
    requireApiVersion(query, namespace);
    authorize(`Microsoft.MarketplaceOrdering/agreements/offers/plans/${method === "GET" ? "read" : "sign/action"}`);
    const path = segments.slice(2).join("/");
    const answered = answerAgreement(estate, { subscriptionId, method, path, body: call.body });
    if (answered !== undefined) return answered;
  }
  const listed = types.get(`${namespace}/${third}`.toLowerCase());
  if (listed !== undefined && segments.length === 3 && method === "GET") {
    const apiVersion = requireApiVersion(query, namespace, third);
    authorize(`${listed.type}/read`);
    return listResources(estate, listed, scope, { ...call, apiVersion, subscriptionId, resourceGroup: "" });
  }
  return routeProvider(arm, call, {
    subscriptionId,
    namespace,
    path: [third, fourth, fifth, sixth, seventh ?? ""],
    types: allTypes,
  });
}

function routeGroup(
  arm: Arm,
  call: Call,
  subscriptionId: string,
  [, resourceGroup = "", rest]: RegExpExecArray,
): SimulatedResponse {
  const { estate, access, types } = arm;
  const { method, query } = call;
  const groupId = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
  if (rest === undefined || rest.toLowerCase() === "resources") {
    const apiVersion = requireApiVersion(query, "Microsoft.Resources");
    const verb = method === "GET" || method === "HEAD" ? "read" : method === "DELETE" ? "delete" : "write";
    access.authorize(call.claims, `Microsoft.Resources/subscriptions/resourceGroups/${verb}`, groupId);
    const groupCall = { ...call, apiVersion, subscriptionId };
    if (rest === undefined) return handleResourceGroup(estate, method, resourceGroup, groupCall);
    requireResourceGroup(estate, subscriptionId, resourceGroup);
    return listAll(
      estate,
      [...types.values()].map(({ type }) => type),
      groupId,
      groupCall,
    );
  }
  const segments = rest.split("/");
  const [providers, namespace = "", typeName = "", name, childType, childName, extra] = segments;
  const parent = types.get(`${namespace}/${typeName}`.toLowerCase());
  if (providers?.toLowerCase() !== "providers" || parent === undefined || extra !== undefined)
    throw new ArmError(
      404,
      "InvalidResourceType",
      `The resource type '${typeName}' could not be found in the namespace '${namespace}' for api version '${query.get("api-version")}'.`,
    );
  const apiVersion = requireApiVersion(query, namespace, typeName);
  const parentId = `${groupId}/providers/${namespace}/${typeName}/${name ?? ""}`;
  const addressed: Addressed = { ...call, apiVersion, subscriptionId, resourceGroup, id: parentId, name: name ?? "" };
  const verbOf = (type: string): string => `${type}/${method === "GET" ? "read" : method === "DELETE" ? "delete" : "write"}`;
  if (name === undefined) {
    if (method !== "GET") throw methodNotAllowed(method);
    access.authorize(call.claims, verbOf(parent.type), groupId);
    requireResourceGroup(estate, subscriptionId, resourceGroup);
    return listResources(estate, parent, groupId, addressed);
  }
  if (childType === undefined) {
    access.authorize(call.claims, verbOf(parent.type), parentId);
    return handle(estate, parent, addressed, method);
  }
  const child = types.get(`${parent.type}/${childType}`.toLowerCase());
  if (child !== undefined) {
    const childId = `${parentId}/${childType}/${childName ?? ""}`;
    access.authorize(call.claims, verbOf(child.type), childName === undefined ? parentId : childId);
    if (childName !== undefined) return handle(estate, child, { ...addressed, id: childId, name: childName, parentId }, method);
    requireResource(estate, parent, addressed);
    return listResources(estate, child, parentId, addressed);
  }
  const collection = parent.children?.find((known) => known.toLowerCase() === childType.toLowerCase());
  if (collection !== undefined) {
    access.authorize(call.claims, verbOf(`${parent.type}/${collection}`), call.path);
    return handleChild(estate, parent, addressed, { method, collection, name: childName });
  }
  return routeAction(arm, call, parent, { addressed, action: childType });
}

function routeAction(
  { estate, access }: Arm,
  call: Call,
  type: ResourceType,
  { addressed, action }: { addressed: Addressed; action: string },
): SimulatedResponse {
  if (type.type === "Microsoft.Network/dnsZones" && call.method === "GET" && /^(recordsets|all)$/i.test(action)) {
    access.authorize(call.claims, `${type.type}/${action}/read`, addressed.id);
    return listRecordSets(estate, requireResource(estate, type, addressed), call);
  }
  const machine = type.type === "Microsoft.Compute/virtualMachines";
  if (machine && call.method === "GET" && action.toLowerCase() === "instanceview") {
    access.authorize(call.claims, `${type.type}/instanceView/read`, addressed.id);
    return { status: 200, body: instanceView(estate, requireResource(estate, type, addressed)) };
  }
  if (machine && call.method === "POST") {
    access.authorize(call.claims, `${type.type}/${action}/action`, addressed.id);
    return action.toLowerCase() === "retrievebootdiagnosticsdata"
      ? bootDiagnosticsData(estate, type, addressed)
      : powerAction(estate, type, addressed, action);
  }
  if (type.type === "Microsoft.Storage/storageAccounts" && call.method === "POST" && action.toLowerCase() === "listkeys") {
    access.authorize(call.claims, `${type.type}/listKeys/action`, addressed.id);
    return listKeys(requireResource(estate, type, addressed));
  }
  throw new ArmError(404, "InvalidResourceType", `The resource type '${action}' could not be found on '${type.type}'.`);
}

function handle(estate: Estate, type: ResourceType, call: Addressed, method: string): SimulatedResponse {
  switch (method) {
    case "GET":
      return getResource(estate, type, call);
    case "PUT":
      return putResource(estate, type, call);
    case "PATCH":
      return patchResource(estate, type, call);
    case "DELETE":
      return deleteResource(estate, type, call);
  }
  throw methodNotAllowed(method);
}

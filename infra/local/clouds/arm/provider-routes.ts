/** What providers answer outside resource groups: lists of abilities, quotas, names that are free, deleted vaults, registration. */
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, page, requireApiVersion } from "./envelope.ts";
import type { Arm, Call } from "./index.ts";
import { checkDnsNameAvailability } from "./public-ip-addresses.ts";
import { computeUsages, networkUsages } from "./quotas.ts";
import { skus } from "./skus.ts";
import { checkSqlName } from "./sql.ts";
import { checkStorageName } from "./storage-accounts.ts";
import { provider } from "./subscriptions.ts";
import { checkVaultName, getDeletedVault, listDeletedVaults, purgeVault } from "./vaults.ts";

export function routeProvider(
  { estate, access }: Arm,
  call: Call,
  { subscriptionId, namespace, path, types }: { subscriptionId: string; namespace: string; path: string[]; types: string[] },
): SimulatedResponse {
  const { query, method } = call;
  const scope = `/subscriptions/${subscriptionId}`;
  const authorize = (action: string): void => access.authorize(call.claims, action, scope);
  const [third = "", location = "", fifth = "", name = "", last = ""] = path;
  const asked = `${method} ${[namespace, third, fifth, last].filter(Boolean).join("/")}`.toLowerCase();
  const providers = [...new Set(types.map((type) => type.split("/")[0]))];
  switch (asked) {
    case "get microsoft.compute/skus":
      requireApiVersion(query, namespace, "skus");
      authorize("Microsoft.Compute/skus/read");
      return page(call, skus(query.get("$filter")), 1000);
    case "get microsoft.compute/locations/usages":
      requireApiVersion(query, namespace, "locations");
      authorize("Microsoft.Compute/locations/usages/read");
      return page(call, computeUsages(estate, { subscriptionId, location: location.toLowerCase() }));
    case "get microsoft.network/locations/usages":
      requireApiVersion(query, namespace, "locations");
      authorize("Microsoft.Network/locations/usages/read");
      return page(call, networkUsages(estate, { subscriptionId, location: location.toLowerCase() }));
    case "get microsoft.network/locations/checkdnsnameavailability":
      requireApiVersion(query, namespace, "locations");
      authorize("Microsoft.Network/locations/checkDnsNameAvailability/read");
      return { status: 200, body: checkDnsNameAvailability(estate, location, query.get("domainNameLabel")) };
    case "post microsoft.sql/checknameavailability":
      requireApiVersion(query, namespace, "checkNameAvailability");
      authorize("Microsoft.Sql/checkNameAvailability/action");
      return checkSqlName(estate, call.body);
    case "post microsoft.storage/checknameavailability":
      requireApiVersion(query, namespace, "checkNameAvailability");
      authorize("Microsoft.Storage/checkNameAvailability/read");
      return checkStorageName(estate, call.body);
    case "post microsoft.keyvault/checknameavailability":
      requireApiVersion(query, namespace, "checkNameAvailability");
      authorize("Microsoft.KeyVault/checkNameAvailability/read");
      return checkVaultName(estate, call.body);
    case "get microsoft.keyvault/deletedvaults":
      requireApiVersion(query, namespace, "deletedVaults");
      authorize("Microsoft.KeyVault/deletedVaults/read");
      return listDeletedVaults(estate, subscriptionId, call);
  }
  const deletedVault = { endpoint: call.endpoint, apiVersion: query.get("api-version") ?? "", subscriptionId, location, name };
  if (asked === "get microsoft.keyvault/locations/deletedvaults") {
    requireApiVersion(query, namespace, "deletedVaults");
    authorize("Microsoft.KeyVault/locations/deletedVaults/read");
    return getDeletedVault(estate, deletedVault);
  }
  if (asked === "post microsoft.keyvault/locations/deletedvaults/purge") {
    requireApiVersion(query, namespace, "deletedVaults");
    authorize("Microsoft.KeyVault/locations/deletedVaults/purge/action");
    return purgeVault(estate, deletedVault);
  }
  if (method === "GET" && third === "") {
    requireApiVersion(query, "Microsoft.Resources");
    authorize("Microsoft.Resources/subscriptions/providers/read");
    const bodies = providers.map((known) => provider(subscriptionId, known ?? "", types).body);
    return namespace === "" ? page(call, bodies) : provider(subscriptionId, namespace, types);
  }
  if (method === "POST" && third.toLowerCase() === "register") {
    requireApiVersion(query, "Microsoft.Resources");
    authorize(`${namespace}/register/action`);
    return provider(subscriptionId, namespace, types);
  }
  throw new ArmError(
    404,
    "InvalidResourceType",
    `The resource type '${third}' could not be found in the namespace '${namespace}'.`,
  );
}

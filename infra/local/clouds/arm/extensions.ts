/**
 * Microsoft.Compute/virtualMachines/extensions: agents that Azure installs into a machine. Nothing of theirs runs in the simulated
 * Windows; they are there, ready, and shown in the instance view. Protected settings never come back.
 */
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { keyOf, type Estate, type Stored } from "./estate.ts";
import type { Put, ResourceType } from "./resource-type.ts";
import { runningMachineOf } from "./run-commands.ts";

const extensionSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    publisher: z.string(),
    type: z.string(),
    typeHandlerVersion: z.string(),
    autoUpgradeMinorVersion: z.boolean().default(false),
    enableAutomaticUpgrade: z.boolean().optional(),
    settings: z.looseObject({}).optional(),
    protectedSettings: z.looseObject({}).optional(),
  }),
});

const type = "Microsoft.Compute/virtualMachines/extensions";

/** Publisher and type of what can be installed on Windows, with the newest version. */
const handlers: Record<string, string> = {
  "Microsoft.Azure.Monitor/AzureMonitorWindowsAgent": "1.37.0.0",
  "Microsoft.Azure.Monitoring.DependencyAgent/DependencyAgentWindows": "9.10.18.4770",
  "Microsoft.Azure.NetworkWatcher/NetworkWatcherAgentWindows": "1.4.3422.1",
  "Microsoft.Compute/CustomScriptExtension": "1.10.20",
  "Microsoft.Azure.Security/IaaSAntimalware": "1.7.0.0",
  "Microsoft.Azure.KeyVault/KeyVaultForWindows": "3.4.3183.36",
};

export const extensions = (estate: Estate): ResourceType => ({
  type,
  manner: "compute",
  putInSeconds: 20,
  deleteInSeconds: 10,
  put: ({ id, name, body, existing }: Put) => {
    const { location, tags, properties } = parseBody(extensionSchema, body);
    const machine = runningMachineOf(estate, id);
    const { protectedSettings, ...shown } = properties;
    for (const value of Object.values(protectedSettings ?? {})) if (typeof value === "string") estate.platform.secrets.add(value);
    const handler = `${properties.publisher}.${properties.type}`;
    const known = Object.keys(handlers).find((one) => keyOf(one) === keyOf(`${properties.publisher}/${properties.type}`));
    if (known === undefined)
      throw new ArmError(
        404,
        "ArtifactNotFound",
        `The VM extension with publisher '${properties.publisher}' and type '${properties.type}' could not be found in location '${location}'.`,
      );
    const other = extensionsOf(estate, machine).find(
      (one) =>
        keyOf(one.name) !== keyOf(name) &&
        keyOf(`${String(one.body.properties["publisher"])}.${String(one.body.properties["type"])}`) === keyOf(handler),
    );
    if (other !== undefined)
      throw new ArmError(
        400,
        "BadRequest",
        `Multiple VMExtensions per handler not supported for OS type 'Windows'. VMExtension '${name}' with handler '${handler}' already added or specified in input.`,
      );
    if (existing !== undefined && keyOf(String(existing.body.properties["type"])) !== keyOf(properties.type))
      throw new ArmError(
        400,
        "BadRequest",
        `On resource '${machine.name}', extension '${name}' specifies type '${properties.type}' that does not match existing type '${String(existing.body.properties["type"])}' of extension in another instance of the resource.`,
      );
    return {
      location,
      facts: { handlerVersion: handlers[known] },
      body: { name, id, type, location, ...(tags === undefined ? {} : { tags }), properties: shown },
    };
  },
  present: (resource, { expand }) => ({
    ...resource.body,
    properties: {
      ...resource.body.properties,
      ...(expand?.toLowerCase() === "instanceview" ? { instanceView: extensionView(resource) } : {}),
    },
  }),
});

export const extensionsOf = (estate: Estate, machine: Stored): Stored[] =>
  estate.ofType(type).filter(({ id }) => keyOf(id).startsWith(`${keyOf(machine.id)}/`));

const statusOf = ({ body }: Stored): Json => {
  const state = String(body.properties["provisioningState"]).toLowerCase();
  return {
    code: `ProvisioningState/${state}`,
    level: state === "failed" ? "Error" : "Info",
    displayStatus: state === "succeeded" ? "Provisioning succeeded" : `Provisioning ${state}`,
  };
};

export const extensionView = (resource: Stored): Json => {
  const { publisher, type: kind, typeHandlerVersion } = resource.body.properties;
  return {
    name: resource.name,
    type: `${String(publisher)}.${String(kind)}`,
    typeHandlerVersion: resource.facts["handlerVersion"] ?? typeHandlerVersion,
    statuses: [statusOf(resource)],
  };
};

/** How the machine's agent sees what is installed. */
export const handlerView = (resource: Stored): Json => {
  const { name: _name, statuses: _statuses, ...view } = extensionView(resource);
  return { ...view, status: { code: "ProvisioningState/succeeded", level: "Info", displayStatus: "Ready" } };
};

/**
 * What Azure Monitor Agent gathers from machines: Microsoft.OperationalInsights/workspaces, Microsoft.Insights/dataCollectionRules, and
 * the associations that bind a machine to a rule. Nothing is gathered; what refers to what is checked.
 *
 * Sources: monitor's dataCollectionRules_API.json and dataCollectionRuleAssociations_API.json (2023-03-11); operationalinsights'
 * Workspaces.json (2023-09-01); "Structure of a data collection rule".
 */
import { randomBytes, randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const workspaceSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z
    .looseObject({
      sku: z.looseObject({ name: z.string() }).default({ name: "PerGB2018" }),
      retentionInDays: z.number().int().min(4).max(730).default(30),
    })
    .default({ sku: { name: "PerGB2018" }, retentionInDays: 30 }),
});

export const workspaces = (): ResourceType => ({
  type: "Microsoft.OperationalInsights/workspaces",
  manner: "sync",
  put: ({ id, name, body, existing }) => {
    const { location, tags, properties } = parseBody(workspaceSchema, body);
    if (!/^[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]$/.test(name))
      throw new ArmError(400, "InvalidParameter", `The workspace name '${name}' is invalid.`);
    return {
      location,
      body: {
        id,
        name,
        type: "Microsoft.OperationalInsights/workspaces",
        location,
        ...(tags === undefined ? {} : { tags }),
        properties: {
          ...properties,
          customerId: existing?.body.properties["customerId"] ?? randomUUID(),
          provisioningState: "Succeeded",
        },
      },
    };
  },
});

const named = z.looseObject({ name: z.string() });
const ruleSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  kind: z.enum(["Linux", "Windows"]).optional(),
  properties: z.looseObject({
    description: z.string().optional(),
    dataSources: z
      .looseObject({
        performanceCounters: z
          .array(
            named.extend({
              streams: z.array(z.string()).min(1),
              samplingFrequencyInSeconds: z.number().int().min(1).max(1800),
              counterSpecifiers: z.array(z.string()).min(1),
            }),
          )
          .optional(),
        windowsEventLogs: z
          .array(named.extend({ streams: z.array(z.string()).min(1), xPathQueries: z.array(z.string()).min(1) }))
          .optional(),
      })
      .optional(),
    destinations: z
      .looseObject({
        logAnalytics: z.array(named.extend({ workspaceResourceId: z.string() })).optional(),
        azureMonitorMetrics: named.optional(),
      })
      .optional(),
    dataFlows: z
      .array(z.looseObject({ streams: z.array(z.string()).min(1), destinations: z.array(z.string()).min(1) }))
      .optional(),
  }),
});

const ruleType = "Microsoft.Insights/dataCollectionRules";
const associationType = "Microsoft.Insights/dataCollectionRuleAssociations";

const invalid = (message: string): ArmError =>
  new ArmError(400, "InvalidPayload", "Data collection rule is invalid", { details: [{ code: "InvalidData", message }] });

export const dataCollectionRules = (estate: Estate): ResourceType => ({
  type: ruleType,
  manner: "sync",
  put: ({ id, name, body, existing }) => {
    const { location, tags, kind, properties } = parseBody(ruleSchema, body);
    const { destinations, dataFlows } = properties;
    const known = [
      ...(destinations?.logAnalytics ?? []).map((one) => one.name),
      ...(destinations?.azureMonitorMetrics === undefined ? [] : [destinations.azureMonitorMetrics.name]),
    ];
    for (const [flow, { destinations: asked }] of (dataFlows ?? []).entries())
      for (const destination of asked)
        if (!known.includes(destination))
          throw invalid(`'DataFlows[${flow}].Destinations' item '${destination}' doesn't match any destination of the rule.`);
    const logAnalytics = destinations?.logAnalytics?.map((destination) => {
      const workspace = estate.resource(destination.workspaceResourceId);
      if (workspace?.type !== "Microsoft.OperationalInsights/workspaces")
        throw invalid(`Workspace '${destination.workspaceResourceId}' of destination '${destination.name}' was not found.`);
      if (workspace.location !== location)
        throw invalid(
          `Workspace '${workspace.id}' is in '${workspace.location}'; it must be in the rule's region '${location}'.`,
        );
      return { ...destination, workspaceId: workspace.body.properties["customerId"] };
    });
    if (existing !== undefined && existing.body["kind"] !== kind) throw invalid("'Kind' of a rule can't be changed.");
    return {
      location,
      body: {
        id,
        name,
        type: ruleType,
        location,
        ...(tags === undefined ? {} : { tags }),
        ...(kind === undefined ? {} : { kind }),
        properties: {
          ...properties,
          ...(destinations === undefined ? {} : { destinations: { ...destinations, ...(logAnalytics ? { logAnalytics } : {}) } }),
          immutableId: existing?.body.properties["immutableId"] ?? `dcr-${randomBytes(16).toString("hex")}`,
          provisioningState: "Succeeded",
        },
      },
    };
  },
  checkDelete: (resource) => {
    const users = associationsOf(estate, resource);
    if (users.length === 0) return;
    throw new ArmError(
      409,
      "Conflict",
      `Data collection rule '${resource.name}' has ${users.length} associations. Remove them first, or ask for their removal with 'deleteAssociations=true'.`,
    );
  },
});

const associationsOf = (estate: Estate, rule: Stored): Stored[] =>
  estate.ofType(associationType).filter(({ body }) => sameId(body.properties["dataCollectionRuleId"], rule.id));

const associationSchema = z.looseObject({
  properties: z.looseObject({ dataCollectionRuleId: z.string(), description: z.string().optional() }),
});

export const dataCollectionRuleAssociations = (estate: Estate): ResourceType => ({
  type: associationType,
  manner: "sync",
  regional: false,
  put: ({ id, name, body }) => {
    const { properties } = parseBody(associationSchema, body);
    const machine = estate.resource(id.slice(0, id.toLowerCase().lastIndexOf("/providers/microsoft.insights/")));
    const rule = estate.resource(properties.dataCollectionRuleId);
    if (machine?.type !== "Microsoft.Compute/virtualMachines")
      throw new ArmError(501, "NotModelled", "The simulator associates rules with virtual machines only.");
    if (rule?.type !== ruleType)
      throw new ArmError(404, "NotFound", `Data collection rule '${properties.dataCollectionRuleId}' was not found.`);
    const kind = rule.body["kind"];
    if (kind !== undefined && kind !== "Windows")
      throw new ArmError(400, "InvalidPayload", `Rule '${rule.name}' of kind '${textOf(kind)}' can't be used on Windows.`);
    const { dataCollectionRuleId, description } = properties;
    const shown: Json = {
      dataCollectionRuleId,
      ...(description === undefined ? {} : { description }),
      provisioningState: "Succeeded",
    };
    return { location: "", body: { id, name, type: associationType, properties: shown } };
  },
});

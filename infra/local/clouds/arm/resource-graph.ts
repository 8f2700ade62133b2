/**
 * Azure Resource Graph over the simulated subscriptions: pages of at most 1,000 rows with `$skipToken`, a quota for each principal, tables
 * `Resources` and `HealthResources`. Sources: Microsoft's OpenAPI of Microsoft.ResourceGraph 2024-04-01; "Working with large data sets"
 * (page size, what has no skip token); "Guidance for throttled requests" (15 queries in 5 seconds, headers). It always knows the newest
 * state; the real one lags by seconds to minutes.
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { Claims, SimulatedResponse } from "../simulator.ts";
import type { Access } from "./access.ts";
import { ArmError, parseBody, requireApiVersion, type Json } from "./envelope.ts";
import { groupIdOf, type Estate, type Stored } from "./estate.ts";
import { QueryRefused, type Result, runQuery, type TableOfRows } from "./kusto.ts";
import type { ResourceType } from "./resource-type.ts";
import { availabilityOf, powerNames } from "./virtual-machines.ts";

const LARGEST_PAGE = 1000;
const QUERIES = 15;
const WINDOW_IN_SECONDS = 5;

const requestSchema = z.looseObject({
  subscriptions: z.array(z.string()).optional(),
  managementGroups: z.array(z.string()).max(0).optional(),
  query: z.string().min(1),
  options: z
    .looseObject({
      $skipToken: z.string().optional(),
      $top: z.number().int().min(1).max(LARGEST_PAGE).optional(),
      $skip: z.number().int().min(0).optional(),
      resultFormat: z.enum(["objectArray", "table"]).optional(),
    })
    .default({}),
});

export interface GraphCall {
  claims: Claims;
  query: URLSearchParams;
  body: unknown;
}

/** POST /providers/Microsoft.ResourceGraph/resources. */
export function createResourceGraph(
  estate: Estate,
  access: Access,
  types: Map<string, ResourceType>,
): (call: GraphCall) => SimulatedResponse {
  const quota = createQuota(estate);
  return ({ claims, query, body }) => {
    requireApiVersion(query, "Microsoft.ResourceGraph");
    const headers = quota(claims.oid);
    const asked = parseBody(requestSchema, body);
    const { $skipToken, $top = LARGEST_PAGE, $skip = 0, resultFormat = "objectArray" } = asked.options;
    if (resultFormat !== "objectArray") throw new ArmError(501, "NotModelled", "The simulator answers with objectArray only.");
    const subscriptions = readable(estate, access, claims, asked.subscriptions);
    const result = resultOf(estate, asked.query, (name) => tableNamed(estate, types, subscriptions, name));
    const start = $skipToken === undefined ? { offset: $skip, size: $top } : startOf($skipToken, asked.query);
    const data = result.rows.slice(start.offset, start.offset + start.size);
    const next = start.offset + data.length;
    // Without `id` among the columns there is no way on; nor when the query itself was limited.
    const goesOn = next < result.rows.length && result.columns.includes("id") && !result.limited;
    return {
      status: 200,
      headers: { ...headers, "x-ms-resource-graph-request-duration": "0:00:00:00.0000000" },
      body: {
        totalRecords: result.rows.length,
        count: data.length,
        data,
        facets: [],
        resultTruncated: next < result.rows.length && !goesOn ? "true" : "false",
        ...(goesOn ? { $skipToken: tokenOf({ offset: next, size: start.size, query: asked.query }) } : {}),
      },
    };
  };
}

/** A window begins with its first query. At tempo 0 it is over at once. */
function createQuota(estate: Estate): (principalId: string) => Record<string, string> {
  const windows = new Map<string, { endsAt: number; used: number }>();
  return (principalId) => {
    const now = estate.platform.now();
    const known = windows.get(principalId);
    const window =
      known !== undefined && now < known.endsAt ? known : { endsAt: now + estate.duration(WINDOW_IN_SECONDS), used: 0 };
    windows.set(principalId, window);
    const resetsIn = Math.ceil((window.endsAt - now) / 1000);
    const resetsAfter = new Date(resetsIn * 1000).toISOString().slice(11, 19);
    window.used += 1;
    const headers = {
      "x-ms-user-quota-remaining": String(Math.max(0, QUERIES - window.used)),
      "x-ms-user-quota-resets-after": resetsAfter,
    };
    if (window.used <= QUERIES) return headers;
    throw new ArmError(429, "RateLimiting", askingForSupport(estate), {
      headers: { ...headers, "retry-after": String(Math.max(1, resetsIn)) },
      details: [
        {
          code: "RateLimiting",
          message:
            "Client application has been throttled and should not attempt to repeat the request until an amount of time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.",
        },
      ],
    });
  };
}

const askingForSupport = ({ platform }: Estate): string =>
  `Please provide below info when asking for support: timestamp = ${new Date(platform.now()).toISOString()}, correlationId = ${randomUUID()}.`;

/** What the principal can't read is left out without a word; only when nothing is left, the query is refused. */
function readable(estate: Estate, access: Access, claims: Claims, asked: string[] | undefined): Set<string> {
  const ofTenant = estate.platform.organizations
    .values()
    .filter(({ tenantId, subscriptionId }) => tenantId.toLowerCase() === claims.tid.toLowerCase() && subscriptionId !== undefined)
    .map(({ subscriptionId }) => String(subscriptionId).toLowerCase());
  const eligible = asked === undefined ? ofTenant : ofTenant.filter((id) => asked.some((one) => one.toLowerCase() === id));
  const seen = eligible.filter((id) => access.rolesOf(claims.oid, `/subscriptions/${id}`).length > 0);
  if (seen.length > 0) return new Set(seen);
  if (eligible.length > 0)
    throw new ArmError(403, "AccessDenied", askingForSupport(estate), {
      details: [
        {
          code: "AccessDenied",
          message: "Access is denied to the requested resource. The user might not have enough permission.",
        },
      ],
    });
  throw new ArmError(400, "BadRequest", askingForSupport(estate), {
    details: [
      {
        code: "NoValidSubscriptionsInQueryRequest",
        message: `There must be at least one subscription that is eligible to contain resources. Given: '${(asked ?? []).join(", ")}'.`,
      },
    ],
  });
}

function resultOf(estate: Estate, query: string, tables: (name: string) => TableOfRows | undefined): Result {
  try {
    return runQuery(query, tables);
  } catch (error) {
    if (!(error instanceof QueryRefused)) throw error;
    throw new ArmError(400, "BadRequest", askingForSupport(estate), {
      details: [
        {
          code: "InvalidQuery",
          message:
            "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error before retrying.",
        },
        error.finding,
      ],
    });
  }
}

/** Opaque to clients; good for the same query only. */
const tokenOf = (token: { offset: number; size: number; query: string }): string =>
  Buffer.from(JSON.stringify(token)).toString("base64url");

const tokenSchema = z.object({ offset: z.number().int().min(0), size: z.number().int().min(1), query: z.string() });

function startOf(token: string, query: string): { offset: number; size: number } {
  try {
    const read = tokenSchema.parse(JSON.parse(Buffer.from(token, "base64url").toString("utf8")));
    if (read.query === query) return read;
  } catch {
    // not one of ours: refused like one of another query
  }
  throw new ArmError(400, "BadRequest", "The skip token is invalid.", {
    details: [{ code: "InvalidSkipToken", message: "The skip token is not one of this query's." }],
  });
}

const resourceColumns = [
  "id",
  "name",
  "type",
  "tenantId",
  "kind",
  "location",
  "resourceGroup",
  "subscriptionId",
  "managedBy",
  "sku",
  "plan",
  "properties",
  "tags",
  "identity",
  "zones",
  "extendedLocation",
] as const;

function tableNamed(
  estate: Estate,
  types: Map<string, ResourceType>,
  subscriptions: Set<string>,
  name: string,
): TableOfRows | undefined {
  const inScope = ({ id }: Stored): boolean => subscriptions.has(id.split("/")[2]?.toLowerCase() ?? "");
  switch (name.toLowerCase()) {
    case "resources":
      return {
        columns: resourceColumns,
        rows: () =>
          [...types.values()].flatMap(({ type }) =>
            estate
              .ofType(type)
              .filter(inScope)
              .map((one) => resourceRow(estate, one)),
          ),
      };
    case "healthresources":
      return {
        columns: resourceColumns,
        rows: () =>
          estate
            .ofType("Microsoft.Compute/virtualMachines")
            .filter(inScope)
            .map((one) => healthRow(estate, one)),
      };
  }
  return undefined;
}

function resourceRow(estate: Estate, { id, name, type, location, body, facts }: Stored): Json {
  const { tags = null, sku = null, kind = "", identity = null, zones = null } = body;
  const power = String(facts["power"]);
  const extended =
    type === "Microsoft.Compute/virtualMachines"
      ? {
          extended: {
            instanceView: {
              powerState: { code: `PowerState/${power}`, displayStatus: powerNames[power] ?? power, level: "Info" },
            },
          },
        }
      : {};
  return {
    ...whereIs(estate, id),
    id,
    name,
    // Resource Graph keeps types in lower case.
    type: type.toLowerCase(),
    kind,
    location,
    managedBy: "",
    sku,
    plan: null,
    properties: { ...body.properties, ...extended },
    tags,
    identity,
    zones,
    extendedLocation: null,
  };
}

function healthRow(estate: Estate, machine: Stored): Json {
  const health = availabilityStatus(estate, machine);
  return {
    ...whereIs(estate, machine.id),
    id: health["id"],
    name: "current",
    type: "microsoft.resourcehealth/availabilitystatuses",
    kind: "",
    location: machine.location,
    managedBy: "",
    sku: null,
    plan: null,
    properties: {
      targetResourceType: "Microsoft.Compute/virtualMachines",
      targetResourceId: machine.id,
      availabilityState: availabilityOf(machine),
      previousAvailabilityState: "Unknown",
      occurredTime: new Date(estate.platform.now()).toISOString(),
    },
    tags: null,
    identity: null,
    zones: null,
    extendedLocation: null,
  };
}

const whereIs = ({ platform }: Estate, id: string): Json => {
  const subscriptionId = id.split("/")[2] ?? "";
  const owner = platform.organizations.values().find((one) => one.subscriptionId?.toLowerCase() === subscriptionId.toLowerCase());
  return { tenantId: owner?.tenantId ?? "", subscriptionId, resourceGroup: groupIdOf(id).split("/")[4]?.toLowerCase() ?? "" };
};

/** GET {virtual machine}/providers/Microsoft.ResourceHealth/availabilityStatuses/current. */
export function availabilityStatus(estate: Estate, machine: Stored): Json {
  const availabilityState = availabilityOf(machine);
  const power = String(machine.facts["power"]);
  const now = new Date(estate.platform.now()).toISOString();
  return {
    id: `${machine.id}/providers/Microsoft.ResourceHealth/availabilityStatuses/current`,
    name: "current",
    type: "Microsoft.ResourceHealth/AvailabilityStatuses",
    location: machine.location,
    properties: {
      availabilityState,
      title: availabilityState,
      summary:
        availabilityState === "Available"
          ? "There aren't any known Azure platform problems affecting this virtual machine."
          : power === "running"
            ? "We're sorry, your virtual machine isn't available because of a problem of the Azure platform."
            : "This virtual machine is stopped as requested by an authorized user or process.",
      reasonType: power === "running" ? "Unplanned" : "UserInitiated",
      occuredTime: now,
      reasonChronicity: "Persistent",
      reportedTime: now,
    },
  };
}

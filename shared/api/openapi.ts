/** The OpenAPI 3.1 document, made from the route table. */
import * as z from "zod";
import { errorDetailSchema, errorResponseSchema } from "./error.ts";
import { consentSchema, tenantSchema } from "./tenant.ts";
import { meSchema } from "./caller.ts";
import { eventSchema } from "./event.ts";
import { gatewaySchema } from "./gateway.ts";
import { tenantOutcomesSchema } from "./mail-flow.ts";
import { operationSchema, operationSummarySchema } from "./operation.ts";
import { partnerInputSchema, partnerSchema } from "./partner.ts";
import { applyInputSchema, planInputSchema, planSchema } from "./plan.ts";
import type { Route } from "./route.ts";
import { apiVersion, apiVersions, routes } from "./routes.ts";
import { tenantSpecSchema } from "../tenants/spec.ts";

type Json = Record<string, unknown>;

const named: Record<string, z.ZodType> = {
  ApplyInput: applyInputSchema,
  Consent: consentSchema,
  ErrorDetail: errorDetailSchema,
  ErrorResponse: errorResponseSchema,
  Event: eventSchema,
  Gateway: gatewaySchema,
  Me: meSchema,
  Operation: operationSchema,
  OperationSummary: operationSummarySchema,
  TenantOutcomes: tenantOutcomesSchema,
  Partner: partnerSchema,
  PartnerInput: partnerInputSchema,
  Plan: planSchema,
  PlanInput: planInputSchema,
  Tenant: tenantSchema,
  TenantSpec: tenantSpecSchema,
};

// "input": a field with a default isn't required of a request, and an answer may have more fields than a client knows.
const conversion = { io: "input", target: "draft-2020-12", unrepresentable: "any" } as const;

/** `authorityHost` is Entra's, for the security scheme. */
export function openapiDocument({
  publicUrl,
  authorityHost,
  applicationId,
}: {
  publicUrl: string;
  authorityHost: string;
  applicationId: string;
}): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { ...conversion, uri: (id) => `#/components/schemas/${id}` });
  const paths: Record<string, Record<string, Json>> = {};
  for (const [operationId, route] of Object.entries<Route>(routes)) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operationOf(operationId, route);
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Gatehouse",
      version: apiVersion,
      description: "Builds hosted mail gateways in Azure, connects them to Microsoft 365 and proves that mail flows.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: publicUrl }],
    tags: [...new Set(Object.values<Route>(routes).map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutIds(schema)])),
      parameters: {
        apiVersion: { name: "api-version", in: "query", required: true, schema: { type: "string", enum: [...apiVersions] } },
        ifMatch: {
          name: "If-Match",
          in: "header",
          schema: { type: "string" },
          description: "The ETag that must still be current; else 412.",
        },
        ifNoneMatch: {
          name: "If-None-Match",
          in: "header",
          schema: { type: "string" },
          description: "GET: the ETag that is known already (304). PUT: `*` to create only.",
        },
      },
      securitySchemes: {
        entra: {
          type: "openIdConnect",
          openIdConnectUrl: `${authorityHost}/common/v2.0/.well-known/openid-configuration`,
          description: `Client credentials of a registered application, scope ${applicationId}/.default.`,
        },
      },
    },
  };
}

function operationOf(operationId: string, route: Route): Json {
  return {
    operationId,
    tags: [route.tag],
    summary: route.summary,
    security: route.roles === "anyone" ? [] : [{ entra: [...route.roles] }],
    parameters: parametersOf(route),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: route.bodyOptional !== true,
            content: { "application/json": { schema: schemaOf(route.body) } },
          },
        }),
    responses: responsesOf(route),
  };
}

function parametersOf(route: Route): Json[] {
  const parts = { path: route.params, query: route.query, header: route.headers };
  const own = Object.entries(parts).flatMap(([where, part]) => {
    if (part === undefined) return [];
    const { properties = {}, required = [] } = z.toJSONSchema(part, conversion);
    return Object.entries(properties).map(([name, schema]) => ({ name, in: where, required: required.includes(name), schema }));
  });
  const shared = [
    ...(route.versioned === false ? [] : ["apiVersion"]),
    ...(route.etag && route.method !== "GET" ? ["ifMatch"] : []),
    ...(route.etag && route.method !== "DELETE" ? ["ifNoneMatch"] : []),
  ];
  return [...own, ...shared.map((name) => ({ $ref: `#/components/parameters/${name}` }))];
}

function responsesOf(route: Route): Json {
  const text = { type: "string" };
  const headers = {
    "x-ms-request-id": { schema: text },
    ...(route.etag && route.method !== "DELETE" ? { ETag: { schema: text } } : {}),
    ...(route.longRunning
      ? { "Operation-Location": { schema: { type: "string", format: "uri" } }, "Retry-After": { schema: { type: "integer" } } }
      : {}),
  };
  const good = Object.entries(route.answers).map(([status, answer]) => [
    status,
    { description: route.summary, headers, ...contentOf(answer) },
  ]);
  const unchanged =
    route.etag && route.method === "GET" ? [["304", { description: "Unchanged since the ETag in If-None-Match" }]] : [];
  const refused = {
    description: "Refused, with a code of the catalogue",
    headers: { "x-ms-error-code": { schema: text }, "x-ms-request-id": { schema: text } },
    content: Object.values(route.answers).includes("html")
      ? { "text/html": { schema: text } }
      : { "application/json": { schema: schemaOf(errorResponseSchema) } },
  };
  return { ...Object.fromEntries([...good, ...unchanged]), default: refused };
}

function contentOf(answer: z.ZodType | "html" | "bytes" | "empty"): Json {
  if (answer === "empty") return {};
  if (answer === "bytes") return { content: { "application/gzip": {} } };
  if (answer === "html") return { content: { "text/html": { schema: { type: "string" } } } };
  return { content: { "application/json": { schema: schemaOf(answer) } } };
}

/** Named schemas by reference, also inside a page; others in place. */
function schemaOf(schema: z.ZodType): Json {
  const id = Object.keys(named).find((name) => named[name] === schema);
  if (id !== undefined) return { $ref: `#/components/schemas/${id}` };
  const item = schema instanceof z.ZodObject && schema.shape.value instanceof z.ZodArray ? schema.shape.value.element : undefined;
  const inPlace = withoutIds(z.toJSONSchema(schema, conversion));
  if (item instanceof z.ZodType && typeof inPlace.properties === "object") {
    const { $defs: _definitions, properties, ...page } = inPlace;
    return { ...page, properties: { ...properties, value: { type: "array", items: schemaOf(item) } } };
  }
  return inPlace;
}

const withoutIds = ({ $schema: _dialect, $id: _id, ...schema }: Json): Json => schema;

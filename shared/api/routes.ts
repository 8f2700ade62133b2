/** The route table: what stands here is what the API has. A route's key is its name, its function's name and its operationId. */
import * as z from "zod";
import { tenantIdSchema, tenantSpecSchema } from "../tenants/spec.ts";
import { meSchema } from "./caller.ts";
import { acknowledgementSchema, caseIdSchema, caseStates, delistingSchema } from "./delisting.ts";
import { directoryRefreshSchema, directorySchema } from "./directory.ts";
import { blocklistsSchema, listingSchema } from "./listing.ts";
import { credentialListSchema } from "./credential.ts";
import { operationIdSchema, operationSchema, operationStatuses, operationSummarySchema } from "./operation.ts";
import { eventSchema, eventTypeSchema } from "./event.ts";
import { gatewayIdSchema } from "./gateway-id.ts";
import { gatewayDetailSchema, gatewaySchema } from "./gateway.ts";
import { heartbeatAcceptedSchema, heartbeatInputSchema, vmIdSchema } from "./heartbeat.ts";
import { pageOf, pageQuery } from "./page.ts";
import { partnerIdSchema, partnerInputSchema, partnerSchema } from "./partner.ts";
import { onboardInputSchema, planSchema } from "./plan.ts";
import { defineRoute, type Route } from "./route.ts";
import { healthSchema, readinessSchema } from "./service.ts";
import { consentSchema, tenantSchema } from "./tenant.ts";

/** Newest last; a request names one of them. */
export const apiVersions = ["2026-11-01"] as const;
export const apiVersion = apiVersions[apiVersions.length - 1] as (typeof apiVersions)[number];

const tenantParams = z.object({ tenantId: tenantIdSchema });
const partnerParams = z.object({ partnerId: partnerIdSchema });
/** An operator names the partner whose things to read; a partner sees its own anyway. */
const ofPartner = { partnerId: partnerIdSchema.optional().describe("For operators: whose. Partners leave it out.") };

export const routes = {
  putPartner: defineRoute({
    method: "PUT",
    path: "/api/partners/{partnerId}",
    tag: "Partners",
    summary: "Register a partner, or change its registration",
    roles: ["Operator"],
    params: partnerParams,
    body: partnerInputSchema,
    answers: { 200: partnerSchema, 201: partnerSchema },
    etag: true,
  }),
  getPartner: defineRoute({
    method: "GET",
    path: "/api/partners/{partnerId}",
    tag: "Partners",
    summary: "Read a partner",
    roles: ["Operator"],
    params: partnerParams,
    answers: { 200: partnerSchema },
    etag: true,
  }),
  listPartners: defineRoute({
    method: "GET",
    path: "/api/partners",
    tag: "Partners",
    summary: "List the partners",
    roles: ["Operator"],
    query: z.strictObject(pageQuery),
    answers: { 200: pageOf(partnerSchema) },
  }),
  getMe: defineRoute({
    method: "GET",
    path: "/api/me",
    tag: "Service",
    summary: "Who am I",
    roles: ["Partner", "Operator"],
    answers: { 200: meSchema },
  }),
  putTenant: defineRoute({
    method: "PUT",
    path: "/api/tenants/{tenantId}",
    tag: "Tenants",
    summary: "Register a tenant, or change what is wanted for it before it is onboarded",
    roles: ["Partner"],
    params: tenantParams,
    body: tenantSpecSchema,
    answers: { 200: tenantSchema, 201: tenantSchema },
    etag: true,
  }),
  getTenant: defineRoute({
    method: "GET",
    path: "/api/tenants/{tenantId}",
    tag: "Tenants",
    summary: "Read a tenant",
    roles: ["Partner", "Operator"],
    params: tenantParams,
    query: z.strictObject(ofPartner),
    answers: { 200: tenantSchema },
    etag: true,
  }),
  deleteTenant: defineRoute({
    method: "DELETE",
    path: "/api/tenants/{tenantId}",
    tag: "Tenants",
    summary: "Delete a tenant that was never onboarded",
    roles: ["Partner"],
    params: tenantParams,
    answers: { 204: "empty" },
    etag: true,
  }),
  listTenants: defineRoute({
    method: "GET",
    path: "/api/tenants",
    tag: "Tenants",
    summary: "List a partner's tenants",
    roles: ["Partner", "Operator"],
    query: z.strictObject({ ...ofPartner, ...pageQuery }),
    answers: { 200: pageOf(tenantSchema) },
  }),
  planOnboarding: defineRoute({
    method: "POST",
    path: "/api/tenants/{tenantId}/plan",
    tag: "Onboarding",
    summary: "Find out what onboarding would do, without doing it",
    roles: ["Partner"],
    params: tenantParams,
    answers: { 200: planSchema },
  }),
  startOnboarding: defineRoute({
    method: "POST",
    path: "/api/tenants/{tenantId}/onboard",
    tag: "Onboarding",
    summary: "Onboard a tenant; asking twice with the same Operation-Id is asking once",
    roles: ["Partner"],
    params: tenantParams,
    headers: z.object({
      "operation-id": operationIdSchema.optional().describe("The operation's id, chosen by the caller: makes repeating safe."),
    }),
    body: onboardInputSchema,
    bodyOptional: true,
    answers: { 202: operationSchema },
    longRunning: true,
  }),
  getConsent: defineRoute({
    method: "GET",
    path: "/api/tenants/{tenantId}/consent",
    tag: "Onboarding",
    summary: "The link with which the customer's administrator consents to our application",
    roles: ["Partner"],
    params: tenantParams,
    answers: { 200: consentSchema },
  }),
  acceptConsent: defineRoute({
    method: "GET",
    path: "/api/consent/callback",
    tag: "Onboarding",
    summary: "Where Entra's consent page sends the administrator's browser",
    roles: "anyone",
    versioned: false,
    // Entra adds parameters of its own as it likes, so others than these are let through.
    query: z.looseObject({
      admin_consent: z.string().max(16).optional(),
      tenant: z.string().max(256).optional(),
      state: z.string().max(4096).optional(),
      scope: z.string().max(4096).optional(),
      error: z.string().max(256).optional(),
      error_description: z.string().max(4096).optional(),
    }),
    answers: { 200: "html", 400: "html" },
  }),
  listCredentials: defineRoute({
    method: "GET",
    path: "/api/tenants/{tenantId}/credentials",
    tag: "Rotation",
    summary: "List a tenant's credentials: until when they are good",
    roles: ["Partner"],
    params: tenantParams,
    answers: { 200: credentialListSchema },
  }),
  listOperations: defineRoute({
    method: "GET",
    path: "/api/operations",
    tag: "Operations",
    summary: "List operations, newest first",
    roles: ["Partner", "Operator"],
    query: z.strictObject({
      ...ofPartner,
      tenantId: tenantIdSchema.optional(),
      status: z.enum(operationStatuses).optional(),
      ...pageQuery,
    }),
    answers: { 200: pageOf(operationSummarySchema) },
  }),
  getOperation: defineRoute({
    method: "GET",
    path: "/api/operations/{operationId}",
    tag: "Operations",
    summary: "Status monitor of an operation",
    roles: ["Partner", "Operator"],
    params: z.object({ operationId: operationIdSchema }),
    query: z.strictObject(ofPartner),
    answers: { 200: operationSchema },
    etag: true,
  }),
  listListings: defineRoute({
    method: "GET",
    path: "/api/listings",
    tag: "Blocklists",
    summary: "List the addresses that a blocklist has",
    roles: ["Partner", "Operator"],
    query: z.strictObject({ ...ofPartner, ...pageQuery }),
    answers: { 200: pageOf(listingSchema) },
  }),
  listBlocklists: defineRoute({
    method: "GET",
    path: "/api/blocklists",
    tag: "Blocklists",
    summary: "The blocklists that are asked, and whether they can be believed at the moment",
    roles: ["Partner", "Operator"],
    answers: { 200: blocklistsSchema },
  }),
  listDelistings: defineRoute({
    method: "GET",
    path: "/api/delistings",
    tag: "Delisting",
    summary: "List delisting cases",
    roles: ["Partner", "Operator"],
    query: z.strictObject({
      ...ofPartner,
      tenantId: tenantIdSchema.optional(),
      state: z.enum(caseStates).optional(),
      ...pageQuery,
    }),
    answers: { 200: pageOf(delistingSchema) },
  }),
  getDelisting: defineRoute({
    method: "GET",
    path: "/api/delistings/{caseId}",
    tag: "Delisting",
    summary: "Read a delisting case with its evidence and task",
    roles: ["Partner", "Operator"],
    params: z.object({ caseId: caseIdSchema }),
    query: z.strictObject(ofPartner),
    answers: { 200: delistingSchema },
    etag: true,
  }),
  acknowledgeDelisting: defineRoute({
    method: "POST",
    path: "/api/delistings/{caseId}/acknowledge",
    tag: "Delisting",
    summary: "Say that the removal was asked for; saying it twice is saying it once",
    roles: ["Partner", "Operator"],
    params: z.object({ caseId: caseIdSchema }),
    query: z.strictObject(ofPartner),
    body: acknowledgementSchema,
    bodyOptional: true,
    answers: { 200: delistingSchema },
  }),
  getDirectory: defineRoute({
    method: "GET",
    path: "/api/tenants/{tenantId}/directory",
    tag: "Tenants",
    summary: "Read how a tenant's directory stands",
    roles: ["Partner", "Operator"],
    params: tenantParams,
    query: z.strictObject(ofPartner),
    answers: { 200: directorySchema },
  }),
  startDirectoryRefresh: defineRoute({
    method: "POST",
    path: "/api/tenants/{tenantId}/directory/refresh",
    tag: "Tenants",
    summary: "Look now what changed in a tenant's directory, and accept a loss that is held",
    roles: ["Partner", "Operator"],
    params: tenantParams,
    query: z.strictObject(ofPartner),
    body: directoryRefreshSchema,
    bodyOptional: true,
    answers: { 202: directorySchema },
  }),
  listGateways: defineRoute({
    method: "GET",
    path: "/api/gateways",
    tag: "Gateways",
    summary: "List gateways and how they are",
    roles: ["Partner", "Operator"],
    query: z.strictObject({ ...ofPartner, ...pageQuery }),
    answers: { 200: pageOf(gatewaySchema) },
  }),
  getGateway: defineRoute({
    method: "GET",
    path: "/api/gateways/{gatewayId}",
    tag: "Gateways",
    summary: "Read a gateway",
    roles: ["Partner", "Operator"],
    params: z.object({ gatewayId: gatewayIdSchema }),
    query: z.strictObject(ofPartner),
    answers: { 200: gatewayDetailSchema },
  }),
  postHeartbeat: defineRoute({
    method: "POST",
    path: "/api/agents/{vmId}/heartbeat",
    tag: "Gateways",
    summary: "A machine says how it is, with its own managed identity",
    roles: ["Machine"],
    params: z.object({ vmId: vmIdSchema }),
    body: heartbeatInputSchema,
    answers: { 202: heartbeatAcceptedSchema },
  }),
  listEvents: defineRoute({
    method: "GET",
    path: "/api/events",
    tag: "Events",
    summary: "List what changed, newest first",
    roles: ["Partner", "Operator"],
    query: z.strictObject({ ...ofPartner, tenantId: tenantIdSchema.optional(), type: eventTypeSchema.optional(), ...pageQuery }),
    answers: { 200: pageOf(eventSchema) },
  }),
  getHealth: defineRoute({
    method: "GET",
    path: "/healthz",
    tag: "Service",
    summary: "Whether the process lives",
    roles: "anyone",
    versioned: false,
    answers: { 200: healthSchema },
  }),
  getReadiness: defineRoute({
    method: "GET",
    path: "/readyz",
    tag: "Service",
    summary: "Whether what the service depends on answers",
    roles: "anyone",
    versioned: false,
    answers: { 200: readinessSchema, 503: readinessSchema },
  }),
  getOpenapi: defineRoute({
    method: "GET",
    path: "/api/openapi.json",
    tag: "Service",
    summary: "This API's OpenAPI 3.1 document",
    roles: "anyone",
    versioned: false,
    answers: { 200: z.record(z.string(), z.unknown()) },
    etag: true,
  }),
} satisfies Record<string, Route>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;

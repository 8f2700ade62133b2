/** What every answer of Azure Resource Manager has in common: error bodies, request ids, api-versions, readable request bodies. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { SimulatedRequest, SimulatedResponse } from "../simulator.ts";

export type Json = Record<string, unknown>;

/** Text or number as text; what else it may be, or nothing, is the alternative. */
export const textOf = (value: unknown, otherwise = ""): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : otherwise;

export interface ErrorDetail {
  code: string;
  message: string;
  target?: string;
}

/** ARM's `error` object as a refusal that a provider throws. Source: ARM's common-types v5 ErrorDetail. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly target: string | undefined;
  readonly details: ErrorDetail[] | undefined;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { target?: string; details?: ErrorDetail[]; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = "ArmError";
    this.status = status;
    this.code = code;
    this.target = options.target;
    this.details = options.details;
    this.headers = options.headers ?? {};
  }
}

export const errorBody = ({
  code,
  message,
  target,
  details,
}: Pick<ArmError, "code" | "message" | "target" | "details">): Json => ({
  error: { code, message, ...(target === undefined ? {} : { target }), ...(details === undefined ? {} : { details }) },
});

/** The headers that ARM puts on every answer, the caller's correlation id included. */
export function envelope(request: SimulatedRequest, response: SimulatedResponse): SimulatedResponse {
  const requestId = randomUUID();
  return {
    ...response,
    headers: {
      "cache-control": "no-cache",
      "x-ms-request-id": requestId,
      "x-ms-correlation-request-id": request.headers["x-ms-correlation-request-id"] ?? requestId,
      "x-ms-routing-request-id": `LOCAL:${requestId}`,
      "strict-transport-security": "max-age=31536000; includeSubDomains",
      ...(request.headers["x-ms-client-request-id"] === undefined
        ? {}
        : { "x-ms-client-request-id": request.headers["x-ms-client-request-id"] }),
      ...(response.body === undefined ? {} : { "content-type": "application/json; charset=utf-8" }),
      ...response.headers,
    },
  };
}

/** Reads a request's body as ARM's front end does: what does not fit is refused before a provider sees it. */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join(".") ?? "";
  if (path === "location") throw new ArmError(400, "LocationRequired", "The location property is required for this definition.");
  throw new ArmError(
    400,
    "InvalidRequestContent",
    `The request content was invalid and could not be deserialized: '${issue?.message ?? "body expected"}. Path '${path}'.'.`,
  );
}

/** Versions that the newest SDKs send and the recent ones before them (research: npm metadata of the arm-* packages). */
const versionsOf: Record<string, string[]> = {
  "microsoft.network": [
    "2024-01-01",
    "2024-03-01",
    "2024-05-01",
    "2024-10-01",
    "2025-03-01",
    "2025-05-01",
    "2025-07-01",
    "2025-09-01",
    "2026-01-01",
  ],
  "microsoft.compute": ["2024-07-01", "2024-11-01", "2025-04-01", "2025-11-01", "2026-03-01", "2026-04-01"],
  "microsoft.compute/disks": ["2024-03-02", "2025-01-02", "2026-03-02"],
  "microsoft.compute/skus": ["2021-07-01"],
  "microsoft.network/dnszones": ["2018-05-01"],
  "microsoft.storage": ["2023-01-01", "2023-05-01", "2024-01-01", "2025-01-01", "2026-09-01"],
  "microsoft.sql": ["2020-11-01-preview", "2021-11-01", "2022-08-01-preview", "2023-08-01", "2025-01-01"],
  "microsoft.operationalinsights": ["2022-10-01", "2023-09-01", "2025-02-01"],
  "microsoft.insights/diagnosticsettings": ["2021-05-01-preview"],
  "microsoft.insights/datacollectionrules": ["2022-06-01", "2023-03-11", "2024-03-11"],
  "microsoft.insights/datacollectionruleassociations": ["2022-06-01", "2023-03-11", "2024-03-11"],
  "microsoft.insights/eventtypes": ["2015-04-01"],
  "microsoft.devtestlab": ["2018-09-15"],
  "microsoft.marketplaceordering": ["2015-06-01", "2021-01-01"],
  "microsoft.keyvault": ["2023-07-01", "2024-11-01", "2025-05-01", "2026-02-01"],
  "microsoft.managedidentity": ["2023-01-31", "2024-11-30"],
  "microsoft.authorization": ["2020-10-01", "2022-04-01"],
  "microsoft.resourcegraph": ["2021-03-01", "2022-10-01", "2024-04-01"],
  "microsoft.resourcehealth": ["2022-10-01", "2025-05-01"],
  "microsoft.resources": [
    "2020-01-01",
    "2021-01-01",
    "2021-04-01",
    "2022-12-01",
    "2024-03-01",
    "2024-07-01",
    "2025-03-01",
    "2025-04-01",
  ],
};

/** Operation results accept every version that their namespace knows. */
export function requireApiVersion(query: URLSearchParams, namespace: string, type?: string): string {
  const asked = query.get("api-version");
  if (asked === null || asked === "")
    throw new ArmError(
      400,
      "MissingApiVersionParameter",
      "The api-version query parameter (?api-version=) is required for all requests.",
    );
  const exact = type === undefined ? undefined : versionsOf[`${namespace}/${type.split("/")[0]}`.toLowerCase()];
  const known = exact ?? versionsOf[namespace.toLowerCase()];
  if (known === undefined)
    throw new ArmError(404, "InvalidResourceNamespace", `The resource namespace '${namespace}' is invalid.`);
  const all =
    type === undefined
      ? Object.entries(versionsOf).flatMap(([key, versions]) => (key.startsWith(namespace.toLowerCase()) ? versions : []))
      : known;
  if (all.includes(asked)) return asked;
  if (!/^\d{4}-\d{2}-\d{2}(-[a-z]+)?$/.test(asked) || namespace.toLowerCase() === "microsoft.resources")
    throw new ArmError(
      400,
      "InvalidApiVersionParameter",
      `The api-version '${asked}' is invalid. The supported versions are '${all.toReversed().join(",")}'.`,
    );
  throw new ArmError(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for API version '${asked}' for type '${type ?? "operations"}'. The supported api-versions are '${all.join(", ")}'.`,
  );
}

export const versionsKnown = (namespace: string, type: string): string[] =>
  (versionsOf[`${namespace}/${type.split("/")[0]}`.toLowerCase()] ?? versionsOf[namespace.toLowerCase()] ?? []).toReversed();

/** One page of a list with `nextLink`; `$top` and the page size bound it, `$skiptoken` is opaque to clients. */
export function page(
  call: { endpoint: string; path: string; query: URLSearchParams },
  all: unknown[],
  size = 100,
): SimulatedResponse {
  const token = call.query.get("$skiptoken");
  const offset = token === null ? 0 : Number(Buffer.from(token, "base64url").toString("utf8"));
  if (!Number.isSafeInteger(offset) || offset < 0) throw new ArmError(400, "InvalidSkipToken", "The skip token is invalid.");
  const top = Number(call.query.get("$top") ?? size);
  const value = all.slice(offset, offset + Math.max(1, Math.min(size, top)));
  const next = offset + value.length;
  if (next >= all.length) return { status: 200, body: { value } };
  const query = new URLSearchParams(call.query);
  query.set("$skiptoken", Buffer.from(String(next)).toString("base64url"));
  return { status: 200, body: { value, nextLink: `${call.endpoint}${call.path}?${query.toString()}` } };
}

export const tagsSchema = z
  .record(z.string().max(512), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= 50, "at most 50 tags");

/** What one route of the API is: the entry from which router, validator, OpenAPI document and typed client are made. */
import type * as z from "zod";

export type Role = "Partner" | "Operator" | "Machine";

export interface Route {
  method: "GET" | "PUT" | "POST" | "DELETE";
  /** Absolute path with `{parameter}` segments, as it stands in the OpenAPI document. */
  path: string;
  tag: string;
  summary: string;
  /** Who may call: these roles, or anyone, even without a token. */
  roles: readonly Role[] | "anyone";
  /** False for the few routes that exist in every version; the others require `api-version`. */
  versioned?: false;
  params?: z.ZodObject;
  query?: z.ZodObject;
  /** Request headers that mean something here beyond those that every route has. */
  headers?: z.ZodObject;
  body?: z.ZodType;
  /** The body may be left out; then it reads as `{}`. */
  bodyOptional?: true;
  /** Status and shape of the body, refusals aside. `html`, `bytes` and `empty` stand for what isn't JSON. */
  answers: Partial<Record<200 | 201 | 202 | 204 | 206 | 400 | 503, z.ZodType | "html" | "bytes" | "empty">>;
  /** The answer carries an ETag, and `If-Match` and `If-None-Match` are honoured. */
  etag?: true;
  /** A POST that only looks: the audit log needs no line about it. */
  readOnly?: true;
  /** 202 starts an operation: Operation-Location and Retry-After. */
  longRunning?: true;
}

export const defineRoute = <const Defined extends Route>(route: Defined): Defined => route;

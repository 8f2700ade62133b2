/** What a route of Graph is here: a pattern, the application permissions of which one is needed, and its work. */
import type { Directory } from "../entra/directory.ts";
import type { Settling } from "../settling.ts";
import type { Claims, Organization, Platform, SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import { badRequest } from "./answers.ts";

export interface GraphRequest {
  platform: Platform;
  directory: Directory;
  settling: Settling;
  organization: Organization;
  tenantId: string;
  claims: Claims;
  request: SimulatedRequest;
  /** The pattern's groups, decoded. */
  parts: string[];
  /** For `@odata.context`. */
  context(fragment: string): string;
}

export interface Route {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Over the path behind `/v1.0`. */
  pattern: RegExp;
  /** One of them must be in the token's `roles`. */
  permissions: readonly string[];
  run(request: GraphRequest): SimulatedResponse | Promise<SimulatedResponse>;
}

/** `/{id}` or `(name='value')`: both ways to name one object. */
export const KEY = String.raw`(?:/([^/()]+)|\((\w+)='((?:[^']|'')+)'\))`;

export interface Key {
  name: string;
  value: string;
}

export const keyOf = ([id, name, value]: (string | undefined)[]): Key =>
  id === undefined || id === "" ? { name: name ?? "", value: (value ?? "").replaceAll("''", "'") } : { name: "id", value: id };

export function bodyOf({ request }: GraphRequest): Record<string, unknown> {
  const { body } = request;
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw badRequest("Unable to read JSON request payload.", "BadRequest");
  return { ...body };
}

export const may = ({ claims }: GraphRequest, ...permissions: string[]): boolean =>
  permissions.some((permission) => claims.roles?.includes(permission));

export const record = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;

export const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/**
 * Checks whole ARM exchanges, request and answer, against Azure's published OpenAPI documents in `../shared/specs` with Microsoft's own
 * validator, oav. Where that folder is absent, the checks are skipped and say so.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL("../../../shared/specs/openapi", import.meta.url));

/** Versions that our SDKs use and that aren't among those documents, with the nearest one that is. */
export const nearestOperations: Readonly<Record<string, string>> = {
  "microsoft.network@2026-01-01": "2024-01-01",
  "microsoft.compute@2026-04-01": "2024-07-01",
  "microsoft.keyvault@2026-02-01": "2023-07-01",
  "microsoft.resources@2025-04-01": "2024-07-01",
};

export interface ArmExchange {
  method: string;
  url: string;
  requestBody?: unknown;
  status: number;
  responseBody?: unknown;
  responseHeaders: Record<string, string>;
}

export interface CheckedExchange {
  /** As the document calls it: `VirtualMachines_CreateOrUpdate`. */
  operation: string;
  /** What is wrong, as `CODE /path: message`. */
  request: string[];
  response: string[];
}

export interface ArmOperations {
  /** Undefined when no document has such an operation at that version. */
  check(exchange: ArmExchange): Promise<CheckedExchange | undefined>;
}

/** Undefined, and a loud line on the console, where the documents are absent. */
export async function armOperations(): Promise<ArmOperations | undefined> {
  if (!existsSync(directory)) {
    console.warn("SKIPPED: ARM exchanges are not checked, ../shared/specs/openapi is absent");
    return undefined;
  }
  // oav's classes are decorated, and it leaves it to its user to load what that needs.
  await import("reflect-metadata");
  const { LiveValidator } = await import("oav/dist/lib/liveValidation/liveValidator.js");
  const options = {
    directory,
    swaggerPathsPattern: ["specification/**/*.json"],
    excludedSwaggerPathsPattern: ["**/examples/**"],
    git: { shouldClone: false },
    // Each document is read when one of its operations is first seen: all of them at once take twenty seconds.
    loadValidatorInInitialize: false,
    isPathCaseSensitive: false,
  };
  // Without a listener it writes its log to the standard output.
  const validator = new LiveValidator(options, () => undefined);
  await validator.initialize();
  return {
    check: async ({ method, url, requestBody, status, responseBody, responseHeaders }) => {
      // It fills defaults in where it looks: the exchange stays as it was.
      const { requestValidationResult: asked, responseValidationResult: answered } = await validator.validateLiveRequestResponse({
        liveRequest: { method, url: published(url), headers: json, ...bodyOf(requestBody) },
        liveResponse: { statusCode: String(status), headers: { ...json, ...responseHeaders }, ...bodyOf(responseBody) },
      });
      const { operationId } = asked.operationInfo;
      if (operationId === UNKNOWN) return undefined;
      return { operation: operationId, request: findings(asked), response: findings(answered) };
    },
  };
}

const UNKNOWN = "unknownOperationId";
const json = { "content-type": "application/json" };

const bodyOf = (body: unknown): { body?: Record<string, unknown> } =>
  typeof body === "object" && body !== null ? { body: structuredClone(body) as Record<string, unknown> } : {};

/** The URL at Azure's own host and with a version that is published. */
function published(text: string): string {
  const url = new URL(text);
  const namespace = /.*\/providers\/([^/]+)/.exec(url.pathname.toLowerCase())?.[1] ?? "microsoft.resources";
  const nearest = nearestOperations[`${namespace}@${url.searchParams.get("api-version")}`];
  if (nearest !== undefined) url.searchParams.set("api-version", nearest);
  return `https://management.azure.com${url.pathname}${url.search}`;
}

interface Result {
  isSuccessful?: boolean;
  errors: { code: string; message: string; pathsInPayload: string[] }[];
  runtimeException?: { code: string; message: string };
}

/** What is neither a success nor a failure to oav is a failure here. */
function findings({ isSuccessful, errors, runtimeException }: Result): string[] {
  if (isSuccessful === true) return [];
  const named = errors.map(({ code, message, pathsInPayload }) => `${code} ${pathsInPayload.join()}: ${message}`);
  return runtimeException === undefined && named.length > 0
    ? named
    : [...named, `${runtimeException?.code}: ${runtimeException?.message}`];
}

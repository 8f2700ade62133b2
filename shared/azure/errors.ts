/** What Azure Resource Manager's refusals mean here: absent, not allowed yet, busy, or refused for good. */
import { ControlPlaneError } from "../errors.ts";
import { type Absent, absent, type Unknown, unknown } from "../resources/resource.ts";

export interface ArmFailure {
  /** HTTP status; undefined when there was no answer. */
  status: number | undefined;
  /** ARM's own code, for example `ResourceGroupNotFound`. */
  code: string;
  message: string;
  retryAfterInSeconds: number | undefined;
  /** Entra gave no token because our application is not known or not consented there. */
  accessMissing: boolean;
}

/** `ResourceNotFound` and its like say that the thing isn't there; `SubscriptionNotFound` only says that we may not see it. */
const ABSENT_CODES = new Set([
  "NotFound",
  "ResourceNotFound",
  "ResourceGroupNotFound",
  "ParentResourceNotFound",
  "RoleAssignmentNotFound",
  "VaultNotFound",
  "DeletedVaultNotFound",
]);

/** Another write is running, or something newly made is not known everywhere yet: the same request succeeds a little later. */
const SETTLING_CODES = new Set([
  "AnotherOperationInProgress",
  "ConcurrentWriteFailed",
  "Conflict",
  "ConflictError",
  "ConflictingConcurrentWriteNotAllowed",
  "NicReservedForAnotherVm",
  "OperationInProgress",
  "OperationPreempted",
  "PreconditionFailed",
  "PrincipalNotFound",
  "ReferencedResourceNotProvisioned",
  "ResourceGroupBeingDeleted",
  "RetryableError",
  "RetryableErrorDueToAnotherOperation",
]);

const ACCESS_CODES = new Set([
  "AuthorizationFailed",
  "LinkedAuthorizationFailed",
  "SubscriptionNotFound",
  "InvalidAuthenticationTokenTenant",
]);

/** AADSTS codes that say: no service principal of ours, or no consent, in that directory. Source: Entra's error code reference. */
const DIRECTORY_ACCESS = /AADSTS(700016|7000112|7000229|65001|650051|650052|500011|90002)\b/;

export function armFailureOf(cause: unknown): ArmFailure {
  const error = cause as {
    name?: string;
    message?: string;
    code?: string;
    statusCode?: number;
    response?: { headers?: { get(name: string): string | undefined } };
    details?: unknown;
  };
  const message = error?.message ?? String(cause);
  const fromDirectory = /Authentication|Credential/.test(error?.name ?? "");
  const body = armErrorIn(error?.details) ?? armErrorIn(parsed(message));
  return {
    status: error?.statusCode,
    code:
      body?.code ?? error?.code ?? (fromDirectory ? (/AADSTS\d+/.exec(message)?.[0] ?? "AuthenticationFailed") : "RequestFailed"),
    message: body?.message ?? message,
    retryAfterInSeconds: retryAfterOf((name) => error?.response?.headers?.get(name)),
    accessMissing: fromDirectory && DIRECTORY_ACCESS.test(message),
  };
}

/** Only what is known to be gone is absent; whatever else went wrong, we don't know. */
export function unreadable(cause: unknown): Absent | Unknown {
  const failure = armFailureOf(cause);
  if (failure.status === 404 && ABSENT_CODES.has(failure.code)) return absent;
  return unknown(failure.code, failure.message, isAccessMissing(failure));
}

export const isGone = (cause: unknown): boolean => unreadable(cause).state === "absent";

/** `action` is a phrase such as `creating public IP address gateway-1-address`; ARM's own code and message stay in the message, and are its detail. */
export function azureError(action: string, cause: unknown): ControlPlaneError {
  if (cause instanceof ControlPlaneError) return cause;
  const failure = armFailureOf(cause);
  const { status, code, message, retryAfterInSeconds } = failure;
  const phrase = `${action}: ${code}: ${message}`;
  const options = { cause, retryAfterInSeconds, details: [{ code, message }] };
  if (isAccessMissing(failure)) return new ControlPlaneError("AzureAccessMissing", phrase, 403, false, options);
  if (status === 429 || SETTLING_CODES.has(code)) return new ControlPlaneError("AzureBusy", phrase, 503, true, options);
  if (status === undefined || status === 408 || status >= 500)
    return new ControlPlaneError("AzureUnavailable", phrase, 503, true, options);
  return new ControlPlaneError("AzureRefused", phrase, status === 409 ? 409 : 502, false, options);
}

/** Seconds, from whichever of the headers that Azure's services use. */
export function retryAfterOf(header: (name: string) => string | undefined): number | undefined {
  const milliseconds = header("retry-after-ms") ?? header("x-ms-retry-after-ms");
  if (milliseconds !== undefined && Number.isFinite(Number(milliseconds))) return Math.ceil(Number(milliseconds) / 1000);
  const seconds = header("retry-after");
  return seconds !== undefined && /^\d+$/.test(seconds) ? Number(seconds) : undefined;
}

const isAccessMissing = ({ status, code, accessMissing }: ArmFailure): boolean =>
  accessMissing || status === 401 || (status === 403 && code !== "RequestDisallowedByPolicy") || ACCESS_CODES.has(code);

function armErrorIn(body: unknown): { code: string; message: string } | undefined {
  const error = (body as { error?: unknown } | undefined)?.error ?? body;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return typeof code === "string" && typeof message === "string" ? { code, message } : undefined;
}

function parsed(text: string): unknown {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not JSON: the text itself is the message
  }
}

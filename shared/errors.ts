/** Errors that cross a boundary carry a stable code, the HTTP status to answer with, and whether trying again can help. */

/** One part of an error's detail: the shape of the Azure REST guidelines' ErrorDetail. */
export interface ErrorDetail {
  code: string;
  message: string;
  target?: string | undefined;
  details?: ErrorDetail[] | undefined;
}

export interface ControlPlaneErrorOptions extends ErrorOptions {
  /** The field, header or object the error is about, for example `spec.gateway.services.rdp.sources`. */
  target?: string | undefined;
  details?: ErrorDetail[] | undefined;
  /** What the other side asked us to wait before the next try. */
  retryAfterInSeconds?: number | undefined;
  /** We ourselves let it wait before anything was sent: that is no try, however often it happens. */
  untried?: boolean | undefined;
}

/**
 * What was being done, to what, and whether trying again can help. The code is for programs and never changes; the message is one
 * lower-case phrase, the same from run to run: no times, no counters, no secrets.
 */
export class ControlPlaneError extends Error {
  readonly code: string;
  readonly status: number;
  readonly transient: boolean;
  readonly target: string | undefined;
  readonly details: ErrorDetail[] | undefined;
  readonly retryAfterInSeconds: number | undefined;
  readonly untried: boolean;

  constructor(code: string, message: string, status = 500, transient = false, options: ControlPlaneErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "ControlPlaneError";
    this.code = code;
    this.status = status;
    this.transient = transient;
    this.target = options.target;
    this.details = options.details;
    this.retryAfterInSeconds = options.retryAfterInSeconds;
    this.untried = options.untried === true;
  }
}

export const detailOf = ({ code, message, target, details }: ErrorDetail): ErrorDetail => ({
  code,
  message,
  ...(target === undefined ? {} : { target }),
  ...(details === undefined ? {} : { details }),
});

/** Whether the same again may go well: what says so itself, or storage that doesn't answer, is too busy or fails; its SDKs have tried again already. */
export function isTransient(error: unknown): error is Error {
  if (error instanceof ControlPlaneError) return error.transient;
  if (!(error instanceof Error) || error.name !== "RestError") return false;
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode !== "number" || statusCode === 429 || statusCode >= 500;
}

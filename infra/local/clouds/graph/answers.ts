/** Microsoft Graph's answers: its error object, and collections. */
import { randomUUID } from "node:crypto";
import type { SimulatedResponse } from "../simulator.ts";

export class GraphFailure extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.headers = headers;
    this.name = "GraphFailure";
    this.status = status;
    this.code = code;
  }
}

export const badRequest = (message: string, code = "Request_BadRequest"): GraphFailure => new GraphFailure(400, code, message);

export const resourceNotFound = (id: string): GraphFailure =>
  new GraphFailure(
    404,
    "Request_ResourceNotFound",
    `Resource '${id}' does not exist or one of its queried reference-property objects are not present.`,
  );

export const requestDenied = (): GraphFailure =>
  new GraphFailure(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");

export const alreadyUsed = (message: string): GraphFailure =>
  new GraphFailure(409, "Request_MultipleObjectsWithSameKeyValue", message);

/** Client errors carry the caller's own request id, so that both sides can be found in logs. */
export function failure(
  { status, code, message }: GraphFailure,
  clientRequestId: string | undefined,
  now: number,
): SimulatedResponse {
  const requestId = randomUUID();
  return {
    status,
    headers: { "request-id": requestId, "client-request-id": clientRequestId ?? requestId },
    body: {
      error: {
        code,
        message,
        innerError: {
          date: new Date(now).toISOString().slice(0, 19),
          "request-id": requestId,
          "client-request-id": clientRequestId ?? requestId,
        },
      },
    },
  };
}

/** What a person at the terminal is told at the end: what was made, the proof, where to look next; or what went wrong and what to do. */
import { ApiError } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { apiVersion } from "../../shared/api/routes.ts";

interface Result {
  stage: string;
  gateway: string;
  egressIps: string[];
  pilots: string[];
  proof: { hops: string[]; at: string; subject: string; mailbox: string; header: string };
}

export function summaryOf(operation: Operation, { api, control }: { api: string; control: string }): string {
  const { tenantId, status, error, steps } = operation;
  if (status !== "Succeeded") {
    const failed = steps.find((step) => step.status === "Failed");
    return [
      "",
      `${tenantId} was not onboarded: ${error?.code}: ${error?.message}`,
      ...(failed ? [`It stopped at: ${failed.title}`] : []),
      `Steps that were done stay done; nobody's mail was moved. Operation ${operation.id} has the details.`,
    ].join("\n");
  }
  const result = operation.result as unknown as Result;
  const made = steps.filter(({ change }) => change === "created").length;
  const unchanged = steps.filter(({ change }) => change === "unchanged").length;
  return [
    "",
    `${tenantId} is in ${result.stage}: ${made} things made, ${unchanged} found as they should be.`,
    `  Gateway    ${result.gateway} (${result.egressIps.join(", ")})`,
    `  Pilot      ${result.pilots.join(", ")}`,
    `  Proof      a mail of ${result.proof.mailbox} came back with this tenant's ${result.proof.header}:`,
    ...result.proof.hops.map((hop, index) => `    ${index + 1}. ${hop}`),
    "",
    "Look next:",
    `  TOKEN=$(npm run --silent token)`,
    `  curl -s -H "Authorization: Bearer $TOKEN" "${api}/api/tenants/${tenantId}?api-version=${apiVersion}"`,
    `  curl -s -H "Authorization: Bearer $TOKEN" "${api}/api/operations/${operation.id}?api-version=${apiVersion}"`,
    `  curl -s "${control}/requests?cloud=exchange&since=0"`,
    "",
  ].join("\n");
}

export function describeRefusal(error: unknown): string {
  if (error instanceof ApiError)
    return [
      `  ${error.code}: ${error.message}`,
      ...error.details.map(({ target, message }) => `    ${target ?? ""}: ${message}`),
    ].join("\n");
  return error instanceof Error ? error.message : String(error);
}

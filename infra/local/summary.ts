/** What a person at the terminal is told at the end: what was made, the proof, where to look next; or what went wrong and what to do. */
import { ApiError } from "../../shared/api/client.ts";
import { errorCodes } from "../../shared/api/error-codes.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { apiVersion } from "../../shared/api/routes.ts";
import { exampleTenant } from "./flags.ts";

interface Result {
  stage: string;
  smartHosts: string[];
  egressIps: string[];
  pilots: string[];
  proof: { hops: string[]; at: string; subject: string; mailbox: string; header: string };
}

export interface SummaryOptions {
  api: string;
  control: string;
  /** For the command that gets a token; nothing for the default folder. */
  dataFlag: string;
  /** Whether the platform goes on running, so that there is something to look at. */
  stays: boolean;
}

export const summaryOf = (operation: Operation, options: SummaryOptions): string =>
  operation.status === "Succeeded" ? success(operation, options) : failure(operation);

function success({ id, tenantId, steps, result: given }: Operation, { api, control, dataFlag, stays }: SummaryOptions): string {
  const { stage, smartHosts, egressIps, pilots, proof } = given as unknown as Result;
  const count = (change: string): number => steps.filter((step) => step.change === change).length;
  const storyFlags = `${tenantId === exampleTenant ? "" : ` --tenant ${tenantId}`}${dataFlag === "" ? "" : ` ${dataFlag}`}`;
  const counts = ["created", "updated", "unchanged"].filter((change) => count(change) > 0);
  return [
    "",
    `${tenantId} is in ${stage}: ${counts.map((change) => `${count(change)} ${change}`).join(", ")}.`,
    `  Gateway    ${smartHosts.join(", ")} (${egressIps.join(", ")})`,
    `  Pilot      ${pilots.join(", ")}`,
    `  Proof      a mail of ${proof.mailbox} came back with this tenant's ${proof.header}:`,
    ...proof.hops.map((hop, index) => `    ${index + 1}. ${hop.replace(/;[^;]*$/, "")}`),
    "",
    ...(stays
      ? [
          "Look next:",
          `  TOKEN=$(npm run --silent token${dataFlag === "" ? "" : ` -- ${dataFlag}`})`,
          `  curl -s -H "Authorization: Bearer $TOKEN" "${api}/api/tenants/${tenantId}?api-version=${apiVersion}"`,
          `  curl -s -H "Authorization: Bearer $TOKEN" "${api}/api/operations/${id}?api-version=${apiVersion}"`,
          `  curl -s "${control}/requests?cloud=exchange&since=0"`,
          `  npm run --silent show -- listing${storyFlags}   # then rotation, outage, webhook and queue`,
          "",
        ]
      : []),
  ].join("\n");
}

function failure({ id, tenantId, error, steps }: Operation): string {
  const touched = steps.some(({ change }) => change === "created" || change === "updated");
  const { code, message, details = [] } = error ?? { code: "Unknown", message: "the operation ended without saying why" };
  const others = steps.flatMap((step) => (step.error ? [`${step.title}: ${step.error.message}`] : []));
  const more = [...details.map((detail) => detail.message), ...others].filter((line) => !line.endsWith(message));
  return [
    "",
    `${tenantId} was not onboarded.`,
    `  Error      ${code}: ${message}`,
    ...more.map((line) => `             ${line}`),
    `  Stopped at ${steps.find(({ status }) => status === "Failed")?.title ?? "the beginning"}`,
    `  What to do ${remedyOf(code) ?? "put right what the error says"}. Then run this again.`,
    touched
      ? "  Made       what has been made so far stays and will be found; nobody's mail moves before the proof"
      : "  Made       nothing was created or changed at the customer's",
    `  Operation  ${id}`,
    "",
  ].join("\n");
}

/** As the catalogue says it, without the stop at its end. */
function remedyOf(code: string): string | undefined {
  const entry = (errorCodes as Partial<Record<string, { remedy: string }>>)[code];
  return entry && entry.remedy.replace(/\.$/, "");
}

export function describeRefusal(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const { code, message, details } = error;
  const remedy = remedyOf(code);
  return [
    `  ${code}: ${message}`,
    ...details.map(({ target, message: why }) => `    ${target ? `${target}: ` : ""}${why}`),
    ...(remedy ? [`  ${remedy}.`] : []),
  ].join("\n");
}

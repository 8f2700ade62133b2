/** What the API shows of what the stores keep: inner properties stay inside, ETags are strong, links are absolute. */
import type { CaseRecord } from "../stores/cases.ts";
import type { OperationHeader, OperationRecord, StepRecord } from "../stores/operations.ts";
import type { PartnerRecord } from "../stores/partners.ts";
import type { Versioned } from "../stores/table.ts";
import type { TaskRecord } from "../stores/tasks.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import { strongETag } from "./etag.ts";
import type { Delisting } from "./delisting.ts";
import type { Operation, OperationSummary, WaitingFor } from "./operation.ts";
import type { Partner } from "./partner.ts";
import { apiVersion } from "./routes.ts";
import type { Task } from "./task.ts";
import type { Tenant } from "./tenant.ts";

export const partnerBody = ({ etag, ...partner }: Versioned<PartnerRecord>): Partner => ({ ...partner, etag: strongETag(etag) });

export function tenantBody(
  { partnerId: _partnerId, facts: _facts, operationId, etag, ...tenant }: Versioned<TenantRecord>,
  publicUrl: string,
): Tenant {
  const link = (path: string, query = "") => `${publicUrl}/api/${path}?${query}api-version=${apiVersion}`;
  return {
    ...tenant,
    etag: strongETag(etag),
    links: {
      self: link(`tenants/${tenant.id}`),
      consent: link(`tenants/${tenant.id}/consent`),
      operations: link("operations", `tenantId=${tenant.id}&`),
      ...(operationId === undefined ? {} : { operation: link(`operations/${operationId}`) }),
    },
  };
}

export const operationSummaryBody = ({
  partnerId: _partnerId,
  requestHash: _hash,
  request: _request,
  stageBefore: _stage,
  cancel,
  result: _result,
  ...summary
}: OperationHeader): OperationSummary => ({
  ...summary,
  ...(cancel && { cancel: { by: cancel.by, at: cancel.at, rollBack: cancel.rollBack !== undefined } }),
});

export function operationBody({ steps, ...header }: OperationRecord, publicUrl: string): Operation {
  const { result, ...inner } = header;
  return {
    ...operationSummaryBody(inner),
    steps: steps.map((step) => stepBody(step, header, publicUrl)),
    ...(header.status === "Failed" || header.status === "Canceled" ? { leftStanding: leftStanding(steps) } : {}),
    ...(result === undefined ? {} : { result }),
  };
}

function stepBody(
  { beforeImage, ...step }: StepRecord,
  { id, waitingFor }: OperationHeader,
  publicUrl: string,
): Operation["steps"][number] {
  const { startedAt, endedAt, status, name } = step;
  const waits = status === "Running" && waitingFor !== undefined && waitingSteps[waitingFor.kind]?.includes(name);
  return {
    ...step,
    ...(startedAt !== undefined && endedAt !== undefined
      ? { durationInSeconds: Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)) / 1000 }
      : {}),
    ...(waits ? { waitingFor } : {}),
    ...(beforeImage
      ? { links: { beforeImage: `${publicUrl}/api/operations/${id}/steps/${name}/before-image?api-version=${apiVersion}` } }
      : {}),
  };
}

/** The step that waits for a person, by what the operation waits for. */
const waitingSteps: Partial<Record<WaitingFor["kind"], string[]>> = {
  consent: ["consent"],
  azureAccess: ["azureAccess"],
  certificate: ["tlsCertificate"],
};

/** What it has changed in the clouds, and nobody has taken back. */
const leftStanding = (steps: StepRecord[]): Operation["leftStanding"] =>
  steps.flatMap(({ name: step, title, change, undone }) =>
    change === undefined || change === "unchanged" || (undone && undone.as !== "kept") ? [] : [{ step, title, change }],
  );

export const delistingBody = ({
  partnerId: _partnerId,
  confirmed: _confirmed,
  clean: _clean,
  resumes: _resumes,
  offers: _offers,
  owed: _owed,
  etag: _etag,
  ...delisting
}: Versioned<CaseRecord>): Delisting => delisting;

/** What looking needs to know, and who waits, stay inside. */
export const taskBody = ({
  partnerId: _partnerId,
  subject: _subject,
  about: _about,
  waiting: _waiting,
  etag: _etag,
  ...task
}: Versioned<TaskRecord>): Task => task;

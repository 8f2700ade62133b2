/** What the API shows of what the stores keep: inner properties stay inside, ETags are strong, links are absolute. */
import type { CaseRecord } from "../stores/cases.ts";
import type { OperationHeader, OperationRecord, StepRecord } from "../stores/operations.ts";
import type { PartnerRecord } from "../stores/partners.ts";
import type { Versioned } from "../stores/table.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import { strongETag } from "./etag.ts";
import type { Delisting } from "./delisting.ts";
import type { Operation, OperationSummary } from "./operation.ts";
import type { Partner } from "./partner.ts";
import { apiVersion } from "./routes.ts";
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
  cancel,
  result: _result,
  ...summary
}: OperationHeader): OperationSummary => ({ ...summary, ...(cancel && { cancel: { by: cancel.by, at: cancel.at } }) });

export function operationBody({ steps, ...header }: OperationRecord): Operation {
  const { result, ...inner } = header;
  return {
    ...operationSummaryBody(inner),
    steps: steps.map(({ beforeImage: _image, ...step }) => step),
    ...(header.status === "Failed" || header.status === "Canceled" ? { leftStanding: leftStanding(steps) } : {}),
    ...(result === undefined ? {} : { result }),
  };
}

/** What it has changed in the clouds, and nobody has taken back. */
const leftStanding = (steps: StepRecord[]): Operation["leftStanding"] =>
  steps.flatMap(({ name: step, title, change }) =>
    change === undefined || change === "unchanged" ? [] : [{ step, title, change }],
  );

export const delistingBody = ({ partnerId: _partnerId, etag: _etag, ...delisting }: Versioned<CaseRecord>): Delisting =>
  delisting;

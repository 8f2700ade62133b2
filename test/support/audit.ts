/** What the audit log of a tenant has to have, whatever happened: every change that operations record, each begun and ended once, in one whole chain. */
import { expect } from "vitest";
import type { AuditEntry } from "../../shared/api/audit.ts";
import { verified } from "../../shared/stores/audit-chain.ts";
import type { Customer, OnboardingPlatform } from "./onboarding.ts";
import { testStores } from "./stores.ts";

export async function expectWholeLog({ northwind, clouds }: OnboardingPlatform, { tenantId }: Customer): Promise<void> {
  const owner = { partnerId: "northwind", tenantId };
  expect(verified(owner, await testStores().audit.segments(owner))).toMatchObject({ problems: [] });

  const entries: AuditEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = (await northwind.listAudit({ tenantId, maxpagesize: 200, ...(after === undefined ? {} : { skipToken: after }) }))
      .body;
    entries.push(...page.value);
    if (page.nextLink === undefined) break;
    after = new URL(page.nextLink).searchParams.get("skipToken") ?? undefined;
  }
  const named = ({ operationId, step, action, target }: AuditEntry): string =>
    `${operationId} ${step} ${action} ${target.kind} ${target.name}`;
  const begun = entries.filter(({ outcome }) => outcome === "Started");
  const endOf = (entry: AuditEntry) =>
    entries.filter(({ started, outcome }) => started === entry.sequence && outcome !== "Pending");
  expect(begun.filter((entry) => endOf(entry).length !== 1).map(named), "begun, and not ended once").toEqual([]);

  const changed: string[] = [];
  for (const { id } of (await northwind.listOperations({ tenantId, maxpagesize: 200 })).body.value)
    for (const { name, change } of (await northwind.getOperation({ operationId: id })).body.steps)
      if (change !== undefined && change !== "unchanged") changed.push(`${id} ${name}`);
  const steps = new Set(begun.map(({ operationId, step }) => `${operationId} ${step}`));
  expect(
    changed.filter((step) => !steps.has(step)),
    "changed, and not in the log",
  ).toEqual([]);

  // Each cloud's own ids, where Azure's can be compared with what Azure answered.
  const ids = new Set(entries.flatMap(({ requestIds }) => requestIds ?? []));
  const answered = (await clouds.requests("arm")).map(({ responseHeaders }) => `azure ${responseHeaders["x-ms-request-id"]}`);
  const ofAzure = [...ids].filter((id) => id.startsWith("azure "));
  expect(ofAzure.filter((id) => !answered.includes(id))).toEqual([]);
  expect(new Set([...ids].map((id) => id.split(" ")[0]))).toEqual(new Set(["azure", "exchange", "graph", "vault"]));
}

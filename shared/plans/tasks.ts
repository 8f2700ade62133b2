/** Of what a plan has found, that which only people can do. */
import type { Finding, PlannedTask } from "../api/plan.ts";

/** `waits`: the operation waits for it, or ends there; else it goes on without. */
const tasks: Record<string, Pick<PlannedTask, "kind" | "waits">> = {
  ConsentRequired: { kind: "consent", waits: true },
  AzureAccessMissing: { kind: "azureAccess", waits: true },
  CertificateTask: { kind: "certificate", waits: true },
  SecretsExpected: { kind: "namedSecrets", waits: true },
  SpfTaskAhead: { kind: "publishSpf", waits: false },
  SpfTaskAfter: { kind: "withdrawSpf", waits: false },
  ConsentStays: { kind: "removeApplication", waits: false },
};

export const tasksOf = (findings: Finding[]): PlannedTask[] =>
  findings.flatMap(({ code, message, remedy }) => {
    const task = tasks[code];
    return task === undefined ? [] : [{ ...task, message, remedy }];
  });

/** Completing a task, over the wire: nobody's word is believed where a cloud can tell, and whoever waits goes on at once. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { grantConsent } from "../../infra/local/administrator.ts";
import { ApiError } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import type { Task, TaskKind } from "../../shared/api/task.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

/** An onboarding looks by itself once an hour: what happens sooner was woken. */
let platform: OnboardingPlatform;
const tenant = customer("contoso");
const { tenantId } = tenant;
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding({ settings: { CONSENT_CHECK_INTERVAL: "PT1H", CONSENT_EXPIRY: "P14D" } });
  await platform.organize(tenant);
  mayBuild(false);
  await platform.register(tenant);
  operation = await platform.start(tenant);
});
afterAll(() => platform.stop());

function mayBuild(azureAccess: boolean): void {
  const { organizations } = platform.clouds.platform;
  const known = organizations.get(tenant.spec.azure.tenantId);
  if (!known) throw new Error("there is no such organisation");
  organizations.set(tenant.spec.azure.tenantId, { ...known, azureAccess });
}

const open = async (kind: TaskKind): Promise<Task> => {
  const { value } = (await platform.northwind.listTasks({ tenantId, state: "open", kind })).body;
  expect(value).toHaveLength(1);
  return value[0] as Task;
};
const complete = async ({ id }: Task): Promise<Task> => (await platform.northwind.completeTask({ taskId: id })).body;

/** What was just granted is not seen by the first looks, as in the real Entra. */
async function seenEverywhere<T>(look: () => Promise<T>): Promise<T> {
  for (;;) {
    const seen = await look().catch((error: ApiError) => error);
    if (!(seen instanceof ApiError)) return seen;
    if (seen.code !== "TaskNotDone") throw seen;
  }
}

test("consent: another partner's is not there, the word alone is not believed, and the consent itself is", async () => {
  const { waitingFor } = await platform.untilWaitingFor(operation, "consent");
  const task = await open("consent");
  expect(task).toMatchObject({
    id: waitingFor?.taskId,
    operationId: operation.id,
    link: `${platform.url}/api/tenants/${tenantId}/consent`,
    fields: expect.arrayContaining([{ label: "Organisation", value: tenant.spec.microsoft365.tenantId }]),
    reminders: 0,
  });
  for (const asked of ["getTask", "completeTask"] as const)
    await expect(platform.tailspin[asked]({ taskId: task.id })).rejects.toMatchObject({ status: 404, code: "TaskNotFound" });

  await expect(complete(task)).rejects.toMatchObject({ status: 409, code: "TaskNotDone", message: /Exchange\.ManageAsApp/ });
  expect((await platform.northwind.getTask({ taskId: task.id })).body).toMatchObject({
    state: "open",
    verification: { found: "missing", message: expect.stringContaining("Application.ReadWrite.OwnedBy") },
  });

  await platform.clouds.consent(tenant.watched.organization);
  await platform.clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 1 }, {}, 20);
  await expect(seenEverywhere(() => complete(task))).rejects.toMatchObject({ status: 503, code: "ServiceUnavailable" });
  expect((await platform.northwind.getTask({ taskId: task.id })).body).toMatchObject({ verification: { found: "unknown" } });
  await platform.clouds.clearFaults();
  const done = await complete(task);
  expect(done).toMatchObject({ state: "done", verification: { found: "done" } });
  expect(await complete(task)).toEqual(done);
  await platform.untilDone(operation, "consent");
});

test("Azure access: commands to be copied, what is missing by name, and the onboarding goes on as soon as it is granted", async () => {
  await platform.untilWaitingFor(operation, "azureAccess");
  const task = await open("azureAccess");
  const scope = `/subscriptions/${tenant.spec.azure.subscriptionId}`;
  expect(task.text).toContain(`--role "Contributor" --scope ${scope}`);
  expect(task.remindAt).toBe(new Date(Date.parse(task.createdAt) + 24 * 3600 * 1000).toISOString());
  await expect(complete(task)).rejects.toMatchObject({ code: "TaskNotDone", message: /Contributor/ });

  mayBuild(true);
  expect(await complete(task)).toMatchObject({ state: "done", endedAt: expect.any(String) });
  await platform.untilDone(operation, "azureAccess");
  expect((await platform.northwind.listTasks({ tenantId, state: "open" })).body.value).toEqual([]);
});

test("a domain that is verified elsewhere is named; once the onboarding has ended for it, nobody needs the task", async () => {
  const other = customer("contoso", "lucerne");
  const microsoft365 = { ...other.spec.microsoft365, domains: ["elsewhere.example"] };
  await platform.organize({ ...other, spec: { ...other.spec, microsoft365 } });
  await platform.register(other);
  const started = await platform.start(other);
  const { waitingFor } = await platform.untilWaitingFor(started, "consent");
  const taskId = waitingFor?.taskId ?? "";
  const link = (await platform.northwind.getConsent({ tenantId: other.tenantId })).body.url;
  await platform.clouds.consent(other.watched.organization);
  const refused = platform.northwind.completeTask({ taskId });
  await expect(refused).rejects.toMatchObject({ code: "TaskNotDone", message: /DomainNotVerified.*lucerne\.example/ });

  await grantConsent(link);
  expect((await platform.untilEnded(started, { consent: "never" })).error).toMatchObject({ code: "DomainNotVerified" });
  expect((await platform.northwind.getTask({ taskId })).body.state).toBe("canceled");
  await expect(platform.northwind.completeTask({ taskId })).rejects.toMatchObject({ code: "TaskEnded" });
});

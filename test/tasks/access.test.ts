/** Whoever is asked for consent and does not answer is reminded by one task, however often it is looked for, until it expires with the wait. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createOnboardingActivities } from "../../functions/onboarding/activities.ts";
import { accessCheck } from "../../functions/onboarding/access-tasks.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import { remindTasks } from "../../functions/tasks/timer.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { checkConsent } from "../../shared/graph/consent.ts";
import { createLog } from "../../shared/log.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { TaskChecks } from "../../shared/stores/tasks.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { customer } from "../support/onboarding.ts";
import { testStores, unique } from "../support/stores.ts";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const DAY = 24 * 3600 * 1000;
const start = Date.UTC(2026, 10, 22, 8);
const clock = { time: start, now: () => clock.time };
const iso = (days: number): string => new Date(start + days * DAY).toISOString();

test("one task, three reminders, and an expiry that is said once, whoever notices it first", async () => {
  const stores = testStores(clock);
  const partnerId = unique("partner");
  const { tenantId, spec } = customer("contoso", "wingtip");
  const { tenantId: organization, domains } = spec.microsoft365;
  await clouds.organize({ tenantId: organization, domains, mailboxes: [] });
  await stores.partners.put(
    { id: partnerId, displayName: "Northwind", entraTenantId: randomUUID(), clientId: randomUUID() },
    () => undefined,
  );
  await stores.tenants.add(partnerId, tenantId, spec);
  const operationId = randomUUID();
  const steps = onboardingSteps(spec);
  await stores.operations.create({ partnerId, tenantId, id: operationId, kind: "onboarding", requestHash: "", steps });
  await stores.operations.recordProgress(partnerId, operationId, { status: "Running" });
  const { environment } = clouds;
  const credentials = createCredentials(environment, clouds.application);
  const world = {
    stores,
    clock,
    log: createLog("debug", () => undefined),
    checkConsent: checkConsent({ environment, credentials, graph: createGraph({ environment, credentials }) }),
    azureAccess: () => Promise.reject(new Error("nobody asks for Azure here")),
    settings: { publicUrl: "https://gatehouse.example" },
  } as unknown as OnboardingWorld;
  const { checkAccess, failAccess } = createOnboardingActivities(world);
  const work = { operationId, partnerId, tenantId };
  const waiting = { instanceId: `${partnerId}_${operationId}_1-consent`, event: "consentAnswered" };
  const look = (first: boolean) =>
    checkAccess({ work, spec, wanted: "consent", first, deadline: start / 1000 + 14 * 24 * 3600, waiting });
  const sweep = remindTasks({ ...world, taskChecks: { consent: accessCheck(world) } as TaskChecks });

  await Promise.all([look(true), look(true)]);
  for (const days of [0, 0.9, 1, 1, 2.9, 6.9, 7, 13]) {
    clock.time = start + days * DAY;
    await look(false);
    await sweep();
  }
  clock.time = start + 14 * DAY + 1000;
  const found = await look(false);
  if (found.state !== "pending") throw new Error("nobody has consented");
  await Promise.all([sweep(), failAccess({ work, wanted: "consent", failure: found.expired })]);
  await sweep();

  const [task, ...others] = (await stores.tasks.list(partnerId, {}, 50)).items;
  expect(others).toEqual([]);
  expect(task).toMatchObject({ state: "expired", reminders: 3, operationId, waiting, expiresAt: iso(14) });
  expect((await stores.operations.get(partnerId, operationId)).waitingFor).toBeUndefined();
  const { items } = await stores.events.list(partnerId, { tenantId }, 100);
  expect(items.map(({ type, at, data }) => [type, at, data["days"], data["link"]]).toReversed()).toEqual(
    [
      ["task.reminder", iso(1), 1],
      ["task.reminder", iso(3), 3],
      ["task.reminder", iso(7), 7],
      ["task.expired", iso(14), undefined],
    ].map((event) => [...event, `https://gatehouse.example/api/tenants/${tenantId}/consent`]),
  );
});

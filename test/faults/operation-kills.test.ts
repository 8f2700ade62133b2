/**
 * Over the real command, `kill -9` of the host in the middle of each operation of a tenant that stands, at a step by chance: each comes to the
 * end that it comes to undisturbed. Every checkpoint of every kind is in every-kill.test.ts, in virtual time; onboardings are in
 * kills.test.ts, rotations in rotation-kills.test.ts. `KILL_SEED=… KILL_LIVES=…` repeats or goes on.
 */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ApiClient } from "../../shared/api/client.ts";
import type { Operation, OperationKind } from "../../shared/api/operation.ts";
import { ended } from "../../shared/stores/operations.ts";
import {
  type Endpoints,
  endpointsOf,
  type NewCustomer,
  newCustomer,
  partnerOf,
  recordOf,
  startCommand,
  withFolder,
} from "../support/command.ts";
import { ownViolations, watchedOf } from "../support/invariants.ts";
import { anonymousEstate, killProcess, onboard, seed, stopped } from "../support/kills.ts";
import { createRandom } from "../support/random.ts";

const LIVES = Number(process.env["KILL_LIVES"] ?? 3);

interface Chapter {
  kind: OperationKind;
  ask(partner: ApiClient, customer: NewCustomer, endpoints: Endpoints): Promise<Operation>;
}

const chapters: Chapter[] = [
  { kind: "promotion", ask: async (partner, { tenantId }) => (await partner.startPromotion({ tenantId })).body },
  {
    kind: "bypass",
    ask: async (partner, { tenantId }) =>
      (await partner.startBypass({ tenantId, body: { reason: "the gateway does not answer" } })).body,
  },
  { kind: "restore", ask: async (partner, { tenantId }) => (await partner.startRestore({ tenantId })).body },
  {
    kind: "repair",
    ask: async (partner, { tenantId, spec }, endpoints) => {
      await strangerRemovesRule(endpoints, spec.microsoft365.tenantId, "Approve all Mails from own SMTP Server on Azure VM");
      await partner.lookForDriftNow({ tenantId });
      return (await partner.startRepair({ tenantId })).body;
    },
  },
  { kind: "demotion", ask: async (partner, { tenantId }) => (await partner.startDemotion({ tenantId })).body },
  {
    kind: "offboarding",
    ask: async (partner, { tenantId }) =>
      (await partner.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } })).body,
  },
];

async function strangerRemovesRule({ control }: Endpoints, tenantId: string, rule: string): Promise<void> {
  const response = await fetch(`${control}/cmdlets`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tenantId, cmdlet: "Remove-TransportRule", parameters: { Identity: rule, Confirm: false } }),
  });
  if (!response.ok) throw new Error(await response.text());
}

interface Lived {
  kind: OperationKind;
  status: Operation["status"];
  error: Operation["error"];
  stage: string;
  estate: string;
}

/** @param stepOf the step at which the host is killed, if it is */
async function live(
  folder: string,
  customer: NewCustomer,
  stepOf: (operation: Operation) => string | undefined,
): Promise<Lived[]> {
  const endpoints = await endpointsOf(folder);
  const partner = partnerOf(endpoints);
  const { tenantId } = customer;
  expect((await onboard(endpoints, customer)).status).toBe("Succeeded");
  const lived: Lived[] = [];
  for (const { kind, ask } of chapters) {
    let operation = await ask(partner, customer, endpoints);
    let step = stepOf(operation);
    while (!ended(operation)) {
      const at = step && operation.steps.find(({ name }) => name === step);
      if (at && at.status !== "Pending") {
        await killProcess(folder, "host");
        step = undefined;
      }
      await pause(10);
      operation = (await partner.getOperation({ operationId: operation.id })).body;
    }
    const { stage } = (await partner.getTenant({ tenantId })).body;
    const { status, error } = operation;
    lived.push({ kind, status, error, stage, estate: await anonymousEstate(folder, customer) });
  }
  return lived;
}

test(
  `${LIVES} tenants' operations outlive a kill of the host in the middle of each (KILL_SEED=${seed})`,
  { timeout: 7_200_000 },
  () =>
    withFolder(async (folder) => {
      const random = createRandom(seed);
      const command = startCommand("--idle", "--port", "0", "--data", folder);
      try {
        await command.untilPrinted("Running");
        const undisturbed = await live(folder, newCustomer("undisturbed"), () => undefined);
        expect(undisturbed.map(({ kind, status }) => `${kind}: ${status}`)).toEqual(
          chapters.map(({ kind }) => `${kind}: Succeeded`),
        );
        for (let life = 1; life <= LIVES; life++) {
          const killed: string[] = [];
          const customer = newCustomer(`customer-${life}`);
          const lived = await live(folder, customer, ({ kind, steps }) => {
            const step = steps[Math.floor(random() * steps.length)]?.name;
            killed.push(`${kind} at ${step}`);
            return step;
          });
          process.stdout.write(`killed: ${killed.join(", ")}\n`);
          expect({ killed, lived }).toEqual({ killed, lived: undisturbed });
          expect(ownViolations(await recordOf(await endpointsOf(folder)), watchedOf(customer.spec))).toEqual([]);
        }
      } finally {
        await stopped(command);
      }
    }),
);

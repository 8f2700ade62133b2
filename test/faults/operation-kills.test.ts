/**
 * Over the real command, `kill -9` of the host in the middle of each operation of a tenant that stands, at a step by chance: each comes to the
 * end that it comes to undisturbed. Every checkpoint of every kind is in every-kill.test.ts, in virtual time; onboardings are in
 * kills.test.ts, rotations in rotation-kills.test.ts. `KILL_SEED=… KILL_LIVES=…` repeats or goes on. With `KILL_EVERY=promotion,bypass`, or
 * `KILL_EVERY=all`, there is no chance: the host is killed at each step of these kinds, once when it is seen to have begun and once when it is
 * seen to have ended.
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
const EVERY = process.env["KILL_EVERY"];

const HOURS = 7_200_000;

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

/** When the host is killed. */
interface Moment {
  step: string;
  when: "begun" | "ended";
  /** Called when it came; a step that has nothing to do may never begin. */
  met?(): void;
}

const CAME: Record<Moment["when"], Step["status"][]> = {
  begun: ["Running", "Succeeded", "Failed", "Skipped"],
  ended: ["Succeeded", "Failed", "Skipped"],
};

type Step = Operation["steps"][number];

const came = ({ steps }: Operation, { step, when }: Moment): boolean =>
  steps.some(({ name, status }) => name === step && CAME[when].includes(status));

/** @param momentOf when the host is killed, if it is */
async function liveChapter(
  folder: string,
  customer: NewCustomer,
  { kind, ask }: Chapter,
  momentOf: (operation: Operation) => Moment | undefined,
): Promise<Lived> {
  const endpoints = await endpointsOf(folder);
  const partner = partnerOf(endpoints);
  const { tenantId } = customer;
  let operation = await ask(partner, customer, endpoints);
  let moment = momentOf(operation);
  for (;;) {
    if (moment && came(operation, moment)) {
      await killProcess(folder, "host");
      moment.met?.();
      moment = undefined;
    }
    if (ended(operation)) break;
    await pause(10);
    operation = (await partner.getOperation({ operationId: operation.id })).body;
  }
  const { stage } = (await partner.getTenant({ tenantId })).body;
  const { status, error } = operation;
  return { kind, status, error, stage, estate: await anonymousEstate(folder, customer) };
}

const nobody = (): undefined => undefined;

async function live(
  folder: string,
  customer: NewCustomer,
  momentOf: (operation: Operation) => Moment | undefined,
  lives = chapters,
): Promise<Lived[]> {
  expect((await onboard(await endpointsOf(folder), customer)).status).toBe("Succeeded");
  const lived: Lived[] = [];
  for (const chapter of lives) lived.push(await liveChapter(folder, customer, chapter, momentOf));
  return lived;
}

const expectNoViolation = async (folder: string, { spec }: NewCustomer): Promise<void> =>
  expect(ownViolations(await recordOf(await endpointsOf(folder)), watchedOf(spec))).toEqual([]);

test.skipIf(EVERY !== undefined)(
  `${LIVES} tenants' operations outlive a kill of the host in the middle of each (KILL_SEED=${seed})`,
  { timeout: HOURS },
  () =>
    withFolder(async (folder) => {
      const random = createRandom(seed);
      const command = startCommand("--idle", "--port", "0", "--data", folder);
      try {
        await command.untilPrinted("Running");
        const undisturbed = await live(folder, newCustomer("undisturbed"), nobody);
        expect(undisturbed.map(({ kind, status }) => `${kind}: ${status}`)).toEqual(
          chapters.map(({ kind }) => `${kind}: Succeeded`),
        );
        for (let life = 1; life <= LIVES; life++) {
          const killed: string[] = [];
          const customer = newCustomer(`customer-${life}`);
          const lived = await live(folder, customer, ({ kind, steps }) => {
            const step = steps[Math.floor(random() * steps.length)]?.name;
            killed.push(`${kind} at ${step}`);
            return step === undefined ? undefined : { step, when: "begun" };
          });
          process.stdout.write(`killed: ${killed.join(", ")}\n`);
          expect({ killed, lived }).toEqual({ killed, lived: undisturbed });
          await expectNoViolation(folder, customer);
        }
      } finally {
        await stopped(command);
      }
    }),
);

/** A tenant goes round as often as it takes; what offboarding leaves begins anew. */
test.runIf(EVERY !== undefined)(`every step of ${EVERY} outlives a kill of the host`, { timeout: 4 * HOURS }, () =>
  withFolder(async (folder) => {
    const chosen = (kind: OperationKind): boolean => EVERY === "all" || (EVERY ?? "").split(",").includes(kind);
    const bypassed = chosen("bypass") || chosen("restore");
    const round = chapters.filter(({ kind }) => {
      if (kind === "bypass" || kind === "restore") return bypassed;
      return kind === "promotion" || kind === "demotion" || chosen(kind);
    });
    const comesRound = !chosen("offboarding");
    expect(
      chapters.filter(({ kind }) => chosen(kind)),
      "KILL_EVERY names none of them",
    ).not.toEqual([]);
    const kills = new Map<OperationKind, number>();
    const momentsOf = ({ steps }: Operation): Moment[] =>
      steps.flatMap(({ name }) => [
        { step: name, when: "begun" as const },
        { step: name, when: "ended" as const },
      ]);
    const command = startCommand("--idle", "--port", "0", "--data", folder);
    try {
      await command.untilPrinted("Running");
      let customer = newCustomer("undisturbed");
      let most = 0;
      const undisturbed = await live(
        folder,
        customer,
        (operation) => {
          if (chosen(operation.kind)) most = Math.max(most, momentsOf(operation).length);
          return undefined;
        },
        round,
      );
      expect(undisturbed.map(({ status }) => status)).toEqual(round.map(() => "Succeeded"));
      for (let place = 0; place < most; place++) {
        const killed: string[] = [];
        const momentOf = (operation: Operation): Moment | undefined => {
          const { kind } = operation;
          const moment = chosen(kind) ? momentsOf(operation)[place] : undefined;
          if (moment === undefined) return undefined;
          const met = (): void => {
            killed.push(`${kind} when ${moment.step} had ${moment.when}`);
            kills.set(kind, (kills.get(kind) ?? 0) + 1);
          };
          return { ...moment, met };
        };
        const lived: Lived[] = [];
        if (comesRound) for (const chapter of round) lived.push(await liveChapter(folder, customer, chapter, momentOf));
        else {
          customer = newCustomer(`customer-${place + 1}`);
          lived.push(...(await live(folder, customer, momentOf, round)));
        }
        expect({ killed, lived }).toEqual({ killed, lived: undisturbed });
        await expectNoViolation(folder, customer);
      }
      const figures = [...kills].map(([kind, times]) => `${times} of ${kind}`).join(", ");
      process.stdout.write(`killed at every step, begun and ended: ${figures}; all ended as undisturbed\n`);
    } finally {
      await stopped(command);
    }
  }),
);

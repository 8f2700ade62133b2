/** What a restart of the SMTP service does: one run inside the machine, a look at its next heartbeat, and an event at each end. */
import { createHash } from "node:crypto";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { smtpRestartDocument } from "../../shared/guest/smtp-restart.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Begun, Done } from "../../shared/resources/resource.ts";
import { settledGuestOf } from "../../shared/runbook/guest.ts";
import type { SmtpRestarting } from "./orchestrator.ts";
import type { SmtpRestartWorld } from "./smtp-restart.ts";

export type SmtpRestartActivities = ReturnType<typeof createSmtpRestartActivities>;

interface Said {
  work: Work;
  gatewayId: string;
  /** Seconds since 1970: the orchestration's own time, so that what is said twice is said once. */
  at: number;
}

interface Run {
  work: Work;
  windows: SmtpRestarting["windows"];
}

/** What the machine says of its SMTP service. */
export interface SmtpReport {
  receivedAt: string;
  service: string;
  queue: number | null;
}

export const createSmtpRestartActivities = ({
  stores,
  resources,
}: Pick<SmtpRestartWorld, "stores"> & { resources: Pick<Resources, "guest"> }) => {
  const { operations, heartbeats, events } = stores;
  const recorded = recordingSteps(stores);

  const say = async ({ work, gatewayId, at }: Said, what: string, data: Record<string, unknown> = {}): Promise<void> => {
    const { partnerId, tenantId, operationId, attempt = 1 } = work;
    await events.add({
      partnerId,
      tenantId,
      id: [operationId, ...(attempt === 1 ? [] : [attempt]), ...what.split(".")].join("-"),
      type: `gateway.smtp.${what}`,
      subject: gatewayId,
      at: new Date(at * 1000).toISOString(),
      data: { operationId, ...data },
    });
  };

  /** The same for all tries of an attempt; another attempt runs again, and restarts nothing that was restarted for this operation. */
  const nameOf = ({ operationId, attempt = 1 }: Work): string =>
    `gatehouse-smtp-${createHash("sha256").update(`${operationId}/${attempt}`).digest("hex").slice(0, 12)}`;

  const guestOf = async ({ work, windows }: Run) => {
    const { generation } = await settledGuestOf({ stores }, work);
    return { ...windows, document: smtpRestartDocument({ generation, request: work.operationId }) };
  };

  return {
    beginSmtpRestart: async (said: Said): Promise<void> => {
      const { partnerId, operationId } = said.work;
      await operations.recordProgress(partnerId, operationId, { status: "Running" });
      await say(said, "restarting");
    },

    runSmtpRestart: (run: Run): Promise<Done | Begun> =>
      recorded(run.work, "smtpRestart", async (begin) => {
        const guest = await guestOf(run);
        await begin({ action: "update", target: { kind: "smtpService", name: run.windows.virtualMachine } });
        return { result: await resources.guest.runOnce(guest, nameOf(run.work)), running: true };
      }),

    checkSmtpRestart: (run: Run): Promise<void> =>
      recorded(run.work, "smtpRestart", async () => {
        const name = run.windows.virtualMachine;
        const outcome = await resources.guest.outcomeOf(await guestOf(run), nameOf(run.work));
        if (outcome.state === "unknown")
          throw new ControlPlaneError(outcome.reason.code, `the run on ${name}: ${outcome.reason.message}`, 503, true);
        const failure =
          outcome.state === "present" ? outcome.actual.failure : { code: "GuestFailed", message: "the run is gone" };
        if (failure !== null)
          throw new ControlPlaneError(
            "GuestFailed",
            `restarting the SMTP service of ${name}: ${failure.code}: ${failure.message}`,
            502,
            false,
            { target: failure.code },
          );
        return { result: undefined, change: "updated" };
      }),

    /** Nothing yet: it is looked again, until the last look. */
    lookForHeartbeat: ({
      work,
      gatewayId,
      since,
      last,
    }: {
      work: Work;
      gatewayId: string;
      since: number;
      last: boolean;
    }): Promise<SmtpReport | undefined> =>
      recorded(work, "heartbeat", async () => {
        const beat = (await heartbeats.find(work.partnerId, gatewayId))?.last;
        if (beat === undefined || Date.parse(beat.receivedAt) <= since * 1000) {
          if (!last) return { result: undefined, running: true };
          const message = `gateway ${gatewayId} has not reported since its SMTP service was restarted`;
          throw new ControlPlaneError("GatewaySilent", message, 504);
        }
        const service = beat.services.find(({ name }) => name.toUpperCase() === "SMTPSVC")?.state ?? "Missing";
        if (service !== "Running")
          throw new ControlPlaneError("SmtpServiceStopped", `the SMTP service of gateway ${gatewayId} is ${service} again`, 502);
        return { result: { receivedAt: beat.receivedAt, service, queue: beat.queue?.count ?? null } };
      }),

    finishSmtpRestart: async ({ report, windows, ...said }: Said & Run & { report: SmtpReport }): Promise<void> => {
      const { partnerId, operationId } = said.work;
      await resources.guest.forgetRun(await guestOf({ work: said.work, windows }), nameOf(said.work));
      await say(said, "restarted", { ...report });
      await operations.recordProgress(partnerId, operationId, { status: "Succeeded", waitingFor: null, result: { ...report } });
    },

    failSmtpRestart: async ({ failure, ...said }: Said & { failure: Failure }): Promise<void> => {
      const { code, message } = failure;
      const { partnerId, operationId } = said.work;
      await say(said, "restart.failed", { code, message });
      await operations.recordProgress(partnerId, operationId, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };
};

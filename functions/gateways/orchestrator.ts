/** A machine's SMTP service is restarted by one run inside it, and the machine's own next heartbeat says what came of it. Pure. */
import type { Desired } from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { type ResourcePace, waitForOperation, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import type { SmtpRestartActivities } from "./activities.ts";

export interface SmtpRestarting {
  work: Work;
  gatewayId: string;
  windows: Omit<Desired<"guest">, "document">;
  pace: ResourcePace;
  heartbeatEveryInSeconds: number;
}

/** As many heartbeats may be missing until a machine counts as silent. */
const HEARTBEATS = 3;
const LOOKS_A_HEARTBEAT = 5;

export function* restartSmtpService(context: OrchestrationContext, asked: SmtpRestarting): Routine<void> {
  const { work, gatewayId, windows, pace, heartbeatEveryInSeconds } = asked;
  const { beginSmtpRestart, runSmtpRestart, checkSmtpRestart, lookForHeartbeat, finishSmtpRestart, failSmtpRestart } =
    stepsOf<SmtpRestartActivities>(context, pace.patience);
  try {
    yield* beginSmtpRestart({ work, gatewayId, at: secondsNow(context) });
    const begun = yield* runSmtpRestart({ work, windows });
    if (begun.state === "begun") {
      const { entraTenantId } = windows;
      const deadline = secondsNow(context) + pace.operationDeadlineInSeconds;
      const waiting = { work, ...begun, entraTenantId, patience: pace.patience, deadline, kind: "guest", ticks: 0 };
      yield* child(context, waitForOperation, waiting, "run");
    }
    yield* checkSmtpRestart({ work, windows });
    const since = secondsNow(context);
    for (let look = 1; ; look += 1) {
      yield* wait(context, heartbeatEveryInSeconds / LOOKS_A_HEARTBEAT);
      const last = look >= HEARTBEATS * LOOKS_A_HEARTBEAT;
      const report = yield* lookForHeartbeat({ work, gatewayId, since, last });
      if (report === undefined) continue;
      yield* finishSmtpRestart({ work, gatewayId, windows, report, at: secondsNow(context) });
      return;
    }
  } catch (error) {
    yield* failSmtpRestart({ work, gatewayId, failure: failureFrom(error), at: secondsNow(context) });
  }
}

/** The durable host in small, under a schedule by chance: workers die, are delivered again, and wake up late. */
import type { OrchestrationContext, Task } from "durable-functions";
import { waitForOperation } from "../../shared/durable/resources.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";
import { asActivity } from "../../shared/durable/steps.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Point, Schedule } from "./schedules.ts";

/** What is played in: its clock, and all activities for one execution of one of them. */
export interface CloudsByChance {
  seconds(): number;
  /** Time never goes back: a timer that slept too long is late. */
  passUntil(seconds: number): void;
  activitiesAt(point: Point): Record<string, (input: never) => Promise<unknown>>;
}

/** The durable host in small: what an activity's first execution to end gives is its result, whatever others of it do later. */
export function orchestrate<Input>(
  schedule: Schedule,
  clouds: CloudsByChance,
  run: Orchestrator<Input, unknown>,
  input: Input,
  ended: (output: unknown) => void,
): void {
  let anew: { input: Input } | undefined;
  const df = {
    instanceId: "rotation",
    version: "1.0.0",
    get currentUtcDateTime() {
      return new Date(clouds.seconds() * 1000);
    },
    callActivity: (activity: string, given: unknown): Wanted => ({ activity, input: given }),
    callSubOrchestrator: (child: string, given: unknown): Wanted => ({ child, input: given }),
    createTimer: (at: Date): Wanted => ({ until: at.getTime() / 1000, cancel: () => undefined }),
    waitForExternalEvent: (event: string): Wanted => ({ event }),
    Task: { any: (any: Wanted[]): Wanted => ({ any }) },
    continueAsNew: (given: Input) => void (anew = { input: given }),
  };
  const routine = run({ df } as unknown as OrchestrationContext, input);

  const goOn = (result: unknown): void => {
    const next = routine.next(result);
    if (!next.done) begin(next.value, goOn);
    else if (anew) orchestrate(schedule, clouds, run, anew.input, ended);
    else ended(next.value);
  };
  function begin(task: Task | Wanted, then: (result: unknown) => void): void {
    const wanted = task as Wanted;
    if ("activity" in wanted) return execute(wanted, then);
    if ("until" in wanted)
      return schedule.spawn(async () => {
        clouds.passUntil(wanted.until);
        then(undefined);
      });
    if ("any" in wanted) {
      // Nobody cancels: the timer it is.
      const timer = wanted.any.find((one) => "until" in one);
      if (timer) begin(timer, () => then(timer));
      return;
    }
    if (!("child" in wanted) || wanted.child !== waitForOperation.name) throw new Error(`unexpected: ${JSON.stringify(wanted)}`);
    orchestrate(schedule, clouds, waitForOperation, wanted.input as never, then);
  }
  function execute({ activity, input: given }: { activity: string; input: unknown }, then: (result: unknown) => void): void {
    let known = false;
    const deliver = (): void =>
      schedule.spawn(async (point) => {
        const called = clouds.activitiesAt(point)[activity];
        if (!called) throw new ControlPlaneError("ActivityUnknown", activity, 500);
        const result = await asActivity(activity, called, () => undefined)(given);
        if (known) return;
        known = true;
        then(result);
      }, deliver);
    deliver();
  }
  goOn(undefined);
}

/** What an orchestrator yields here, in place of durable tasks. */
type Wanted =
  | { activity: string; input: unknown }
  | { until: number; cancel(): void }
  | { event: string }
  | { any: Wanted[] }
  | { child: string; input: unknown };

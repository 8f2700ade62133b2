/**
 * Typed steps for orchestrators: `yield* ensureVault(input)` runs the activity of that name and gives its result.
 *
 * Activities return their failures as values and the step decides here: what can't be mended is thrown as a ControlPlaneError, what may
 * pass is tried again after a durable timer that honours Retry-After. durable-functions' own retries do neither, and their hidden
 * timers clash with fan-outs.
 */
import { ControlPlaneError, type ErrorDetail } from "../errors.ts";
import { type Patience, waitBefore } from "./patience.ts";
import type { OrchestrationContext, Routine } from "./routine.ts";
import { secondsNow, wait } from "./wait.ts";

/** A thousand onboardings in one subscription wait a quarter of an hour; a step that waits for half a day waits for something else. */
const LONGEST_QUEUE_IN_SECONDS = 12 * 3600;

type Activity = (input: never) => Promise<unknown>;
type StepOf<F> = F extends (input: infer Input) => Promise<infer Output> ? (input: Input) => Routine<Output> : never;
export type StepsOf<Activities> = { readonly [Name in keyof Activities]: StepOf<Activities[Name]> };

/** Activity names are the keys of `Activities`. Only its type is needed here, so orchestrators `import type` their activities. */
export const stepsOf = <Activities>(context: OrchestrationContext, patience: Patience): StepsOf<Activities> =>
  new Proxy({} as StepsOf<Activities>, {
    get: (_, name) => (input: unknown) => step(context, String(name), patience, input),
  });

function* step(context: OrchestrationContext, name: string, patience: Patience, input: unknown): Routine<unknown> {
  const began = secondsNow(context);
  for (let attempt = 1; ; attempt++) {
    const failure = failureOf(yield context.df.callActivity(name, input));
    if (failure instanceof Success) return failure.value;
    if (failure.untried === true && secondsNow(context) - began < LONGEST_QUEUE_IN_SECONDS) {
      attempt -= 1;
      yield* wait(context, failure.retryAfterInSeconds ?? patience.firstWaitInSeconds);
      continue;
    }
    if (!failure.transient || attempt >= patience.tries) throw errorOf(failure);
    yield* wait(context, waitBefore(attempt + 1, patience, failure.retryAfterInSeconds));
  }
}

/** A failure as it travels in durable state: small, and without the cause's text, which may quote what it must not. */
export interface Failure extends ErrorDetail {
  status: number;
  transient: boolean;
  retryAfterInSeconds?: number | undefined;
  untried?: true | undefined;
}

export const failureFrom = (error: unknown): Failure =>
  error instanceof ControlPlaneError
    ? {
        code: error.code,
        message: error.message,
        status: error.status,
        transient: error.transient,
        ...(error.target === undefined ? {} : { target: error.target }),
        ...(error.details === undefined ? {} : { details: error.details }),
        ...(error.retryAfterInSeconds === undefined ? {} : { retryAfterInSeconds: error.retryAfterInSeconds }),
        ...(error.untried ? { untried: true as const } : {}),
      }
    : {
        code: "InternalServerError",
        message: "something unexpected happened; the log has it under this operation",
        status: 500,
        transient: true,
      };

export const errorOf = ({ code, message, status, transient, ...options }: Failure): ControlPlaneError =>
  new ControlPlaneError(code, message, status, transient, options);

/** Makes an activity return its failures, which are told to `report`, too; `admit` throws where it must not run, and says false where nothing is left to do. */
export const asActivity =
  (
    name: string,
    run: Activity,
    report: (name: string, error: unknown) => void,
    admit: (input: unknown) => Promise<boolean> = async () => true,
  ) =>
  async (input: unknown): Promise<unknown> => {
    try {
      return { value: (await admit(input)) ? await run(input as never) : undefined };
    } catch (error) {
      report(name, error);
      return { failure: failureFrom(error) };
    }
  };

class Success {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

const failureOf = (result: unknown): Failure | Success => {
  const { failure, value } = (result ?? {}) as { failure?: Failure; value?: unknown };
  return failure ?? new Success(value);
};
